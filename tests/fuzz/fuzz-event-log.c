/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An event log that lay on a disk or came over a wire. */
#include "fuzz.h"

#include "tpm/event-log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct event_record record;
        size_t offset = 0, before = 0;
        uint8_t pcr[32];

        while (event_log_next(data, size, &offset, &record, NULL) > 0) {
                PROMISE(offset > before && offset <= size);
                PROMISE(record.data + record.data_size == record.content + record.content_size);
                before = offset;
        }
        (void)event_log_replay(data, size, pcr, NULL);
        return 0;
}
