/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench-inflate isa-l|libdeflate FILE: decompresses a gzip file and throws the result away; how long that
 * takes is the caller's to measure. ISA-L does it piece by piece, as verity does. libdeflate has to have the
 * whole file and the whole result in memory. */
#include <endian.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"

#define FILE_MAX ((size_t)1 << 30)
#define PIECE ((size_t)256 * 1024)

static bool by_isal(const uint8_t *data, size_t size)
{
        static uint8_t piece[PIECE];
        struct inflate_state *s = malloc(sizeof(*s));
        int r = s ? ISAL_DECOMP_OK : -1;

        if (!s)
                return false;
        isal_inflate_init(s);
        s->crc_flag = ISAL_GZIP;
        s->next_in = (uint8_t *)data;
        s->avail_in = (uint32_t)size;
        while (r == ISAL_DECOMP_OK && s->block_state != ISAL_BLOCK_FINISH) {
                s->next_out = piece;
                s->avail_out = sizeof(piece);
                r = isal_inflate(s);
                if (s->avail_out == sizeof(piece) && s->block_state != ISAL_BLOCK_FINISH)
                        r = -1;
        }
        free(s);
        return r == ISAL_DECOMP_OK;
}

/* The last four bytes of a gzip file are the length of its content (RFC 1952). */
static bool by_libdeflate(const uint8_t *data, size_t size)
{
        struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
        enum libdeflate_result r = LIBDEFLATE_BAD_DATA;
        uint32_t length;
        uint8_t *whole;

        memcpy(&length, data + size - sizeof(length), sizeof(length));
        whole = malloc(le32toh(length));
        if (d && whole)
                r = libdeflate_gzip_decompress(d, data, size, whole, le32toh(length), NULL);
        free(whole);
        libdeflate_free_decompressor(d);
        return r == LIBDEFLATE_SUCCESS;
}

int main(int argc, char **argv)
{
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        bool done;

        if (argc != 3 || read_file(AT_FDCWD, argv[2], FILE_MAX, &data, &size, NULL) < 0 || size < 18) {
                (void)fprintf(stderr, "bench-inflate isa-l|libdeflate FILE: a gzip file expected\n");
                return 2;
        }
        done = strcmp(argv[1], "isa-l") == 0 ? by_isal((const uint8_t *)data, size)
                                             : by_libdeflate((const uint8_t *)data, size);
        return done ? 0 : 2;
}
