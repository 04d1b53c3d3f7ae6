/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Differences and findings come from a few examples of files. Here random policies are judged on all files of
 * a small world too: the answers are the same. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipe-policy/ipe-policy.h"

#define HEADER "policy_name=a policy_version=1.2.3\n"
#define TEXT_MAX 2048

/* Policies of a small world: two digests each for dm-verity and fs-verity, and one that nobody names. */
static const char *const properties[] = {
        "boot_verified=TRUE",          "boot_verified=FALSE",         "dmverity_signature=TRUE",
        "dmverity_signature=FALSE",    "fsverity_signature=TRUE",     "fsverity_signature=FALSE",
        "dmverity_roothash=sha256:aa", "dmverity_roothash=sha256:bb", "fsverity_digest=sha256:aa",
        "fsverity_digest=sha256:bb",
};

static struct ipe_policy *random_policy(unsigned *seed, char text[static TEXT_MAX])
{
        struct ipe_policy *p = NULL;
        int n = snprintf(text, TEXT_MAX, HEADER "DEFAULT action=%s\n", rand_r(seed) % 2 ? "ALLOW" : "DENY");

        for (int rules = rand_r(seed) % 6; rules > 0; rules--) {
                n += snprintf(text + n, TEXT_MAX - (size_t)n, "op=EXECUTE");
                for (int k = rand_r(seed) % 4; k > 0; k--)
                        n += snprintf(text + n, TEXT_MAX - (size_t)n, " %s",
                                      properties[(size_t)rand_r(seed) % ELEMENTSOF(properties)]);
                n += snprintf(text + n, TEXT_MAX - (size_t)n, " action=%s\n",
                              rand_r(seed) % 2 ? "ALLOW" : "DENY");
        }
        cr_assert_eq(ipe_policy_parse(text, (size_t)n, &p, NULL), 0, "%s", text);
        return p;
}

/* Number i of all files of that world; false past the last. */
static bool file_of_the_world(unsigned i, struct ipe_subject *ret)
{
        static const struct ipe_digest digests[] = {{}, {"sha256", "aa"}, {"sha256", "bb"}, {"sha256", "cc"}};
        unsigned root_hash = i / 2 % 4, digest = i / 16 % 4;

        *ret = (struct ipe_subject){
                .dmverity_signature = root_hash > 0 && i % 2,
                .dmverity_roothash = digests[root_hash],
                .fsverity_signature = digest > 0 && i / 8 % 2,
                .fsverity_digest = digests[digest],
                .boot_verified = i == 64,
        };
        return i <= 64;
}

static bool differ_somewhere(const struct ipe_policy *a, const struct ipe_policy *b)
{
        struct ipe_subject s;
        struct ipe_decision d, e;

        for (unsigned i = 0; file_of_the_world(i, &s); i++) {
                ipe_policy_evaluate(a, IPE_EXECUTE, &s, &d);
                ipe_policy_evaluate(b, IPE_EXECUTE, &s, &e);
                if (d.allow != e.allow)
                        return true;
        }
        return false;
}

static void count_executions(void *userdata, const struct ipe_difference *d)
{
        if (d->before.operation == IPE_EXECUTE)
                (*(unsigned *)userdata)++;
}

Test(world, compare_finds_a_difference_where_there_is_one)
{
        unsigned seed = 1, different = 0;
        char text[TEXT_MAX];

        for (unsigned i = 0; i < 3000; i++) {
                _cleanup_policy_ struct ipe_policy *a = random_policy(&seed, text),
                                                   *b = random_policy(&seed, text);
                bool expected = differ_somewhere(a, b);
                unsigned n = 0;

                cr_assert_eq(ipe_policy_compare(a, b, count_executions, &n, NULL), 0);
                cr_assert_eq(n > 0, expected, "pair %u", i);
                different += expected;
        }
        /* Both answers are met often. */
        cr_expect(different > 500 && different < 2900, "%u", different);
}

enum use { NEVER_MATCHES, SHADOWED, WITHOUT_EFFECT, NEEDED, USES };

/* What the rule is good for, on all files of the world. */
static enum use use_of(const struct ipe_policy *p, const struct ipe_rule *rule)
{
        enum use use = NEVER_MATCHES;
        struct ipe_policy rest = *p;
        struct ipe_subject s;

        rest.rules = p->rules + (rule - p->rules) + 1;
        rest.n_rules = p->n_rules - (size_t)(rule - p->rules) - 1;
        for (unsigned i = 0; file_of_the_world(i, &s); i++) {
                struct ipe_decision d, behind;
                bool matches = true;

                for (size_t k = 0; k < rule->n_properties; k++)
                        matches = matches && ipe_property_holds(&rule->properties[k], &s);
                if (!matches)
                        continue;
                ipe_policy_evaluate(p, IPE_EXECUTE, &s, &d);
                ipe_policy_evaluate(&rest, IPE_EXECUTE, &s, &behind);
                if (d.rule == rule && behind.allow != d.allow)
                        return NEEDED;
                if (d.rule == rule)
                        use = WITHOUT_EFFECT;
                else if (use == NEVER_MATCHES)
                        use = SHADOWED;
        }
        return use;
}

/* The code's number for each line. */
static void note_use(void *userdata, const struct ipe_finding *f)
{
        static const char *const codes[] = {"IPE006", "IPE007", "IPE008"};
        enum use *found = userdata;

        for (enum use i = 0; i < NEEDED; i++)
                if (strcmp(f->rule->code, codes[i]) == 0)
                        found[f->place.line] = i;
}

Test(world, lint_knows_what_rules_are_good_for)
{
        unsigned seed = 7, met[USES] = {};
        char text[TEXT_MAX];

        for (unsigned i = 0; i < 3000; i++) {
                _cleanup_policy_ struct ipe_policy *p = random_policy(&seed, text);
                enum use found[16];
                struct ipe_lint_options o = {.finding = note_use, .userdata = found};

                for (size_t k = 0; k < ELEMENTSOF(found); k++)
                        found[k] = NEEDED;
                cr_assert_eq(ipe_policy_lint(text, strlen(text), &o, NULL), 0);
                for (size_t k = 0; k < p->n_rules; k++) {
                        enum use expected = use_of(p, &p->rules[k]);

                        cr_assert_eq(found[p->rules[k].place.line], expected,
                                     "rule %zu: %d expected, found %d: %s", k, (int)expected,
                                     (int)found[p->rules[k].place.line], text);
                        met[expected]++;
                }
        }
        for (enum use i = 0; i < USES; i++)
                cr_expect_gt(met[i], 100, "%d", (int)i);
}
