/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "verity-tools/verity.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct verity_signature s = {};
        struct error e = {};

        if (verity_signature_parse((const char *)data, size, &s, &e) < 0) {
                PROMISE(e.message[0] != '\0' && !s.der);
                return 0;
        }
        PROMISE(s.der_size > 0 && s.der_size <= TRUST_SIGNATURE_MAX);
        PROMISE(strspn(s.root_hash, "0123456789abcdef") == strlen(s.root_hash) && strlen(s.root_hash) <= 128);
        verity_signature_done(&s);
        return 0;
}
