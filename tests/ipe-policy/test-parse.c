/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's own verdicts on small texts (Linux 6.12): accepted or refused, and with which errno. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "ipe-policy/ipe-policy.h"

#define HEADER "policy_name=a policy_version=1.2.3\n"

struct verdict {
        char text[400];
        int expected;
};

ParameterizedTestParameters(parse, verdicts)
{
        static struct verdict table[] = {
                {HEADER "DEFAULT action=ALLOW", 0},
                {HEADER "DEFAULT action=DENY\r\nop=EXECUTE boot_verified=TRUE action=ALLOW\n\n", 0},
                {"\n \t\n# comment\n" HEADER "DEFAULT action=DENY # rest\n", 0},
                {"policy_name=a policy_version=+1.01.65535\nDEFAULT action=DENY", 0},
                {HEADER "DEFAULT op=EXECUTE action=DENY\nDEFAULT op=FIRMWARE action=DENY\nDEFAULT op=KMODULE "
                        "action=DENY\n"
                        "DEFAULT op=KEXEC_IMAGE action=DENY\nDEFAULT op=KEXEC_INITRAMFS action=DENY\n"
                        "DEFAULT op=POLICY action=DENY\nDEFAULT op=X509_CERT action=DENY\n",
                 0},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE action=ALLOW", 0},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE dmverity_roothash=sha256:AbCd action=ALLOW", 0},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE dmverity_roothash=: action=ALLOW", 0},
                {"", -EBADMSG},
                {HEADER, -EBADMSG},
                {"DEFAULT action=ALLOW", -EBADMSG},
                {"policy_version=1.2.3 policy_name=a\nDEFAULT action=ALLOW", -EBADMSG},
                {"policy_name= policy_version=1.2.3\nDEFAULT action=ALLOW", -EBADMSG},
                {"policy_name=a policy_version=1.2.3 x\nDEFAULT action=ALLOW", -EBADMSG},
                {"policy_name=a policy_version=1.2\nDEFAULT action=ALLOW", -EBADMSG},
                {"policy_name=a policy_version=1.2.x\nDEFAULT action=ALLOW", -EINVAL},
                {"policy_name=a policy_version=1.2.65536\nDEFAULT action=ALLOW", -ERANGE},
                {"policy_name=../a policy_version=1.2.3\nDEFAULT action=ALLOW", -EACCES},
                {HEADER "DEFAULT action=ALLOW\nDEFAULT action=ALLOW", -EBADMSG},
                {HEADER "DEFAULT op=EXECUTE action=DENY", -EBADMSG},
                {HEADER "DEFAULT boot_verified=TRUE action=DENY", -EBADMSG},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE boot_verified=true action=ALLOW", -EBADMSG},
                {HEADER "DEFAULT action=DENY\nop=EXECUTED action=ALLOW", -EBADMSG},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE action=ALLOW boot_verified=TRUE", -EBADMSG},
                {HEADER "DEFAULT action=DENY\naction=ALLOW op=EXECUTE", -EBADMSG},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE", -EBADMSG},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE dmverity_roothash=sha256 action=ALLOW", -EBADMSG},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE dmverity_roothash=sha256:abc action=ALLOW", -EINVAL},
                {HEADER "DEFAULT action=DENY\nop=EXECUTE unknown=TRUE action=ALLOW", -EBADMSG},
        };

        return cr_make_param_array(struct verdict, table, sizeof(table) / sizeof(table[0]));
}

ParameterizedTest(struct verdict *v, parse, verdicts)
{
        struct ipe_policy policy;
        struct error e = {};
        int r;

        r = ipe_policy_parse(v->text, strlen(v->text), &policy, &e);
        cr_expect_eq(r, v->expected, "%d expected, found %d (%s) for: %s", v->expected, r, e.message,
                     v->text);
        cr_expect_eq(e.message[0] != '\0', r < 0, "a message comes with an error and only then: %s", v->text);
}

Test(parse, facts)
{
        static const char text[] =
                "policy_name=host policy_version=1.0.7\nDEFAULT action=DENY\n"
                "op=EXECUTE boot_verified=TRUE action=DENY\nop=EXECUTE boot_verified=TRUE action=ALLOW\n";
        struct ipe_policy policy;

        cr_assert_eq(ipe_policy_parse(text, strlen(text), &policy, NULL), 0);
        cr_expect_str_eq(policy.name, "host");
        cr_expect_eq(policy.version[2], 7);
        cr_expect_eq(policy.n_rules, 2);
        cr_expect(policy.allows_boot_verified);
}

Test(parse, a_denied_property_is_no_trust)
{
        static const char text[] = HEADER "DEFAULT action=DENY\nop=EXECUTE boot_verified=TRUE action=DENY\n";
        struct ipe_policy policy;

        cr_assert_eq(ipe_policy_parse(text, strlen(text), &policy, NULL), 0);
        cr_expect_not(policy.allows_boot_verified);
}

/* Whether a file without any property that must hold may execute. */
Test(parse, what_allows_anything)
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

        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                struct ipe_policy policy;

                cr_assert_eq(ipe_policy_parse(table[i].text, strlen(table[i].text), &policy, NULL), 0);
                cr_expect_eq(policy.allows_anything, table[i].expected, "%s", table[i].text);
        }
}

Test(parse, text_ends_at_nul)
{
        static const char text[] = HEADER "DEFAULT action=DENY\0garbage";
        struct ipe_policy policy;

        cr_expect_eq(ipe_policy_parse(text, sizeof(text), &policy, NULL), 0);
}

Test(parse, too_large)
{
        static char text[IPE_POLICY_MAX + 1];
        struct ipe_policy policy;

        memset(text, '\n', sizeof(text));
        cr_expect_eq(ipe_policy_parse(text, sizeof(text), &policy, NULL), -EFBIG);
}

Test(parse, versions)
{
        static const uint16_t low[] = {1, 2, 3}, high[] = {1, 10, 0};

        cr_expect_lt(ipe_policy_compare_versions(low, high), 0);
        cr_expect_gt(ipe_policy_compare_versions(high, low), 0);
        cr_expect_eq(ipe_policy_compare_versions(low, low), 0);
}
