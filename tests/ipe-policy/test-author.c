/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Canonical form, versions, policies from records, and the model of the kernel's policies. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "corpus.h"
#include "ipe-policy/author.h"

#define HEADER "policy_name=a policy_version=1.2.3\n"
#define DENY HEADER "DEFAULT action=DENY\n"
#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void expect_format(const char *text, const char *expected)
{
        _cleanup_free_ char *found = NULL;

        cr_assert_eq(ipe_policy_format(text, strlen(text), &found, NULL), 0);
        cr_expect_str_eq(found, expected);
}

Test(format, canonical_form)
{
        expect_format(DENY, DENY);
        expect_format("\n\n# text  \r\n policy_name=a \t policy_version=+1.02.3 # x\r\n\r\n\r\nDEFAULT  "
                      "action=DENY#y\v",
                      "# text\npolicy_name=a policy_version=1.2.3 # x\n\nDEFAULT action=DENY #y\n");
        expect_format(DENY "op=EXECUTE\tdmverity_roothash=SHA:AB action=ALLOW\xA0\n\n",
                      DENY "op=EXECUTE dmverity_roothash=SHA:ab action=ALLOW\n");
        /* The last byte of a letter in a comment is no blank. */
        expect_format(DENY "# \xC3\xA0\n", DENY "# \xC3\xA0\n");
        expect_format("policy_name=dmverity_roothash=X:AB policy_version=1.2.3\nDEFAULT action=DENY\n",
                      "policy_name=dmverity_roothash=X:AB policy_version=1.2.3\nDEFAULT action=DENY\n");
}

static void count(void *userdata, const struct ipe_difference *d)
{
        (*(unsigned *)userdata)++;
}

Test(format, means_the_same_on_the_whole_corpus)
{
        struct corpus corpus;

        corpus_read(&corpus);
        for (size_t i = 0; i < corpus.n; i++) {
                const struct corpus_case *c = &corpus.cases[i];
                _cleanup_policy_ struct ipe_policy *before = NULL, *after = NULL;
                _cleanup_free_ char *once = NULL, *twice = NULL;
                unsigned n = 0;

                cr_expect_eq(ipe_policy_format(c->text, c->size, &once, NULL), c->error, "%s", c->name);
                if (c->error < 0)
                        continue;
                cr_assert_eq(ipe_policy_parse(c->text, c->size, &before, NULL), 0);
                cr_assert_eq(ipe_policy_parse(once, strlen(once), &after, NULL), 0, "%s", c->name);
                cr_expect_str_eq(before->name, after->name);
                cr_expect_eq(ipe_policy_compare_versions(before->version, after->version), 0);
                cr_assert_eq(ipe_policy_compare(before, after, count, &n, NULL), 0);
                cr_expect_eq(n, 0, "%s", c->name);
                cr_assert_eq(ipe_policy_format(once, strlen(once), &twice, NULL), 0);
                cr_expect_str_eq(once, twice, "%s", c->name);
        }
        corpus_done(&corpus);
}

static void expect_bump(const char *version, enum ipe_version_part part, const char *expected)
{
        _cleanup_free_ char *text = NULL, *wanted = NULL, *found = NULL;
        int r;

        cr_assert_geq(asprintf(&text, "# 1.2.3\npolicy_name=1.2.3 policy_version=%s # v\nDEFAULT action=DENY",
                               version),
                      0);
        r = ipe_policy_bump(text, strlen(text), part, &found, NULL);
        if (!expected) {
                cr_expect_eq(r, -ERANGE);
                return;
        }
        cr_assert_geq(asprintf(&wanted,
                               "# 1.2.3\npolicy_name=1.2.3 policy_version=%s # v\nDEFAULT action=DENY",
                               expected),
                      0);
        cr_assert_eq(r, 0);
        cr_expect_str_eq(found, wanted);
}

Test(format, bump_raises_the_version_alone)
{
        expect_bump("1.2.3", IPE_REVISION, "1.2.4");
        expect_bump("1.2.3", IPE_MINOR, "1.3.0");
        expect_bump("1.2.3", IPE_MAJOR, "2.0.0");
        expect_bump("+1.02.3", IPE_REVISION, "1.2.4");
        expect_bump("1.2.65535", IPE_REVISION, "1.3.0");
        expect_bump("1.65535.65535", IPE_REVISION, "2.0.0");
        expect_bump("65535.65535.65535", IPE_REVISION, NULL);
        expect_bump("65535.0.0", IPE_MAJOR, NULL);
}

/* --- records --- */

#define RECORD(op, where, rule)                                                                              \
        "audit: type=1420 audit(1700000000.1:7): ipe_op=" op                                                 \
        " ipe_hook=BPRM_CHECK enforcing=0 pid=7 comm=\"x\" " where " rule=\"" rule "\"\n"
#define ON(path, device) "path=\"" path "\" dev=\"" device "\" ino=5"
#define BY_DEFAULT "DEFAULT action=DENY"

static void note(void *userdata, const char *operation, const char *path, const char *reason)
{
        char *found = userdata;
        size_t n = strlen(found);

        (void)snprintf(found + n, 2048 - n, "%s %s: %.20s; ", operation, path, reason);
}

static struct ipe_audit_result from_audit(const char *records, const char *expected_rules,
                                          const char *refusals)
{
        static struct ipe_layer layers[] = {
                {.image = (char *)"app",
                 .number = 1,
                 .algorithm = (char *)"sha256",
                 .root_hash = (char *)DIGITS,
                 .is_signed = true},
                {.image = (char *)"app",
                 .number = 2,
                 .algorithm = (char *)"sha256",
                 .root_hash = (char *)"aa"},
        };
        static const struct ipe_device devices[] = {{"dm-1", {"sha256", DIGITS}}, {"dm-2", {"sha256", "aa"}}};
        static const struct ipe_layers all = {layers, ELEMENTSOF(layers)};
        _cleanup_free_ char *text = NULL, *expected = NULL;
        struct ipe_audit_result result;
        char found[2048] = "";
        const struct ipe_audit_options o = {devices, ELEMENTSOF(devices), &all, note, found};
        struct error e = {};

        cr_assert_eq(ipe_policy_from_audit(DENY, strlen(DENY), records, &o, &result, &text, &e), 0, "%s",
                     e.message);
        cr_assert_geq(asprintf(&expected, "policy_name=a policy_version=1.2.4\nDEFAULT action=DENY\n%s",
                               expected_rules),
                      0);
        cr_expect_str_eq(text, expected);
        cr_expect_str_eq(found, refusals);
        return result;
}

Test(audit, one_rule_a_device)
{
        struct ipe_audit_result result =
                from_audit(RECORD("EXECUTE", ON("/app/a", "dm-1"), BY_DEFAULT) "another line\n" RECORD(
                                   "EXECUTE", ON("/app/b", "dm-1"), BY_DEFAULT)
                                   RECORD("EXECUTE", ON("/app/c", "dm-1"), "op=EXECUTE action=ALLOW"),
                           "# /app/a\nop=EXECUTE dmverity_signature=TRUE dmverity_roothash=sha256:" DIGITS
                           " action=ALLOW\n",
                           "");

        cr_expect_eq(result.n_records, 2);
        cr_expect_eq(result.n_rules, 1);
        cr_expect_eq(result.n_refused, 0);
}

Test(audit, what_no_rule_is_written_for)
{
        struct ipe_audit_result result = from_audit(
                RECORD("EXECUTE", "path=? dev=? ino=?", BY_DEFAULT)
                        RECORD("KMODULE", "path=? dev=? ino=?", BY_DEFAULT)
                                RECORD("EXECUTE", ON("/tmp/a", "tmpfs"), BY_DEFAULT)
                                        RECORD("EXECUTE", ON("/app/u", "dm-2"), BY_DEFAULT)
                                                RECORD("EXECUTE", ON("/app/x", "dm-1"),
                                                       "op=EXECUTE dmverity_signature=TRUE action=DENY")
                                                        RECORD("UNKNOWN", ON("/app/x", "dm-1"), BY_DEFAULT),
                "",
                "EXECUTE ?: anonymous executable; KMODULE ?: data without a file:; EXECUTE /tmp/a: on a "
                "device that "
                "--m; EXECUTE /app/u: unsigned: no image h; EXECUTE /app/x: an explicit rule den; UNKNOWN "
                "/app/x: an "
                "operation that ru; ");

        cr_expect_eq(result.n_records, 6);
        cr_expect_eq(result.n_rules, 0);
        cr_expect_eq(result.n_refused, 6);
}

/* The kernel writes paths with odd bytes in hex; none of them may become a line of the policy. */
Test(audit, paths_cannot_write_rules)
{
        (void)from_audit(
                "ipe_op=EXECUTE ipe_hook=MMAP path=2F0A6F703D45584543555445 dev=\"dm-1\" ino=5 "
                "rule=\"" BY_DEFAULT "\"\n",
                "# /\\x0aop=EXECUTE\nop=EXECUTE dmverity_signature=TRUE dmverity_roothash=sha256:" DIGITS
                " action=ALLOW\n",
                "");
}

Test(audit, garbage_is_no_record)
{
        struct ipe_audit_result result =
                from_audit("ipe_op=\nipe_op= path=\" rule=\"\n\xff\xfe ipe_op\n", "",
                           " : an operation that ru;   rule=: an operation that ru; ");

        cr_expect_eq(result.n_refused, 2);
}

/* --- upgrades --- */

static int load(struct ipe_kernel *k, const char *name, const char *version)
{
        _cleanup_free_ char *text = NULL;

        cr_assert_geq(
                asprintf(&text, "policy_name=%s policy_version=%s\nDEFAULT action=DENY\n", name, version), 0);
        return ipe_kernel_load(k, text, strlen(text), NULL);
}

static int update(struct ipe_kernel *k, const char *at, const char *name, const char *version)
{
        _cleanup_free_ char *text = NULL;

        cr_assert_geq(
                asprintf(&text, "policy_name=%s policy_version=%s\nDEFAULT action=DENY\n", name, version), 0);
        return ipe_kernel_update(k, at, text, strlen(text), NULL);
}

Test(upgrade, the_kernels_answers)
{
        _cleanup_(ipe_kernel_free_ptr) struct ipe_kernel *k = ipe_kernel_new();

        cr_assert(k);
        cr_expect_eq(ipe_kernel_activate(k, "a", NULL), -ENOENT);
        cr_expect_eq(update(k, "a", "a", "1.0.0"), -ENOENT);
        cr_expect_eq(load(k, "a", "1.0.0"), 0);
        cr_expect_eq(load(k, "a", "2.0.0"), -EEXIST);
        cr_expect_eq(load(k, "b", "1.0"), -EBADMSG);
        cr_expect_eq(ipe_kernel_activate(k, "a", NULL), 0);
        cr_expect_eq(ipe_kernel_delete(k, "a", NULL), -EPERM);
        cr_expect_eq(update(k, "a", "a", "1.0.0"), -ESTALE);
        cr_expect_eq(update(k, "a", "b", "2.0.0"), -EINVAL);
        cr_expect_eq(update(k, "a", "a", "1.0.1"), 0);
        /* The active policy was updated in place: its version counts now. */
        cr_expect_eq(load(k, "old", "1.0.0"), 0);
        cr_expect_eq(ipe_kernel_activate(k, "old", NULL), -EINVAL);
        cr_expect_eq(load(k, "equal", "1.0.1"), 0);
        cr_expect_eq(ipe_kernel_activate(k, "equal", NULL), 0);
        cr_expect_eq(ipe_kernel_delete(k, "a", NULL), 0);
        cr_expect_eq(ipe_kernel_delete(k, "a", NULL), -ENOENT);
}
