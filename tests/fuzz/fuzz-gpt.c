/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The beginning of a disk: the header of its table from the input's first bytes, then what lies behind it.
 * With an even first byte the checksums are put right. */
#include "fuzz.h"

#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#include "attest/predict/gpt.h"

#define HEAD 8192u
#define HEADER_AT 512u
#define HEADER_SIZE 92u
#define ENTRIES_AT 1024u

static void seal(uint8_t *header, const uint8_t *entries)
{
        uint32_t n = get_le32(header + 80), crc;

        crc = htole32(lzma_crc32(entries, n <= 32 ? 128 * n : 0, 0));
        memcpy(header + 88, &crc, 4);
        memset(header + 16, 0, 4);
        crc = htole32(lzma_crc32(header, HEADER_SIZE, 0));
        memcpy(header + 16, &crc, 4);
}

static void fill(uint8_t *head, const uint8_t *data, size_t size)
{
        static const uint8_t start[16] = {'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T', 0, 0, 1, 0, HEADER_SIZE};
        size_t first = size < HEADER_SIZE - 16 ? size : HEADER_SIZE - 16, rest = size - first;

        memcpy(head + HEADER_AT, start, sizeof(start));
        memcpy(head + HEADER_AT + 16, data, first);
        memcpy(head + ENTRIES_AT, data + first, rest < HEAD - ENTRIES_AT ? rest : HEAD - ENTRIES_AT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t head[HEAD] = {}, *event = NULL;
        size_t event_size = 0;

        if (size < 1)
                return 0;
        fill(head, data + 1, size - 1);
        if (!(data[0] & 1)) {
                head[HEADER_AT + 72] = 2;
                memset(head + HEADER_AT + 73, 0, 7);
                memcpy(head + HEADER_AT + 81, "\0\0\0\x80\0\0\0", 7);
                seal(head + HEADER_AT, head + ENTRIES_AT);
        }
        if (gpt_event((struct slice){head, sizeof(head)}, &event, &event_size, NULL) == 0) {
                PROMISE(event_size == 100 + 128 * get_le64(event + 92));
                free(event);
        }
        return 0;
}
