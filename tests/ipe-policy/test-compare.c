/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Differences in meaning: found whatever the texts look like, and not found where there are none. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ipe-policy/ipe-policy.h"

#define HEADER "policy_name=a policy_version=1.2.3\n"
#define DENY HEADER "DEFAULT action=DENY\n"
#define SIGNED "op=EXECUTE dmverity_signature=TRUE action=ALLOW\n"
#define A "dmverity_roothash=sha256:aa"
#define B "dmverity_roothash=sha256:bb"

static void note(void *userdata, const struct ipe_difference *d)
{
        char *found = userdata;
        size_t n = strlen(found);
        _cleanup_free_ char *subject = ipe_subject_to_string(&d->subject);

        cr_expect_neq(d->before.allow, d->after.allow);
        (void)snprintf(found + n, 1024 - n, "%c%s %s %u %u; ", d->after.allow ? '+' : '-',
                       ipe_operation_to_string(d->before.operation), subject, d->before.line, d->after.line);
}

static void expect(const char *before, const char *after, const char *differences)
{
        _cleanup_policy_ struct ipe_policy *a = NULL, *b = NULL;
        char found[1024] = "";

        cr_assert_eq(ipe_policy_parse(before, strlen(before), &a, NULL), 0);
        cr_assert_eq(ipe_policy_parse(after, strlen(after), &b, NULL), 0);
        cr_assert_eq(ipe_policy_compare(a, b, note, found, NULL), 0);
        cr_expect_str_eq(found, differences, "from %s to %s: %s", before, after, found);
}

Test(compare, no_difference)
{
        expect(DENY SIGNED, DENY SIGNED, "");
        expect(DENY SIGNED,
               "\n# text\npolicy_name=b policy_version=9.9.9\nDEFAULT action=DENY\n" SIGNED SIGNED, "");
        expect(DENY "op=EXECUTE " A " action=ALLOW\nop=EXECUTE " B " action=ALLOW\n",
               DENY "op=EXECUTE " B " action=ALLOW\nop=EXECUTE " A " action=ALLOW\n", "");
        expect(DENY SIGNED, DENY SIGNED "op=EXECUTE dmverity_signature=TRUE " A " action=ALLOW\n", "");
}

Test(compare, what_becomes_allowed_or_denied)
{
        expect(DENY, DENY SIGNED, "+EXECUTE dmverity_signature=TRUE dmverity_roothash=*:* 2 3; ");
        expect(DENY SIGNED, DENY, "-EXECUTE dmverity_signature=TRUE dmverity_roothash=*:* 3 2; ");
        expect(DENY, DENY "DEFAULT op=KMODULE action=ALLOW\n", "+KMODULE no property 2 3; ");
        expect(DENY SIGNED, DENY "op=EXECUTE dmverity_signature=TRUE " A " action=DENY\n" SIGNED,
               "-EXECUTE dmverity_signature=TRUE dmverity_roothash=sha256:aa 3 3; ");
        expect(DENY "op=EXECUTE " A " action=ALLOW\n", DENY "op=EXECUTE " B " action=ALLOW\n",
               "-EXECUTE dmverity_roothash=sha256:aa 3 2; +EXECUTE dmverity_roothash=sha256:bb 2 3; ");
}
