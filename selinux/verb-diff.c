/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <sys/stat.h>

#include "selinux/program.h"

struct output {
        sd_json_variant *changes;
        size_t n;
};

static int add_change(enum selinux_change change, const char *text, void *userdata)
{
        struct output *o = userdata;

        o->n++;
        if (options.json == JSON_OFF) {
                printf("%c %s\n", change == SELINUX_ADDED ? '+' : '-', text);
                return 0;
        }
        return sd_json_variant_append_arraybo(
                &o->changes,
                SD_JSON_BUILD_PAIR_STRING("change", change == SELINUX_ADDED ? "added" : "removed"),
                SD_JSON_BUILD_PAIR_STRING("statement", text));
}

/* A directory holds the text, a file the binary form. */
static int open_either(const char *path, struct selinux_policy **ret, struct error *e)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return error_errno(e, -errno, "%s", path);
        return S_ISDIR(st.st_mode) ? selinux_policy_compile(path, ret, e) : selinux_policy_read(path, ret, e);
}

int run_diff(int argc, char **argv)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *old = NULL, *new = NULL;
        _cleanup_json_ sd_json_variant *changes = NULL;
        struct output o = {};
        struct error e = {};
        int r;

        (void)argc;
        r = open_either(argv[0], &old, &e);
        if (r >= 0)
                r = open_either(argv[1], &new, &e);
        if (r >= 0 && options.json != JSON_OFF)
                r = sd_json_variant_new_array(&o.changes, NULL, 0);
        if (r >= 0)
                r = selinux_policy_diff(old, new, add_change, &o, &e);
        changes = o.changes;
        if (r >= 0 && options.json != JSON_OFF)
                r = json_print(changes, options.json);
        if (r < 0)
                return could_not_try(r, &e);
        return o.n > 0 ? EXIT_ANSWER_IS_NO : 0;
}
