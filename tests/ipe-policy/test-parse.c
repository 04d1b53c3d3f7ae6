/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parser gives the kernel's verdicts, on a corpus that the real kernel is asked about in tests/vm/bare.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "corpus.h"
#include "ipe-policy/ipe-policy.h"

#define HEADER "policy_name=a policy_version=1.2.3\n"

static void check(const struct corpus_case *c)
{
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        struct error e = {};
        int r;

        r = ipe_policy_parse(c->text, c->size, &policy, &e);
        cr_expect_eq(r, c->error, "%s: %d expected, found %d (%s)", c->name, c->error, r, e.message);
        cr_expect_eq(e.message[0] != '\0', r < 0, "%s: a message comes with an error and only then", c->name);
        for (size_t i = 0; r == 0 && i < 3; i++)
                cr_expect_eq(policy->version[i], c->version[i], "%s: version part %u expected, found %u",
                             c->name, c->version[i], policy->version[i]);
}

Test(parse, the_kernels_verdicts)
{
        struct corpus corpus;

        corpus_read(&corpus);
        cr_expect_geq(corpus.n, 450);
        for (size_t i = 0; i < corpus.n; i++)
                check(&corpus.cases[i]);
        corpus_done(&corpus);
}

Test(parse, what_a_policy_holds)
{
        static const char text[] =
                "policy_name=host policy_version=1.0.7\nDEFAULT action=DENY\n# text\n"
                "DEFAULT op=KMODULE action=ALLOW\r\n"
                "  op=EXECUTE\tboot_verified=FALSE dmverity_roothash=sha256:AbCd action=ALLOW";
        _cleanup_policy_ struct ipe_policy *p = NULL;
        const struct ipe_rule *rule;

        cr_assert_eq(ipe_policy_parse(text, strlen(text), &p, NULL), 0);
        cr_expect_str_eq(p->name, "host");
        cr_expect_eq(p->version[2], 7);
        cr_expect_eq(p->version_place.column, 33);
        cr_expect(p->global.given && !p->global.allow);
        cr_expect(p->defaults[IPE_KMODULE].given && p->defaults[IPE_KMODULE].allow);
        cr_expect_not(p->defaults[IPE_EXECUTE].given);
        cr_assert_eq(p->n_rules, 1);
        rule = &p->rules[0];
        cr_expect(rule->operation == IPE_EXECUTE && rule->allow);
        cr_expect_eq(rule->place.line, 5);
        cr_expect_eq(rule->place.column, 3);
        cr_assert_eq(rule->n_properties, 2);
        cr_expect_str_eq(rule->properties[1].digest.algorithm, "sha256");
        cr_expect_str_eq(rule->properties[1].digest.hex, "abcd");
        cr_expect_eq(rule->properties[1].place.column, 34);
}

static void expect_message(const char *text, const char *message)
{
        _cleanup_policy_ struct ipe_policy *p = NULL;
        struct error e = {};

        cr_expect_lt(ipe_policy_parse(text, strlen(text), &p, &e), 0);
        cr_expect_str_eq(e.message, message);
}

Test(parse, messages_name_line_column_and_token)
{
        expect_message(HEADER "DEFAULT action=DENY\n op=EXECUTE dmverity_roothash=sha256:abc action=ALLOW",
                       "3:38: an even number of hexadecimal digits expected, found \"abc\"");
        expect_message(
                HEADER "DEFAULT action=\x1b[2J",
                "2:9: \"action=ALLOW\" or \"action=DENY\" at the end expected, found \"action=\\x1b[2J\"");
        expect_message(HEADER "DEFAULT op=POLICY action=DENY",
                       "2:1: a DEFAULT for all operations or for EXECUTE expected, found none");
}

Test(parse, too_large)
{
        static char text[IPE_POLICY_MAX + 1];
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        static const char small[] = HEADER "DEFAULT action=DENY\n";

        memset(text, '\n', sizeof(text));
        *stpcpy(text, small) = '\n';
        cr_expect_eq(ipe_policy_parse(text, sizeof(text), &policy, NULL), -EMSGSIZE);
        cr_expect_eq(ipe_policy_parse(text, IPE_POLICY_MAX, &policy, NULL), 0);
}

Test(parse, versions)
{
        static const uint16_t low[] = {1, 2, 3}, high[] = {1, 10, 0};

        cr_expect_lt(ipe_policy_compare_versions(low, high), 0);
        cr_expect_gt(ipe_policy_compare_versions(high, low), 0);
        cr_expect_eq(ipe_policy_compare_versions(low, low), 0);
}
