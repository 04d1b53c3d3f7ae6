/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of an IPE policy, of anybody's making: parsed, linted, evaluated, and formatted without another
 * meaning. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "ipe-policy/author.h"

static void check_finding(void *userdata, const struct ipe_finding *f)
{
        const size_t *size = userdata;

        PROMISE(f->message[0] != '\0' && f->place.line > 0 && f->place.column > 0);
        PROMISE(f->place.offset + f->place.length <= *size);
}

static void check_lint(const char *text, size_t size, const struct ipe_policy *policy)
{
        struct ipe_lint_options o = {
                .allow_list = true, .previous = policy, .finding = check_finding, .userdata = &size};

        PROMISE(ipe_policy_lint(text, size, &o, NULL) == 0);
}

static void check_no_difference(void *userdata, const struct ipe_difference *d)
{
        PROMISE(false);
}

static void check_same_rules(const struct ipe_policy *a, const struct ipe_policy *b)
{
        PROMISE(strcmp(a->name, b->name) == 0 && ipe_policy_compare_versions(a->version, b->version) == 0);
        PROMISE(a->n_rules == b->n_rules);
        for (size_t i = 0; i < a->n_rules; i++)
                PROMISE(a->rules[i].operation == b->rules[i].operation &&
                        a->rules[i].allow == b->rules[i].allow &&
                        a->rules[i].n_properties == b->rules[i].n_properties);
        PROMISE(ipe_policy_compare(a, b, check_no_difference, NULL, NULL) == 0);
}

static void check_format(const char *text, size_t size, const struct ipe_policy *policy)
{
        _cleanup_policy_ struct ipe_policy *again = NULL;
        _cleanup_free_ char *once = NULL, *twice = NULL;

        PROMISE(ipe_policy_format(text, size, &once, NULL) == 0);
        PROMISE(ipe_policy_parse(once, strlen(once), &again, NULL) == 0);
        check_same_rules(policy, again);
        PROMISE(ipe_policy_format(once, strlen(once), &twice, NULL) == 0);
        PROMISE(strcmp(once, twice) == 0);
}

static void check_decisions(const struct ipe_policy *policy)
{
        static const struct ipe_subject subjects[] = {
                {}, {.boot_verified = true}, {.dmverity_signature = true}};

        for (enum ipe_operation i = 0; i < IPE_OPERATIONS; i++)
                for (size_t k = 0; k < ELEMENTSOF(subjects); k++) {
                        _cleanup_free_ char *rule = NULL;
                        struct ipe_decision d;

                        ipe_policy_evaluate(policy, i, &subjects[k], &d);
                        rule = ipe_decision_to_string(&d);
                        PROMISE(rule && strstr(rule, d.allow ? "action=ALLOW\"" : "action=DENY\""));
                        PROMISE(d.line > 0);
                }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        const char *text = (const char *)data;
        struct error e = {};
        int r = ipe_policy_parse(text, size, &policy, &e);

        PROMISE((r < 0) == (e.message[0] != '\0'));
        PROMISE((r < 0) == !policy);
        check_lint(text, size, policy);
        if (!policy)
                return 0;
        check_decisions(policy);
        check_format(text, size, policy);
        return 0;
}
