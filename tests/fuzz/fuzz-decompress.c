/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "fuzz.h"
#include "verity-tools/decompress.h"

#include <string.h>
#include <sys/mman.h>

#define OUTPUT_MAX (16u << 20)

/* The first byte chooses the magic, without which hardly any input would get past it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct {
                size_t size;
                uint8_t bytes[6];
        } magic[] = {{3, {0x1f, 0x8b, 8}},
                     {4, {0x28, 0xb5, 0x2f, 0xfd}},
                     {6, {0xfd, '7', 'z', 'X', 'Z', 0}},
                     {4, {'B', 'Z', 'h', '1'}}};
        _cleanup_close_ int fd = memfd_create("in", MFD_CLOEXEC);
        const struct build_tar file = {.fd = fd, .name = "input"};
        _cleanup_(decompressor_free_ptr) struct decompressor *d = NULL;
        size_t kind = size > 0 ? data[0] % ELEMENTSOF(magic) : 0, n = 1, total = 0;
        const void *piece;

        PROMISE(write_full(fd, magic[kind].bytes, magic[kind].size) == 0);
        if (size > 1)
                PROMISE(write_full(fd, data + 1, size - 1) == 0);
        PROMISE(lseek(fd, 0, SEEK_SET) == 0);
        PROMISE(decompressor_new(&file, &d, NULL) == 0);
        while (n > 0 && total < OUTPUT_MAX && decompressor_next(d, &piece, &n, NULL) == 0)
                total += n;
        PROMISE(decompressor_position(d) <= size + 6);
        return 0;
}
