/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each code is found where it is meant to be, and nowhere else. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ipe-policy/ipe-policy.h"

#define HEADER "policy_name=a policy_version=1.2.3\n"
#define DENY HEADER "DEFAULT action=DENY\n"
#define SIGNED "op=EXECUTE dmverity_signature=TRUE action=ALLOW\n"
#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HASH "sha256:" DIGITS
#define NAMED "op=EXECUTE dmverity_signature=TRUE dmverity_roothash=" HASH " action=ALLOW\n"

struct found {
        char codes[512]; /* "IPE001@1:2 " … */
        char fix[256], replacement[256];
};

static void note(void *userdata, const struct ipe_finding *f)
{
        struct found *found = userdata;
        size_t n = strlen(found->codes);

        (void)snprintf(found->codes + n, sizeof(found->codes) - n, "%s@%u:%u ", f->rule->code, f->place.line,
                       f->place.column);
        (void)snprintf(found->fix, sizeof(found->fix), "%s", f->fix ?: "");
        (void)snprintf(found->replacement, sizeof(found->replacement), "%s", f->replacement ?: "(none)");
}

static struct found lint(const char *text, size_t size, struct ipe_lint_options o)
{
        struct found found = {};
        struct error e = {};

        o.finding = note;
        o.userdata = &found;
        cr_assert_eq(ipe_policy_lint(text, size, &o, &e), 0, "%s", e.message);
        return found;
}

/* Findings beside IPE019, which every policy has that denies anonymous memory. */
static void expect(const char *text, const char *codes)
{
        struct found found = lint(text, strlen(text), (struct ipe_lint_options){});
        char *jit = strstr(found.codes, "IPE019@"), *end;

        if (jit) {
                end = strchr(jit, ' ') + 1;
                memmove(jit, end, strlen(end) + 1);
        }
        cr_expect_str_eq(found.codes, codes, "%s%s", text, found.codes);
}

Test(lint, nothing_to_find)
{
        expect(DENY SIGNED, "");
        expect(DENY NAMED, "");
        expect(DENY "op=KMODULE dmverity_signature=TRUE action=ALLOW\n" SIGNED, "");
}

Test(lint, what_the_kernel_refuses)
{
        expect("", "IPE001@1:1 ");
        expect(DENY "op=EXECUTE dmverity_roothash=sha256:abc action=ALLOW", "IPE001@3:37 ");
        expect(HEADER "DEFAULT op=EXECUTE action=DENY", "IPE001@2:1 ");
        expect("policy_name=a/b policy_version=1.2.3\nDEFAULT action=DENY\n", "IPE001@1:13 ");
}

Test(lint, defaults)
{
        expect(HEADER "DEFAULT op=EXECUTE action=DENY\nDEFAULT op=FIRMWARE action=DENY\nDEFAULT op=KMODULE "
                      "action=DENY\n"
                      "DEFAULT op=KEXEC_IMAGE action=DENY\nDEFAULT op=KEXEC_INITRAMFS action=DENY\n"
                      "DEFAULT op=POLICY action=DENY\nDEFAULT op=X509_CERT action=DENY\n" SIGNED,
               "IPE002@1:1 ");
        expect(DENY "DEFAULT op=KMODULE action=ALLOW\n" SIGNED, "IPE004@3:1 ");
        expect(DENY "op=FIRMWARE action=ALLOW\n" SIGNED, "IPE004@3:1 ");
        expect(DENY "DEFAULT op=EXECUTE action=ALLOW\n", "IPE003@3:1 IPE020@3:1 ");
        expect(DENY "op=EXECUTE dmverity_signature=FALSE action=ALLOW\n", "IPE003@3:1 IPE020@3:1 ");
}

Test(lint, the_initramfs)
{
        static const char text[] = DENY "op=EXECUTE boot_verified=TRUE action=ALLOW\n";
        struct found found = lint(text, strlen(text), (struct ipe_lint_options){.boot = true});

        expect(text, "IPE005@3:1 ");
        cr_expect_not(strstr(found.codes, "IPE005"));
}

Test(lint, rules_that_never_match)
{
        expect(DENY "op=EXECUTE boot_verified=TRUE boot_verified=FALSE action=DENY\n", "IPE006@3:1 ");
        expect(DENY "op=EXECUTE boot_verified=TRUE dmverity_signature=TRUE action=DENY\n", "IPE006@3:1 ");
        expect(DENY "op=EXECUTE dmverity_signature=TRUE dmverity_roothash=sha256:" DIGITS
                    " dmverity_roothash=sha512:" DIGITS DIGITS " action=ALLOW\n",
               "IPE006@3:1 ");
}

Test(lint, rules_behind_others)
{
        expect(DENY SIGNED NAMED, "IPE007@4:1 ");
        expect(DENY "op=EXECUTE action=DENY\n" SIGNED, "IPE007@4:1 ");
        /* The two before it leave nothing together, though neither does alone. */
        expect(DENY SIGNED "op=EXECUTE dmverity_signature=FALSE action=DENY\n" NAMED,
               "IPE008@4:1 IPE007@5:1 ");
        expect(DENY "op=EXECUTE dmverity_signature=TRUE action=DENY\n", "IPE008@3:1 ");
        expect(DENY NAMED SIGNED, "IPE008@3:1 ");
        /* It keeps what is signed from the denial behind it. */
        expect(DENY SIGNED "op=EXECUTE dmverity_roothash=" HASH " action=DENY\n"
                           "op=EXECUTE dmverity_signature=TRUE action=ALLOW\n",
               "IPE008@4:1 IPE007@5:1 ");
        expect(DENY NAMED "op=EXECUTE fsverity_digest=" HASH " action=DENY\n" SIGNED, "");
        expect(DENY "op=EXECUTE dmverity_roothash=" HASH " action=DENY\n" SIGNED, "");
}

Test(lint, digests)
{
        expect(DENY "op=EXECUTE dmverity_signature=TRUE dmverity_roothash=SHA256:" DIGITS " action=ALLOW\n",
               "IPE009@3:36 ");
        expect(DENY "op=EXECUTE dmverity_signature=TRUE dmverity_roothash=crc32:00 action=ALLOW\n",
               "IPE009@3:36 ");
        expect(DENY "op=EXECUTE fsverity_digest=sha384:" DIGITS
                    "00112233445566778899aabbccddeeff action=ALLOW\n",
               "IPE009@3:12 ");
        expect(DENY "op=EXECUTE dmverity_signature=TRUE dmverity_roothash=sha256:00 action=ALLOW\n",
               "IPE010@3:36 ");
        expect(DENY "op=EXECUTE dmverity_signature=TRUE "
                    "dmverity_roothash=sha1:0123456789abcdef0123456789abcdef01234567 action=ALLOW\n",
               "IPE011@3:36 ");
}

Test(lint, small_things)
{
        expect(DENY "op=EXECUTE dmverity_signature=TRUE dmverity_signature=TRUE action=ALLOW\n",
               "IPE012@3:36 ");
        expect(DENY "op=EXECUTE dmverity_roothash=" HASH " action=ALLOW\n", "IPE013@3:1 ");
        expect("policy_name=a policy_version=+1.02.3\nDEFAULT action=DENY\n" SIGNED, "IPE016@1:30 ");
        expect("policy_name=\"a\" policy_version=1.2.3\nDEFAULT action=DENY\n" SIGNED, "IPE017@1:13 ");
}

Test(lint, text_that_nobody_reads)
{
        static const char text[] = DENY SIGNED "\0DEFAULT action=ALLOW\n";
        struct found found = lint(text, sizeof(text) - 1, (struct ipe_lint_options){});

        cr_expect(strstr(found.codes, "IPE018@4:1 "), "%s", found.codes);
}

Test(lint, what_is_asked_for)
{
        static const char text[] = DENY SIGNED;
        _cleanup_policy_ struct ipe_policy *same = NULL;
        struct found found;

        cr_assert_eq(ipe_policy_parse(text, strlen(text), &same, NULL), 0);
        found = lint(text, strlen(text), (struct ipe_lint_options){.allow_list = true, .previous = same});
        cr_expect(strstr(found.codes, "IPE014@3:1 "), "%s", found.codes);
        cr_expect(strstr(found.codes, "IPE015@1:30 "), "%s", found.codes);
        same->version[2]--;
        found = lint(text, strlen(text), (struct ipe_lint_options){.previous = same});
        cr_expect_not(strstr(found.codes, "IPE015"));
}

Test(lint, fixes)
{
        static const char text[] =
                DENY "op=EXECUTE dmverity_signature=TRUE dmverity_roothash=SHA256:" DIGITS " action=ALLOW\n";
        struct found found = lint(text, strlen(text), (struct ipe_lint_options){});

        cr_expect_str_eq(found.replacement, "dmverity_roothash=" HASH);
        cr_expect_str_eq(found.fix, "Write the algorithm in lower case.");
}

Test(lint, codes_are_distinct_and_in_order)
{
        for (size_t i = 0; i < ipe_n_lint_rules; i++) {
                char expected[32];

                (void)snprintf(expected, sizeof(expected), "IPE%03zu", i + 1);
                cr_expect_str_eq(ipe_lint_rules[i].code, expected);
        }
}
