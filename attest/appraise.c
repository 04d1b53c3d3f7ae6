/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "appraise.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

void appraisal_done(struct appraisal *a)
{
        for (size_t i = 0; i < a->n; i++) {
                free(a->findings[i].expected);
                free(a->findings[i].found);
        }
}

/* Takes the texts over. */
static int note(struct appraisal *a, const char *claim, const struct claim *c, bool met,
                sd_json_variant *expected)
{
        struct appraisal_finding f = {.claim = claim, .source = c ? c->source : NULL, .met = met};
        int r;

        if (a->n == ELEMENTSOF(a->findings))
                return -E2BIG;
        r = sd_json_variant_format(expected, 0, &f.expected);
        if (r >= 0 && c)
                r = sd_json_variant_format(c->value, 0, &f.found);
        if (r < 0) {
                free(f.expected);
                return r;
        }
        a->findings[a->n++] = f;
        return 0;
}

static bool is_one_of(sd_json_variant *value, sd_json_variant *allowed)
{
        for (size_t i = 0; i < sd_json_variant_elements(allowed); i++)
                if (sd_json_variant_equal(value, sd_json_variant_by_index(allowed, i)))
                        return true;
        return false;
}

/* A list is allowed if each of its members is. */
static bool is_allowed(sd_json_variant *value, sd_json_variant *allowed)
{
        if (!sd_json_variant_is_array(value))
                return is_one_of(value, allowed);
        for (size_t i = 0; i < sd_json_variant_elements(value); i++)
                if (!is_one_of(sd_json_variant_by_index(value, i), allowed))
                        return false;
        return true;
}

static bool includes_all(sd_json_variant *value, sd_json_variant *wanted)
{
        for (size_t i = 0; i < sd_json_variant_elements(wanted); i++)
                if (!is_one_of(sd_json_variant_by_index(wanted, i), value))
                        return false;
        return sd_json_variant_is_array(value);
}

/* A condition is an object of "allowed", "includes", "min" and "max"; all that are there have to hold. */
static bool meets(sd_json_variant *value, sd_json_variant *condition)
{
        sd_json_variant *allowed = sd_json_variant_by_key(condition, "allowed");
        sd_json_variant *includes = sd_json_variant_by_key(condition, "includes");
        sd_json_variant *min = sd_json_variant_by_key(condition, "min"),
                        *max = sd_json_variant_by_key(condition, "max");

        if ((min || max) && !sd_json_variant_is_unsigned(value))
                return false;
        return (!allowed || is_allowed(value, allowed)) && (!includes || includes_all(value, includes)) &&
               (!min || sd_json_variant_unsigned(value) >= sd_json_variant_unsigned(min)) &&
               (!max || sd_json_variant_unsigned(value) <= sd_json_variant_unsigned(max));
}

static int appraise_policy(const struct claims *c, const struct appraisal_policy *policy, struct appraisal *a)
{
        for (size_t i = 0; i + 1 < sd_json_variant_elements(policy->required); i += 2) {
                const char *name = sd_json_variant_string(sd_json_variant_by_index(policy->required, i));
                sd_json_variant *condition = sd_json_variant_by_index(policy->required, i + 1);
                const struct claim *found = claims_find(c, name);
                int r = note(a, name, found, found && meets(found->value, condition), condition);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* The manifest says what one claim has to be. */
static int appraise_value(const struct claims *c, const char *claim, sd_json_variant *expected,
                          struct appraisal *a)
{
        const struct claim *found = claims_find(c, claim);

        if (!expected)
                return 0;
        return note(a, found ? found->name : claim, found,
                    found && sd_json_variant_equal(found->value, expected), expected);
}

/* Names that a claim not found is noted under: they have to outlive the appraisal. */
static const char *const pcr_names[PCR_COUNT] = {
        "pcr0",  "pcr1",  "pcr2",  "pcr3",  "pcr4",  "pcr5",  "pcr6",  "pcr7",
        "pcr8",  "pcr9",  "pcr10", "pcr11", "pcr12", "pcr13", "pcr14", "pcr15",
        "pcr16", "pcr17", "pcr18", "pcr19", "pcr20", "pcr21", "pcr22", "pcr23",
};

static int appraise_pcrs(const struct claims *c, sd_json_variant *pcrs, struct appraisal *a)
{
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < PCR_COUNT; i++)
                r = appraise_value(c, pcr_names[i],
                                   sd_json_variant_by_key(pcrs, pcr_names[i] + strlen("pcr")), a);
        return r;
}

/* The root that the manifest names is among those that the kernel opened. */
static int appraise_root(const struct claims *c, sd_json_variant *root, struct appraisal *a)
{
        const struct claim *found = claims_find(c, "verity-roots");

        return note(a, "verity-roots", found, found && is_one_of(root, found->value), root);
}

static int appraise_reference(const struct claims *c, sd_json_variant *reference, struct appraisal *a,
                              struct error *e)
{
        sd_json_variant *pcrs, *image, *root = sd_json_variant_by_key(reference, "root_hash");
        const char *text;
        int r;

        if ((r = json_object(reference, "build manifest", "pcrs", &pcrs, e)) < 0 ||
            (r = json_string(reference, "build manifest", "image_sha256", &text, e)) < 0 ||
            (r = json_string(reference, "build manifest", "root_hash", &text, e)) < 0)
                return r;
        if (sd_json_variant_elements(pcrs) == 0)
                return error_set(e, -EBADMSG, "build manifest: pcrs: predicted values expected, found none");
        image = sd_json_variant_by_key(reference, "image_sha256");
        if ((r = appraise_value(c, "image-sha256", image, a)) < 0 ||
            (r = appraise_value(c, "variant", sd_json_variant_by_key(reference, "variant"), a)) < 0 ||
            (r = appraise_value(c, "security-version", sd_json_variant_by_key(reference, "security_version"),
                                a)) < 0 ||
            (r = appraise_value(c, "root-hash", root, a)) < 0 || (r = appraise_root(c, root, a)) < 0)
                return r;
        return appraise_pcrs(c, pcrs, a);
}

int appraise(const struct claims *c, const struct appraisal_policy *policy, sd_json_variant *reference,
             struct appraisal *ret, struct error *e)
{
        _cleanup_appraisal_ struct appraisal a = {};
        struct error inner = {};
        int r = 0;

        if (reference)
                r = appraise_reference(c, reference, &a, &inner);
        if (r >= 0)
                r = appraise_policy(c, policy, &a);
        if (r < 0)
                return inner.message[0] ? error_set(e, r, "%s", inner.message)
                                        : error_errno(e, r, "appraisal");
        a.met = a.n > 0;
        for (size_t i = 0; i < a.n; i++)
                a.met = a.met && a.findings[i].met;
        *ret = a;
        a = (struct appraisal){};
        return 0;
}
