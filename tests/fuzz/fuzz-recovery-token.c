/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of a recovery token, and the records that it stands for, as the TPM keeps them. */
#include "fuzz.h"

#include "osguard/rollback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t bytes[RECORD_SIZE];
        struct token token = {};
        struct record record;

        if (token_parse((const char *)data, size, &token, NULL) >= 0) {
                PROMISE(token.record.generation == token.counter);
                PROMISE(record_encode(&token.record, bytes, NULL) >= 0);
                PROMISE(record_decode(bytes, sizeof(bytes), &record, NULL) >= 0);
                PROMISE(record_same(&record, &token.record));
        }
        (void)record_decode(data, size, &record, NULL);
        return 0;
}
