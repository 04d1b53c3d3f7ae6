/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EAT attestation results: draft-ietf-rats-ear, trustworthiness vector of draft-ietf-rats-ar4si. */
#include <stdio.h>
#include <string.h>

#include "appraise.h"
#include "base/hex.h"
#include "base/json.h"

/* AR4SI values: 2 affirming, 96 contraindicated, 97 an instance that is not recognized. What was not
 * appraised is left out, which says "none". */
enum { AFFIRMING = 2, CONTRAINDICATED = 96, NOT_RECOGNIZED = 97 };

/* The elements of the vector that our claims speak of. */
enum element { CONFIGURATION, EXECUTABLES, ELEMENTS };
static const char *const element_names[ELEMENTS] = {"configuration", "executables"};

static enum element element_of(const char *claim)
{
        static const char *const executables[] = {"applications", "boot-authorities",
                                                  "image-sha256", "ipe-policies",
                                                  "pcr0",         "pcr2",
                                                  "pcr4",         "pcr11",
                                                  "pcr14",        "root-hash",
                                                  "verity-roots"};

        for (size_t i = 0; i < ELEMENTSOF(executables); i++)
                if (strcmp(claim, executables[i]) == 0)
                        return EXECUTABLES;
        return CONFIGURATION;
}

static int put_vector(const struct appraisal *a, sd_json_variant **ret)
{
        int value[ELEMENTS] = {};
        int r;

        /* Whose machine it is was shown by the key; without the bindings nothing was. */
        r = sd_json_variant_set_field_integer(ret, "instance-identity", a ? AFFIRMING : NOT_RECOGNIZED);
        for (size_t i = 0; a && i < a->n; i++) {
                enum element k = element_of(a->findings[i].claim);

                if (!a->findings[i].met || !value[k])
                        value[k] = a->findings[i].met ? AFFIRMING : CONTRAINDICATED;
        }
        for (unsigned k = 0; r >= 0 && k < ELEMENTS; k++)
                if (value[k])
                        r = sd_json_variant_set_field_integer(ret, element_names[k], value[k]);
        return r;
}

/* Findings for people and programs that want to know which claim it was. */
static int put_findings(const struct appraisal *a, sd_json_variant **ret)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && a && i < a->n; i++) {
                const struct appraisal_finding *f = &a->findings[i];

                r = sd_json_variant_append_arraybo(
                        ret, SD_JSON_BUILD_PAIR_STRING("claim", f->claim),
                        SD_JSON_BUILD_PAIR_BOOLEAN("met", f->met),
                        SD_JSON_BUILD_PAIR_STRING("expected", f->expected),
                        SD_JSON_BUILD_PAIR_CONDITION(!!f->found, "found", SD_JSON_BUILD_STRING(f->found)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!f->source, "source", SD_JSON_BUILD_STRING(f->source)));
        }
        return r;
}

static int build_submodule(const struct appraisal *a, const char *reason,
                           const struct appraisal_policy *policy, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *vector = NULL, *findings = NULL;
        char id[7 + 64 + 1] = "sha256:";
        int r;

        hex_encode(policy->digest, sizeof(policy->digest), id + 7);
        r = put_vector(a, &vector);
        if (r >= 0)
                r = put_findings(a, &findings);
        return r < 0 ? r
                     : sd_json_buildo(ret,
                                      SD_JSON_BUILD_PAIR_STRING(
                                              "ear.status", a && a->met ? "affirming" : "contraindicated"),
                                      SD_JSON_BUILD_PAIR_VARIANT("ear.trustworthiness-vector", vector),
                                      SD_JSON_BUILD_PAIR_STRING("ear.appraisal-policy-id", id),
                                      SD_JSON_BUILD_PAIR_CONDITION(!!findings, "holdfast.findings",
                                                                   SD_JSON_BUILD_VARIANT(findings)),
                                      SD_JSON_BUILD_PAIR_CONDITION(!!reason, "holdfast.reason",
                                                                   SD_JSON_BUILD_STRING(reason)));
}

int appraisal_to_ear(const struct appraisal *a, const char *reason, const struct appraisal_policy *policy,
                     const void *nonce, size_t nonce_size, uint64_t now, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *submodule = NULL;
        int r = build_submodule(a, reason, policy, &submodule);

        return r < 0 ? r
                     : sd_json_buildo(
                               ret,
                               SD_JSON_BUILD_PAIR_STRING("eat_profile", "tag:github.com,2023:veraison/ear"),
                               SD_JSON_BUILD_PAIR_UNSIGNED("iat", now),
                               SD_JSON_BUILD_PAIR_UNSIGNED("exp", now + policy->validity),
                               SD_JSON_BUILD_PAIR("eat_nonce", SD_JSON_BUILD_HEX(nonce, nonce_size)),
                               SD_JSON_BUILD_PAIR(
                                       "ear.verifier-id",
                                       SD_JSON_BUILD_OBJECT(
                                               SD_JSON_BUILD_PAIR_STRING("developer", "Holdfast"),
                                               SD_JSON_BUILD_PAIR_STRING("build", HOLDFAST_VERSION))),
                               SD_JSON_BUILD_PAIR("submods", SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_VARIANT(
                                                                     "machine", submodule))));
}
