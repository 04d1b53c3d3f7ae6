/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/gpt.h"

#include <errno.h>
#include <lzma.h>
#include <stdlib.h>

#define SECTOR 512u
#define HEADER_SIZE 92u
#define ENTRY_SIZE 128u
#define ENTRIES_MAX 256u

static int bad(struct error *e, const char *what)
{
        return error_set(e, -EBADMSG, "GPT: %s", what);
}

/* UEFI specification, 5.3.2: both checksums count, or the firmware takes the backup at the disk's end. */
static int read_table(struct slice head, struct slice *ret_header, struct slice *ret_entries, struct error *e)
{
        uint8_t copy[HEADER_SIZE];
        uint32_t n;

        if (!slice_cut(head, SECTOR, HEADER_SIZE, ret_header) ||
            memcmp(ret_header->bytes, "EFI PART", 8) != 0 || get_le32(ret_header->bytes + 12) != HEADER_SIZE)
                return bad(e, "a header of 92 bytes in the second sector expected, not found");
        memcpy(copy, ret_header->bytes, HEADER_SIZE);
        memset(copy + 16, 0, 4);
        n = get_le32(copy + 80);
        if (lzma_crc32(copy, HEADER_SIZE, 0) != get_le32(ret_header->bytes + 16))
                return bad(e, "the header's own checksum expected, found another");
        if (n > ENTRIES_MAX || get_le32(copy + 84) != ENTRY_SIZE || get_le64(copy + 72) > UINT32_MAX ||
            !slice_cut(head, get_le64(copy + 72) * SECTOR, (uint64_t)n * ENTRY_SIZE, ret_entries))
                return bad(e, "at most 256 entries of 128 bytes at the beginning of the disk expected");
        if (lzma_crc32(ret_entries->bytes, ret_entries->size, 0) != get_le32(copy + 88))
                return bad(e, "the checksum of the entries expected, found another");
        return 0;
}

int gpt_event(struct slice head, uint8_t **ret, size_t *ret_size, struct error *e)
{
        static const uint8_t unused[16];
        struct slice header = {}, entries = {};
        uint64_t used = 0;
        uint8_t *event;
        int r;

        r = read_table(head, &header, &entries, e);
        if (r < 0)
                return r;
        event = malloc(HEADER_SIZE + 8 + entries.size);
        if (!event)
                return -ENOMEM;
        memcpy(event, header.bytes, HEADER_SIZE);
        for (size_t at = 0; at < entries.size; at += ENTRY_SIZE)
                if (memcmp(entries.bytes + at, unused, sizeof(unused)) != 0)
                        memcpy(event + HEADER_SIZE + 8 + used++ * ENTRY_SIZE, entries.bytes + at, ENTRY_SIZE);
        *ret_size = HEADER_SIZE + 8 + used * ENTRY_SIZE;
        used = htole64(used);
        memcpy(event + HEADER_SIZE, &used, sizeof(used));
        *ret = event;
        return 0;
}
