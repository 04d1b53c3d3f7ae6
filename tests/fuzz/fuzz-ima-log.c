/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An IMA log that came from a machine. */
#include "fuzz.h"

#include <string.h>

#include "attest/ima-log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct ima_entry entry = {};
        struct ima_table table;
        struct pcr_bank bank;
        size_t offset = 0, before = 0;

        while (ima_log_next(data, size, &offset, 0, &entry, NULL) > 0) {
                PROMISE(offset > before && offset <= size);
                PROMISE(entry.digest >= data && entry.digest + entry.digest_size <= data + size);
                PROMISE((const uint8_t *)entry.name + strlen(entry.name) < data + size);
                (void)ima_table_parse(&entry, &table, NULL);
                before = offset;
        }
        if (pcr_bank_start(&bank, PCR_SHA256) == 0)
                (void)ima_log_replay(data, size, &bank, NULL);

        /* Digests keep a fuzzer from reaching tables by way of a log. */
        entry = (struct ima_entry){.name = "dm_table_load", .buffer = data, .buffer_size = size};
        (void)ima_table_parse(&entry, &table, NULL);
        return 0;
}
