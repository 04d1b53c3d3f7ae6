/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Appraisal: claims against reference values (the build manifest) and an appraisal policy, which is data.
 * README.md, section "Appraisal policy", has its format. */
#pragma once

#include <systemd/sd-json.h>

#include "attest/evidence.h"

#define APPRAISAL_POLICY_MAX ((size_t)1024 * 1024)

/* What an operator demands. */
struct appraisal_policy {
        sd_json_variant *json;
        const char **keys; /* borrowed from json */
        size_t n_keys;
        uint32_t pcrs; /* for machines that are not ours */
        bool allow_sha1;
        uint64_t validity;         /* of a result, in seconds */
        sd_json_variant *required; /* borrowed: {claim: condition} */
        uint8_t digest[32];        /* SHA-256 of the text */
};

/* -EBADMSG names the field: missing, unknown, of another type; a condition that can never be met. */
int appraisal_policy_parse(const char *text, size_t size, struct appraisal_policy *ret, struct error *e);
void appraisal_policy_done(struct appraisal_policy *p);
#define _cleanup_appraisal_policy_ _cleanup_(appraisal_policy_done)

/* One demand and what was found. */
struct appraisal_finding {
        const char *claim, *source; /* borrowed from claims and policy; source NULL: nothing says so */
        char *expected, *found;
        bool met;
};

struct appraisal {
        struct appraisal_finding findings[2 * CLAIMS_MAX];
        size_t n;
        bool met; /* every one is; false without any */
};

/* Compares. `reference` is the JSON of a build manifest whose signature was checked, or NULL. What is
 * demanded and not claimed is not met. */
int appraise(const struct claims *c, const struct appraisal_policy *policy, sd_json_variant *reference,
             struct appraisal *ret, struct error *e);
void appraisal_done(struct appraisal *a);
#define _cleanup_appraisal_ _cleanup_(appraisal_done)

/* The result as EAR claims (draft-ietf-rats-ear, AR4SI), unsigned. `now`: seconds since 1970. a: NULL where a
 * binding failed, `reason` then tells which. */
int appraisal_to_ear(const struct appraisal *a, const char *reason, const struct appraisal_policy *policy,
                     const void *nonce, size_t nonce_size, uint64_t now, sd_json_variant **ret);
