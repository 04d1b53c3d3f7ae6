/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policies are compared by what they mean. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "selinux/matrix.h"
#include "selinux/selinux.h"

struct changes {
        char text[4096];
        size_t n;
};

static int keep(enum selinux_change change, const char *statement, void *userdata)
{
        struct changes *c = userdata;
        size_t used = strlen(c->text);

        c->n++;
        (void)snprintf(c->text + used, sizeof(c->text) - used, "%c %s\n", change == SELINUX_ADDED ? '+' : '-',
                       statement);
        return 0;
}

static struct changes compare(struct selinux_policy *old, struct selinux_policy *new)
{
        struct changes changes = {};
        struct error e = {};

        cr_assert_eq(selinux_policy_diff(old, new, keep, &changes, &e), 0, "%s", e.message);
        return changes;
}

static struct selinux_policy *with(const char *addition)
{
        struct selinux_policy *p = NULL;
        struct error e = {};

        cr_assert_eq(selinux_policy_compile_with(POLICY, "addition", addition, &p, &e), 0, "%s", e.message);
        return p;
}

Test(diff, text_and_its_binary_are_the_same)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *text = with(""), *binary = NULL;
        struct changes changes;
        struct error e = {};

        cr_assert_eq(selinux_policy_read(BINARY, &binary, &e), 0, "%s", e.message);
        changes = compare(text, text);
        cr_expect_eq(changes.n, 0, "%s", changes.text);
        changes = compare(text, binary);
        cr_expect_eq(changes.n, 0, "%s", changes.text);
}

struct change {
        char addition[192], expected[192];
};

static struct change additions[] = {
        {"(allow networkd_t tmp_t (file (write)))", "+ (allow networkd_t tmp_t (file (write)))\n"},
        {"(allow networkd_t tmp_t (files (mount_on)))",
         "+ (allow networkd_t tmp_t (file (mounton)))\n+ (allow networkd_t tmp_t (dir (mounton)))\n"},
        {"(neverallow networkd_t tmp_t (file (write)))", "+ (neverallow networkd_t tmp_t (file (write)))\n"},
        {"(filecon \"/x\" file (system_u object_r os_t object))", "+ /x\t--\tsystem_u:object_r:os_t:s0\n"},
        {"(typetransition groupd_t var_t dir \"x\" tmp_t)",
         "+ (typetransition groupd_t var_t dir \"x\" tmp_t)\n"},
        {"(mlsconstrain (bpf (prog_run)) (dom h1 h2))", "+ (mlsconstrain (bpf (prog_run)) (dom h1 h2))\n"},
        {"(role other_r)", "+ (role other_r)\n"},
        /* What the policy says already. */
        {"(allow networkd_t os_t (file (read)))", ""},
        {"(neverallow payload_t unlabeled_t (file (read)))", ""},
};

ParameterizedTestParameters(diff, additions)
{
        return cr_make_param_array(struct change, additions, ELEMENTSOF(additions));
}

ParameterizedTest(struct change *c, diff, additions)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *old = with(""), *new = with(c->addition);
        struct changes changes = compare(old, new);

        cr_expect_str_eq(changes.text, c->expected);
        /* The other way round each addition is a removal. */
        changes = compare(new, old);
        for (size_t i = 0; c->expected[i]; i++)
                if (i == 0 || c->expected[i - 1] == '\n')
                        c->expected[i] = '-';
        cr_expect_str_eq(changes.text, c->expected);
}

Test(diff, attributes_and_macros_are_only_ways_to_say_it)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy
                *one = with("(allow journald_t port_device_t (chr_file (getattr)))"
                            "(allow networkd_t port_device_t (chr_file (getattr)))"),
                *other = with("(typeattribute both)(typeattributeset both (journald_t networkd_t))"
                              "(macro see ((type x)) (allow x port_device_t (chr_file (getattr))))"
                              "(call see (both))");
        struct changes changes = compare(one, other);

        cr_expect_null(strstr(changes.text, "allow"), "%s", changes.text);
}

static int stop(enum selinux_change change, const char *statement, void *userdata)
{
        (void)change, (void)statement, (void)userdata;
        return -ECANCELED;
}

Test(diff, the_report_can_end_it)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *old = with(""),
                                                                 *new = with("(role a)(role b)");
        struct error e = {};

        cr_expect_eq(selinux_policy_diff(old, new, stop, NULL, &e), -ECANCELED);
}

/* What we read from the text, rule by rule, is what the compiler made of it: every type, class and
 * permission. */
Test(rules, the_text_says_what_the_binary_says)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = with("");
        const struct selinux_policy *policies[] = {p};
        _cleanup_(matrix_free_ptr) struct matrix *text = NULL, *compiled = NULL;
        struct numbering n;
        struct error e = {};
        size_t cells = 0;

        cr_assert_eq(numbering_make(&n, policies, 1, &e), 0, "%s", e.message);
        cr_assert_eq(matrix_of_text(p, &n, SELINUX_ALLOW, &text, &e), 0, "%s", e.message);
        cr_assert_eq(matrix_of_policy(p, &n, &compiled, &e), 0, "%s", e.message);
        for (size_t source = 0; source < n.n_types; source++) {
                matrix_row(text, source);
                matrix_row(compiled, source);
                for (size_t target = 0; target < n.n_types; target++) {
                        const uint64_t *x = matrix_get(text, target), *y = matrix_get(compiled, target);

                        cr_assert_eq(!x, !y, "%s %s", n.types[source], n.types[target]);
                        cr_assert(!x || memcmp(x, y, n.n_classes * sizeof(*x)) == 0, "%s %s", n.types[source],
                                  n.types[target]);
                        cells += x != NULL;
                }
        }
        cr_expect_gt(cells, 500, "%zu", cells);
        numbering_done(&n);
}
