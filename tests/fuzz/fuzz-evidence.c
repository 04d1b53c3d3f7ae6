/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence and an appraisal policy, as JSON texts that somebody sent. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "attest/appraise.h"

static void try_evidence(const char *text)
{
        static const struct evidence_demand demand = {.statement = {.nonce = "01234567", .nonce_size = 8},
                                                      .pcrs = 1};
        _cleanup_evidence_ struct evidence ev = {}, second = {};
        struct verified_evidence *v = NULL;
        _cleanup_free_ char *again = NULL;

        if (evidence_parse(text, strlen(text), &ev, NULL) < 0)
                return;
        PROMISE(evidence_verify(&ev, &demand, &v, NULL) < 0 && !v);
        PROMISE(evidence_format(&ev, &again, NULL) == 0);
        PROMISE(evidence_parse(again, strlen(again), &second, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_appraisal_policy_ struct appraisal_policy policy = {};
        _cleanup_free_ char *text = malloc(size + 1);

        if (!text)
                return 0;
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        try_evidence(text);
        (void)appraisal_policy_parse(text, strlen(text), &policy, NULL);
        return 0;
}
