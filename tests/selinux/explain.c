/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records are read whatever stands around them, and explained by the policy's own text. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "selinux/avc.h"
#include "selinux/selinux.h"
#include "test.h"

#define FIELDS " scontext=a:b:c:s0:c1,c2 tcontext=d:e:f:s0 tclass=file"

struct line {
        char text[256];
        int expected;
};

static struct line lines[] = {
        {"[ 1.0] audit: type=1400 audit(1.2:3): avc:  denied  { read open } for  pid=1 comm=\"x\"" FIELDS
         " permissive=0",
         1},
        {"type=AVC msg=audit(1.2:3): avc:  granted  { load_policy } for" FIELDS, 1},
        {"msg='avc:  denied  { start } for cmdline=\"a scontext=b\"" FIELDS " exe=\"/x\"'", 1},
        {"avc: denied { read } for" FIELDS "\r", 1},
        {"avc:  received setenforce notice (enforcing=1)", 0},
        {"nothing of the kind", 0},
        {"", 0},
        {"avc: denied { read for" FIELDS, -EINVAL},
        {"avc: denied { } for" FIELDS, -EINVAL},
        {"avc: denied { re\"ad } for" FIELDS, -EINVAL},
        {"avc: denied { read } for scontext=a:b:c:s0 tclass=file", -EINVAL},
        {"avc: denied { read } for" FIELDS " scontext=g:h:i:s0", -EINVAL},
        {"avc: denied { read } for scontext=\"a b\" tcontext=a tclass=file", -EINVAL},
        {"avc: denied { read } for scontext= tcontext=a tclass=file", -EINVAL},
        {"avc: denied { read } for scontext=\xff\xfe tcontext=a tclass=file", -EINVAL},
        {"avc: denied", -EINVAL},
};

ParameterizedTestParameters(avc, lines)
{
        return cr_make_param_array(struct line, lines, ELEMENTSOF(lines));
}

ParameterizedTest(struct line *l, avc, lines)
{
        struct avc avc;
        struct error e = {};
        int r = avc_parse(l->text, strlen(l->text), &avc, &e);

        cr_expect_eq(r, l->expected, "%s: %d expected, found %d %s", l->text, l->expected, r, e.message);
        if (r == 1) {
                cr_expect_str_eq(avc.source, "a:b:c:s0:c1,c2");
                cr_expect_str_eq(avc.target, "d:e:f:s0");
                cr_expect_str_eq(avc.class, "file");
        }
}

Test(avc, a_nul_byte_ends_no_check)
{
        static const char line[] = "avc: denied { read } for scontext=a:b:c:s0\0x tcontext=a tclass=file";
        struct avc avc;
        struct error e = {};

        cr_expect_eq(avc_parse(line, sizeof(line) - 1, &avc, &e), -EINVAL);
}

Test(avc, permissions_are_kept)
{
        static const char line[] = "avc: denied { read open } for" FIELDS;
        struct avc avc;
        struct error e = {};

        cr_assert_eq(avc_parse(line, sizeof(line) - 1, &avc, &e), 1);
        cr_expect(avc.denied);
        cr_expect_str_eq(avc.permissions, "read open");
}

struct denied {
        char subject[64], object[80], class[32], permission[24];
        enum selinux_verdict verdict;
        char text[80]; /* of the first rule, or the comment where there is none */
        char comment[64];
};

static struct denied denials[] = {
        {HOST("init_t"), OBJECT("selinuxfs_t"), "security", "load_policy", SELINUX_FORBIDDEN,
         "(neverallow not_osguard selinuxfs_t", "1. Nobody but osguard"},
        {HOST("networkd_t"), OBJECT("tmp_t"), "file", "execute", SELINUX_FORBIDDEN,
         "(neverallow subject unverified_o", "3. Only verified"},
        {CONTAINER("c1,c2"), CONTAINER("c1,c2"), "process", "execmem", SELINUX_FORBIDDEN, "execmem",
         "5. No memory"},
        {CONTAINER("c1,c2"), OBJECT_OF("container_file_t", "c3,c4"), "file", "read", SELINUX_CONSTRAINED,
         "(mlsconstrain (file (all))", ""},
        {CONTAINER("c1,c2"), OBJECT_OF("container_file_t", "c1,c2"), "file", "read", SELINUX_ALLOWED, "", ""},
        {HOST("networkd_t"), OBJECT("tmp_t"), "file", "read", SELINUX_RULE_NEEDED, "", ""},
        {HOST("nobody_t"), OBJECT("tmp_t"), "file", "read", SELINUX_UNKNOWN, "", "'nobody_t'"},
        {HOST("init_t"), OBJECT("nothing_t"), "file", "read", SELINUX_UNKNOWN, "", "'nothing_t'"},
        {HOST("init_t"), OBJECT("tmp_t"), "fil", "read", SELINUX_UNKNOWN, "", "class 'fil'"},
        {HOST("init_t"), OBJECT("tmp_t"), "file", "red", SELINUX_UNKNOWN, "", "permission 'red'"},
        {HOST("init_t"), OBJECT_OF("tmp_t", "c4096"), "file", "read", SELINUX_UNKNOWN, "", "c4096"},
};

ParameterizedTestParameters(explain, verdicts)
{
        return cr_make_param_array(struct denied, denials, ELEMENTSOF(denials));
}

ParameterizedTest(struct denied *d, explain, verdicts)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct selinux_explanation x;
        struct error e = {};

        cr_assert_eq(selinux_policy_compile(POLICY, &p, &e), 0, "%s", e.message);
        cr_assert_eq(selinux_policy_explain(p, d->subject, d->object, d->class, d->permission, &x, &e), 0,
                     "%s", e.message);
        cr_expect_eq(x.verdict, d->verdict, "%s expected, found %s", selinux_verdict_name(d->verdict),
                     selinux_verdict_name(x.verdict));
        cr_expect_eq(x.rules.n > 0, d->text[0] != '\0');
        if (x.rules.n > 0 && d->text[0])
                cr_expect_not_null(strstr(x.rules.items[0].text, d->text), "%s", x.rules.items[0].text);
        if (d->comment[0])
                cr_expect(x.comment && strstr(x.comment, d->comment), "%s", x.comment);
        selinux_explanation_done(&x);
}

struct wish {
        char subject[64], object[64], class[32], permissions[64], expected[160];
};

static struct wish wishes[] = {
        {HOST("networkd_t"), OBJECT("tmp_t"), "file", "open read", "(allow networkd_t tmp_t (files (read)))"},
        {HOST("networkd_t"), OBJECT("tmp_t"), "dir", "search", "(allow networkd_t tmp_t (files (find)))"},
        {HOST("networkd_t"), HOST("networkd_t"), "capability", "chown",
         "(allow networkd_t self (capability (chown)))"},
        {HOST("networkd_t"), OBJECT("var_t"), "file", "open read write",
         "(allow networkd_t var_t (files (write))) (allow networkd_t var_t (files (read)))"},
        /* What fits best would execute, which a promise forbids; what is asked for is harmless. */
        {HOST("networkd_t"), OBJECT("tmp_t"), "file", "map", "(allow networkd_t tmp_t (files (read)))"},
};

ParameterizedTestParameters(explain, suggestions)
{
        return cr_make_param_array(struct wish, wishes, ELEMENTSOF(wishes));
}

ParameterizedTest(struct wish *w, explain, suggestions)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL, *extended = NULL;
        _cleanup_free_ char *suggestion = NULL;
        struct error e = {};
        char *save = NULL;

        cr_assert_eq(selinux_policy_compile(POLICY, &p, &e), 0, "%s", e.message);
        cr_assert_eq(
                selinux_policy_suggest(p, w->subject, w->object, w->class, w->permissions, &suggestion, &e),
                0, "%s", e.message);
        cr_expect_str_eq(suggestion, w->expected);
        /* It compiles, and it is enough. */
        cr_assert_eq(selinux_policy_compile_with(POLICY, "suggestion", suggestion, &extended, &e), 0, "%s",
                     e.message);
        for (char *name = strtok_r(w->permissions, " ", &save); name; name = strtok_r(NULL, " ", &save))
                cr_expect_eq(selinux_policy_allows(extended, w->subject, w->object, w->class, name, &e), 1,
                             "%s", name);
}

Test(rules, places_are_those_of_the_text)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct selinux_rules rules;
        struct error e = {};

        cr_assert_eq(
                selinux_policy_compile_with(POLICY, "extra.cil",
                                            "; a comment with (brackets \"\n(macro m ((type x))\n  (allow x "
                                            "tmp_t (dir (search))))\n\n(call m (networkd_t))",
                                            &p, &e),
                0, "%s", e.message);
        cr_assert_eq(selinux_policy_find_rules(p, SELINUX_ALLOW, "networkd_t", OBJECT("tmp_t"), "dir",
                                               "search", &rules, &e),
                     0, "%s", e.message);
        cr_assert_eq(rules.n, 2);
        cr_expect_not_null(strstr(rules.items[0].file, "70-common.cil"));
        cr_expect_str_eq(rules.items[1].file, "extra.cil");
        cr_expect_eq(rules.items[1].line, 5);
        cr_expect_str_eq(rules.items[1].text, "(allow networkd_t tmp_t (dir (search)))");
        selinux_rules_done(&rules);
}
