/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "selinux/program.h"

static void free_names(char ***names)
{
        selinux_names_free(*names);
}

static int names_to_json(char **names, sd_json_variant **ret)
{
        return sd_json_variant_new_array_strv(ret, names);
}

static int print_check(const struct selinux_counts *c, char **idle)
{
        _cleanup_json_ sd_json_variant *list = NULL, *v = NULL;

        if (options.json == JSON_OFF) {
                printf("%zu types in %zu attributes, %zu classes, %zu allow rules, %zu transitions, %zu "
                       "bytes\n",
                       c->types, c->attributes, c->classes, c->allow, c->transitions, c->size);
                for (char **p = idle; *p; p++)
                        printf("no rule allows anything with %s\n", *p);
                return 0;
        }
        int r = names_to_json(idle, &list);
        if (r >= 0)
                r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("types", c->types),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("attributes", c->attributes),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("classes", c->classes),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("allow", c->allow),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("transitions", c->transitions),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("dontaudit", c->dontaudit),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("permissive", c->permissive),
                                   SD_JSON_BUILD_PAIR_BOOLEAN("handleUnknownDeny", c->handle_unknown_deny),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("size", c->size),
                                   SD_JSON_BUILD_PAIR_VARIANT("idle", list));
        return r < 0 ? r : json_print(v, options.json);
}

int run_check(int argc, char **argv)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        _cleanup_(free_names) char **idle = NULL;
        struct selinux_counts counts;
        struct error e = {};
        int r;

        if (!options.binary && argc < 1)
                return could_not_try(
                        -EINVAL,
                        &(struct error){"check: a directory of *.cil files, or --policy=FILE, expected"});
        r = open_policy(&argc, &argv, &p, &e);
        if (r == -EINVAL) {
                log_failure(r, &e);
                return EXIT_ANSWER_IS_NO;
        }
        if (r >= 0)
                r = selinux_policy_idle_types(p, &idle, &e);
        if (r < 0) {
                log_failure(r, &e);
                return EXIT_COULD_NOT_TRY;
        }
        selinux_policy_count(p, &counts);
        r = print_check(&counts, idle);
        if (r < 0)
                return EXIT_COULD_NOT_TRY;
        if (counts.dontaudit || counts.permissive || !counts.handle_unknown_deny) {
                log_error(0,
                          "no dontaudit, no permissive type and handleunknown deny expected, found %zu, %zu "
                          "and %s",
                          counts.dontaudit, counts.permissive,
                          counts.handle_unknown_deny ? "deny" : "another");
                return EXIT_ANSWER_IS_NO;
        }
        return 0;
}
