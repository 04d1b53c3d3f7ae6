/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TPM's public areas and statements: two lengths, then key, signature and statement. */
#include "fuzz.h"

#include "attest/quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct statement_demand demand = {.nonce = "01234567", .nonce_size = 8};
        struct attestation_key *key = NULL;
        struct verified_quote *q = NULL;
        struct statement_clock clock;
        struct pcr_bank values;
        struct statement s;
        uint64_t value;
        size_t n, m;

        if (size < 4)
                return 0;
        n = (size_t)data[0] | (size_t)data[1] << 8;
        m = (size_t)data[2] | (size_t)data[3] << 8;
        if (n > size - 4 || m > size - 4 - n)
                return 0;
        if (attestation_key_from_public(data + 4, n, &key, NULL) < 0 &&
            attestation_key_from_spki(data + 4, n, &key, NULL) < 0)
                return 0;
        s = (struct statement){.signature = data + 4 + n,
                               .signature_size = m,
                               .attest = data + 4 + n + m,
                               .attest_size = size - 4 - n - m};
        PROMISE(pcr_bank_start(&values, PCR_SHA256) == 0);
        PROMISE(quote_verify(&s, key, &demand, &values, 1, &q, NULL) < 0 && !q);
        PROMISE(counter_verify(&s, key, &demand, "name", 4, &value, &clock, NULL) < 0);
        attestation_key_free(key);
        return 0;
}
