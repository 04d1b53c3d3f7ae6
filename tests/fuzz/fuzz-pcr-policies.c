/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The PCR policies beside a newer host policy lie on the ESP, without a signature over the file. */
#include "fuzz.h"

#include <stdlib.h>

#include "osguard/osguard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct tpm_pcr_policy *policies = NULL;
        size_t n = 0;

        if (pcr_policies_parse("fuzz", (const char *)data, size, NULL, &policies, &n, NULL) >= 0)
                for (size_t i = 0; i < n; i++)
                        PROMISE(policies[i].pcrs == (1u << 7 | 1u << 11 | 1u << 12 | 1u << 14));
        else
                PROMISE(!policies);
        free(policies);
        return 0;
}
