/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A firmware log that came from a machine. */
#include "fuzz.h"

#include <string.h>

#include "attest/firmware-log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct firmware_claims claims;
        struct firmware_event ev = {};
        struct firmware_log l;
        struct pcr_bank bank;
        char text[100];
        size_t before = 0;

        if (firmware_log_open(data, size, &l, NULL) < 0)
                return 0;
        while (firmware_log_next(&l, &ev, NULL) > 0) {
                PROMISE(l.next > before && l.next <= size);
                PROMISE(ev.data >= data && ev.data + ev.data_size <= data + size);
                firmware_event_describe(&ev, sizeof(text), text);
                PROMISE(strlen(text) < sizeof(text));
                before = l.next;
        }
        for (size_t i = 0; i < l.n_banks; i++)
                (void)firmware_log_replay(data, size, l.banks[i].algorithm, &bank, NULL);
        (void)firmware_log_check(data, size, PCR_SHA256, &claims, NULL);
        return 0;
}
