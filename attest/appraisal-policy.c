/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Appraisal policies: read strictly, since a field that is overlooked is a demand that is not made. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "appraise.h"
#include "base/json.h"
#include "trust/trust.h"

#define VALIDITY_MAX ((uint64_t)366 * 24 * 3600)

void appraisal_policy_done(struct appraisal_policy *p)
{
        free(p->keys);
        sd_json_variant_unref(p->json);
}

static bool is_known(const char *name, const char *const names[], size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

static int check_fields(sd_json_variant *object, const char *what, const char *const names[], size_t n,
                        struct error *e)
{
        for (size_t i = 0; i + 1 < sd_json_variant_elements(object); i += 2) {
                const char *name = sd_json_variant_string(sd_json_variant_by_index(object, i));

                if (!is_known(name, names, n))
                        return error_set(e, -EBADMSG,
                                         "appraisal policy: %s: a field that version 1 has expected, found "
                                         "another one",
                                         what);
                if (sd_json_variant_by_key(object, name) != sd_json_variant_by_index(object, i + 1))
                        return error_set(e, -EBADMSG, "appraisal policy: %s: %s stands there twice", what,
                                         name);
        }
        return 0;
}

static int take_keys(struct appraisal_policy *p, struct error *e)
{
        sd_json_variant *keys;
        size_t n;
        int r = json_array(p->json, "appraisal policy", "keys", &keys, e);

        if (r < 0)
                return r;
        n = sd_json_variant_elements(keys);
        p->keys = calloc(n ?: 1, sizeof(*p->keys));
        if (!p->keys)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const char *key = sd_json_variant_string(sd_json_variant_by_index(keys, i));

                if (!key)
                        return error_set(e, -EBADMSG, "appraisal policy: keys: hexadecimal Names expected");
                p->keys[p->n_keys++] = key;
        }
        return 0;
}

static int take_pcrs(struct appraisal_policy *p, struct error *e)
{
        sd_json_variant *pcrs = sd_json_variant_by_key(p->json, "pcrs");

        if (pcrs && !sd_json_variant_is_array(pcrs))
                return error_set(e, -EBADMSG, "appraisal policy: pcrs: an array expected");
        for (size_t i = 0; i < sd_json_variant_elements(pcrs); i++) {
                sd_json_variant *pcr = sd_json_variant_by_index(pcrs, i);

                if (!sd_json_variant_is_unsigned(pcr) || sd_json_variant_unsigned(pcr) >= PCR_COUNT)
                        return error_set(e, -EBADMSG, "appraisal policy: pcrs: numbers below %u expected",
                                         PCR_COUNT);
                p->pcrs |= 1u << sd_json_variant_unsigned(pcr);
        }
        return 0;
}

static int check_condition(const char *claim, sd_json_variant *c, struct error *e)
{
        static const char *const names[] = {"allowed", "includes", "min", "max"};
        sd_json_variant *min = sd_json_variant_by_key(c, "min"), *max = sd_json_variant_by_key(c, "max");
        sd_json_variant *allowed = sd_json_variant_by_key(c, "allowed"),
                        *includes = sd_json_variant_by_key(c, "includes");
        int r;

        if (!sd_json_variant_is_object(c) || sd_json_variant_elements(c) == 0)
                return error_set(e, -EBADMSG,
                                 "appraisal policy: required: %s: allowed, includes, min or max expected",
                                 claim);
        r = check_fields(c, claim, names, ELEMENTSOF(names), e);
        if (r < 0)
                return r;
        if ((min && !sd_json_variant_is_unsigned(min)) || (max && !sd_json_variant_is_unsigned(max)) ||
            (allowed && !sd_json_variant_is_array(allowed)) ||
            (includes && !sd_json_variant_is_array(includes)))
                return error_set(
                        e, -EBADMSG,
                        "appraisal policy: required: %s: arrays for allowed and includes, numbers for "
                        "min and max expected",
                        claim);
        return 0;
}

static int take_required(struct appraisal_policy *p, struct error *e)
{
        int r = json_object(p->json, "appraisal policy", "required", &p->required, e);

        for (size_t i = 0; r >= 0 && i + 1 < sd_json_variant_elements(p->required); i += 2)
                r = check_condition(sd_json_variant_string(sd_json_variant_by_index(p->required, i)),
                                    sd_json_variant_by_index(p->required, i + 1), e);
        return r;
}

static int take_rest(struct appraisal_policy *p, struct error *e)
{
        sd_json_variant *sha1 = sd_json_variant_by_key(p->json, "allow_sha1");
        uint64_t version;
        int r;

        if ((r = json_unsigned(p->json, "appraisal policy", "version", UINT32_MAX, &version, e)) < 0 ||
            (r = json_unsigned(p->json, "appraisal policy", "validity_seconds", VALIDITY_MAX, &p->validity,
                               e)) < 0)
                return r;
        if (version != 1)
                return error_set(e, -EBADMSG, "appraisal policy: version 1 expected, found %lu",
                                 (unsigned long)version);
        if (sha1 && !sd_json_variant_is_boolean(sha1))
                return error_set(e, -EBADMSG, "appraisal policy: allow_sha1: true or false expected");
        p->allow_sha1 = sha1 && sd_json_variant_boolean(sha1);
        return 0;
}

int appraisal_policy_parse(const char *text, size_t size, struct appraisal_policy *ret, struct error *e)
{
        static const char *const names[] = {"version",          "keys",    "pcrs", "allow_sha1",
                                            "validity_seconds", "required"};
        _cleanup_appraisal_policy_ struct appraisal_policy p = {};

        if (size > APPRAISAL_POLICY_MAX || strlen(text) != size)
                return error_set(e, -EBADMSG, "appraisal policy: a text of at most %zu bytes expected",
                                 APPRAISAL_POLICY_MAX);
        if (trust_sha256(text, size, p.digest) < 0)
                return error_set(e, -EIO, "appraisal policy: SHA-256 failed");
        if (json_parse("appraisal policy", text, &p.json, e) < 0)
                return -EBADMSG;
        if (!sd_json_variant_is_object(p.json))
                return error_set(e, -EBADMSG, "appraisal policy: an object expected");
        if (check_fields(p.json, "policy", names, ELEMENTSOF(names), e) < 0 || take_rest(&p, e) < 0 ||
            take_keys(&p, e) < 0 || take_pcrs(&p, e) < 0 || take_required(&p, e) < 0)
                return -EBADMSG;
        *ret = p;
        p = (struct appraisal_policy){};
        return 0;
}
