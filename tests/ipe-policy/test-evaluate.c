/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* First matching rule, else the operation's default, else the global one; named as the kernel's record does.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "ipe-policy/ipe-policy.h"
#include "ipe-policy/observe.h"

#define HEADER "policy_name=a policy_version=1.2.3\n"
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct ipe_policy *parse(const char *text)
{
        struct ipe_policy *p = NULL;
        struct error e = {};

        cr_assert_eq(ipe_policy_parse(text, strlen(text), &p, &e), 0, "%s", e.message);
        return p;
}

static void expect(const char *rules, enum ipe_operation operation, const struct ipe_subject *s, bool allow,
                   const char *record)
{
        _cleanup_free_ char *text = NULL, *found = NULL;
        _cleanup_policy_ struct ipe_policy *p = NULL;
        struct ipe_decision d;

        cr_assert_geq(asprintf(&text, HEADER "%s", rules), 0);
        p = parse(text);
        ipe_policy_evaluate(p, operation, s, &d);
        found = ipe_decision_to_string(&d);
        cr_expect_eq(d.allow, allow, "%s", rules);
        cr_expect_str_eq(found, record);
}

Test(evaluate, the_rule_that_decides)
{
        static const struct ipe_subject none = {}, initramfs = {.boot_verified = true},
                                        is_signed = {.dmverity_signature = true,
                                                     .dmverity_roothash = {"sha256", HASH}};

        expect("DEFAULT action=DENY\n", IPE_EXECUTE, &none, false, "\"DEFAULT action=DENY\"");
        expect("DEFAULT action=DENY\nDEFAULT op=KMODULE action=ALLOW\n", IPE_KMODULE, &none, true,
               "\"DEFAULT op=KMODULE action=ALLOW\"");
        expect("DEFAULT action=DENY\nop=EXECUTE boot_verified=TRUE action=ALLOW\n", IPE_EXECUTE, &initramfs,
               true, "\"op=EXECUTE boot_verified=TRUE action=ALLOW\"");
        expect("DEFAULT action=DENY\nop=EXECUTE boot_verified=TRUE action=ALLOW\n", IPE_KMODULE, &initramfs,
               false, "\"DEFAULT action=DENY\"");
        expect("DEFAULT action=DENY\nop=EXECUTE dmverity_signature=TRUE action=ALLOW\n"
               "op=EXECUTE action=DENY\n",
               IPE_EXECUTE, &is_signed, true, "\"op=EXECUTE dmverity_signature=TRUE action=ALLOW\"");
        expect("DEFAULT action=ALLOW\nop=EXECUTE dmverity_roothash=sha256:" HASH " action=DENY\n",
               IPE_EXECUTE, &is_signed, false,
               "\"op=EXECUTE dmverity_roothash=\"sha256\":"
               "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF action=DENY\"");
        expect("DEFAULT action=DENY\nop=EXECUTE dmverity_roothash=SHA256:" HASH " action=ALLOW\n",
               IPE_EXECUTE, &is_signed, false, "\"DEFAULT action=DENY\"");
        /* Two properties must both hold. */
        expect("DEFAULT action=DENY\nop=EXECUTE dmverity_signature=TRUE boot_verified=TRUE action=ALLOW\n",
               IPE_EXECUTE, &is_signed, false, "\"DEFAULT action=DENY\"");
}

Test(evaluate, an_algorithm_of_odd_bytes_is_recorded_in_hex)
{
        static const struct ipe_subject s = {.fsverity_digest = {"a\"b", "ff"}};

        expect("DEFAULT action=DENY\nop=POLICY fsverity_digest=a\"b:FF action=ALLOW\n", IPE_POLICY, &s, true,
               "\"op=POLICY fsverity_digest=612262:FF action=ALLOW\"");
}

/* Whether what nothing vouches for may execute. */
Test(evaluate, what_allows_anything)
{
        static const struct {
                const char *text;
                bool expected;
        } table[] = {
                {HEADER "DEFAULT action=ALLOW", true},
                {HEADER "DEFAULT action=ALLOW\nDEFAULT op=EXECUTE action=DENY", false},
                {HEADER "DEFAULT action=DENY\nDEFAULT op=EXECUTE action=ALLOW", true},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE action=ALLOW", true},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE dmverity_signature=FALSE action=ALLOW", true},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE dmverity_signature=TRUE action=ALLOW", false},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE dmverity_roothash=sha256:ab action=ALLOW", false},
                {HEADER "DEFAULT action=DENY\nop=KMODULE action=ALLOW", false},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE action=DENY", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_policy_ struct ipe_policy *p = parse(table[i].text);

                cr_expect_eq(ipe_policy_allows_anything(p), table[i].expected, "%s", table[i].text);
        }
}

Test(evaluate, what_allows_the_initramfs)
{
        _cleanup_policy_ struct ipe_policy
                *allow = parse(HEADER "DEFAULT action=DENY\nop=EXECUTE boot_verified=TRUE action=DENY\n"
                                      "op=EXECUTE boot_verified=TRUE action=ALLOW\n"),
                *deny = parse(HEADER "DEFAULT action=DENY\nop=EXECUTE boot_verified=TRUE action=DENY\n");

        cr_expect(ipe_policy_allows_boot_verified(allow));
        cr_expect_not(ipe_policy_allows_boot_verified(deny));
}

#define TABLE "1 7:0 7:0 4096 4096 100 101 sha256 "

Test(observe, a_table_says_root_hash_and_signature)
{
        struct ipe_observation o = {};

        cr_assert_eq(ipe_observe_table(TABLE HASH " 00 2 root_hash_sig_key_desc x:y", &o, NULL), 0);
        cr_expect_str_eq(o.subject.dmverity_roothash.algorithm, "sha256");
        cr_expect_str_eq(o.subject.dmverity_roothash.hex, HASH);
        cr_expect(o.subject.dmverity_signature);
        cr_assert_eq(ipe_observe_table(TABLE HASH " - 1 ignore_corruption", &o, NULL), 0);
        cr_expect_not(o.subject.dmverity_signature);
}

Test(observe, a_table_of_another_kind_is_refused)
{
        static const char *const tables[] = {"", "7:0 0", TABLE, TABLE "xyz -", TABLE "abc -"};
        struct ipe_observation o = {};

        for (size_t i = 0; i < ELEMENTSOF(tables); i++)
                cr_expect_eq(ipe_observe_table(tables[i], &o, NULL), -EBADMSG, "%s", tables[i]);
}
