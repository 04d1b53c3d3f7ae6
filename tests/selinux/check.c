/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each finding is found where it is, and the policy has none. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "selinux/selinux.h"

static const struct selinux_finding *find(const struct selinux_findings *f, const char *name,
                                          const char *about)
{
        for (size_t i = 0; i < f->n; i++)
                if (strcmp(f->items[i].name, name) == 0 && strcmp(f->items[i].about, about) == 0)
                        return &f->items[i];
        return NULL;
}

Test(check, the_policy_has_no_finding)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct selinux_findings f;
        struct error e = {};

        cr_assert_eq(selinux_policy_compile(POLICY, &p, &e), 0, "%s", e.message);
        cr_assert_eq(selinux_policy_check(p, &f, &e), 0, "%s", e.message);
        for (size_t i = 0; i < f.n; i++)
                cr_expect_fail("%s:%u: %s: %s", f.items[i].file, f.items[i].line, f.items[i].name,
                               f.items[i].about);
        selinux_findings_done(&f);
}

struct flaw {
        char addition[160], name[32], about[96];
        bool error;
        unsigned line;
};

static struct flaw flaws[] = {
        {"(typepermissive networkd_t)", "permissive-type", "networkd_t", true, 0},
        {"(dontaudit networkd_t tmp_t (file (read)))", "dontaudit", "rules that hide denials", true, 0},
        {"(type lonely_t)", "idle-type", "lonely_t", true, 0},
        {"\n(typeattribute idle_s)\n(typeattributeset idle_s (networkd_t))", "unused-attribute", "idle_s",
         false, 2},
        {"\n\n(allow journald_t os_t (file (read)))", "repeated-rule",
         "(allow journald_t os_t (file (read)))", false, 3},
        {"(allow subject self (fd (use)))", "repeated-rule", "(allow subject self (fd (use)))", false, 1},
        {"(allow container_t container_t (fd (use)))", "repeated-rule",
         "(allow container_t container_t (fd (use)))", false, 1},
};

ParameterizedTestParameters(check, flaws)
{
        return cr_make_param_array(struct flaw, flaws, ELEMENTSOF(flaws));
}

ParameterizedTest(struct flaw *x, check, flaws)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        const struct selinux_finding *found;
        struct selinux_findings f;
        struct error e = {};

        cr_assert_eq(selinux_policy_compile_with(POLICY, "addition.cil", x->addition, &p, &e), 0, "%s",
                     e.message);
        cr_assert_eq(selinux_policy_check(p, &f, &e), 0, "%s", e.message);
        cr_assert_eq(f.n, 1);
        found = find(&f, x->name, x->about);
        cr_assert_not_null(found, "%s: %s", f.items[0].name, f.items[0].about);
        cr_expect_eq(found->error, x->error);
        cr_expect_eq(found->line, x->line);
        if (x->line > 0)
                cr_expect_str_eq(found->file, "addition.cil");
        selinux_findings_done(&f);
}

/* Nobody may write all files, unless the promises go. */
Test(check, unconfined_type)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct selinux_findings f;
        struct error e = {};

        cr_assert_eq(selinux_policy_compile(TEST_DATA "/unconfined", &p, &e), 0, "%s", e.message);
        cr_assert_eq(selinux_policy_check(p, &f, &e), 0, "%s", e.message);
        cr_expect_not_null(find(&f, "unconfined-type", "a_t"));
        cr_expect_null(find(&f, "unconfined-type", "b_t"));
        selinux_findings_done(&f);
}

/* What one call of a macro needs is not repeated in another that does not. */
Test(check, macros_repeat_nothing)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct selinux_findings f;
        struct error e = {};

        cr_assert_eq(selinux_policy_compile_with(
                             POLICY, "addition.cil",
                             "(macro m ((type x)) (allow x os_t (file (read))))(call m (journald_t))", &p,
                             &e),
                     0, "%s", e.message);
        cr_assert_eq(selinux_policy_check(p, &f, &e), 0, "%s", e.message);
        cr_expect_eq(f.n, 0);
        selinux_findings_done(&f);
}

static void make(const char *directory, const char *path, bool is_directory)
{
        char full[128];

        (void)snprintf(full, sizeof(full), "%s%s", directory, path);
        if (is_directory)
                cr_assert_eq(mkdir(full, 0755), 0, "%s", full);
        else
                cr_assert_eq(write_file_atomic(AT_FDCWD, full, "", 0, 0644, NULL), 0, "%s", full);
}

Test(check, tree)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        char directory[] = "/tmp/selinux-tree.XXXXXX", command[64];
        struct selinux_findings f = {};
        struct error e = {};

        cr_assert_not_null(mkdtemp(directory));
        make(directory, "/usr", true);
        make(directory, "/usr/bin", true);
        make(directory, "/usr/bin/crun", false);
        make(directory, "/var", true);
        make(directory, "/var/forgotten", false);
        cr_assert_eq(selinux_policy_compile(POLICY, &p, &e), 0, "%s", e.message);
        cr_assert_eq(selinux_policy_check_tree(p, directory, &f, &e), 0, "%s", e.message);
        (void)snprintf(command, sizeof(command), "rm -r %s", directory);
        cr_assert_eq(system(command), 0); /* NOLINT(cert-env33-c) */
        cr_expect_not_null(find(&f, "unlabelled-path", "/var/forgotten"));
        cr_expect_null(find(&f, "unlabelled-path", "/var"));
        cr_expect_null(find(&f, "unlabelled-path", "/usr/bin/crun"));
        cr_expect_null(find(&f, "label-without-path", "/usr/bin/crun"));
        cr_expect_not_null(find(&f, "label-without-path", "/usr/bin/groupctl"));
        selinux_findings_done(&f);
        cr_expect_eq(selinux_policy_check_tree(p, "/nonexistent", &f, &e), -ENOENT);
        cr_expect_eq(selinux_policy_check_tree(p, "/dev/null", &f, &e), -ENOTDIR);
        selinux_findings_done(&f);
}

Test(check, a_binary_has_no_labels)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct selinux_findings f = {};
        struct error e = {};

        cr_assert_eq(selinux_policy_read(BINARY, &p, &e), 0, "%s", e.message);
        cr_expect_eq(selinux_policy_check_tree(p, "/", &f, &e), -EINVAL);
}
