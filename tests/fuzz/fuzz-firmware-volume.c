/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A firmware file. The first byte says what the rest is: the whole file, or what its compressed section
 * holds. */
#include "fuzz.h"

#include <endian.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#include "attest/predict/firmware-volume.h"

#define ROOM (64u * 1024)
#define FILE_AT 72u
#define SECTION_AT (FILE_AT + 24u)
#define DATA_AT (SECTION_AT + 24u)

static void put24(uint8_t *p, size_t value)
{
        uint32_t le = htole32((uint32_t)value);

        memcpy(p, &le, 3);
}

static size_t pack(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
        lzma_stream z = LZMA_STREAM_INIT;
        uint64_t length = htole64(size);
        lzma_options_lzma options;
        size_t n = 0;

        if (lzma_lzma_preset(&options, 0))
                return 0;
        options.dict_size = LZMA_DICT_SIZE_MIN;
        if (lzma_alone_encoder(&z, &options) != LZMA_OK)
                return 0;
        z.next_in = data;
        z.avail_in = size;
        z.next_out = out;
        z.avail_out = room;
        if (lzma_code(&z, LZMA_FINISH) == LZMA_STREAM_END) {
                n = room - z.avail_out;
                memcpy(out + 5, &length, 8);
        }
        lzma_end(&z);
        return n;
}

/* A volume with one file with one section, compressed. */
static size_t wrap(const uint8_t *data, size_t size, uint8_t *file)
{
        static const uint8_t guid[16] = {0x98, 0x58, 0x4e, 0xee, 0x14, 0x39, 0x59, 0x42,
                                         0x9d, 0x6e, 0xdc, 0x7b, 0xd7, 0x94, 0x03, 0xcf};
        static const uint8_t signature[] = {'_', 'F', 'V', 'H'};
        size_t packed = pack(data, size, file + DATA_AT, ROOM - DATA_AT);
        uint64_t length = htole64(ROOM);

        memcpy(file + 32, &length, 8);
        memcpy(file + 40, signature, sizeof(signature));
        file[48] = FILE_AT;
        file[FILE_AT + 18] = 0x0b;
        put24(file + FILE_AT + 20, 24 + 24 + packed);
        put24(file + SECTION_AT, 24 + packed);
        file[SECTION_AT + 3] = 0x02;
        memcpy(file + SECTION_AT + 4, guid, 16);
        file[SECTION_AT + 20] = 24;
        return ROOM;
}

static void read_firmware(const uint8_t *data, size_t size)
{
        struct firmware f = {};

        if (firmware_parse((struct slice){data, size}, &f, NULL) < 0)
                return;
        PROMISE(f.n_volumes > 0 && f.version.size > 0);
        for (size_t i = 0; i < f.version.size; i += 2)
                PROMISE(f.version.bytes[i + 1] == 0);
        firmware_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *file;

        if (size < 1)
                return 0;
        if (data[0] & 1) {
                read_firmware(data + 1, size - 1);
                return 0;
        }
        file = calloc(1, ROOM);
        if (file)
                read_firmware(file, wrap(data + 1, size - 1, file));
        free(file);
        return 0;
}
