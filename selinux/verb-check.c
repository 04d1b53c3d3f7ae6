/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>

#include "selinux/program.h"

static void print_findings(const struct selinux_counts *c, const struct selinux_findings *f)
{
        printf("%zu types in %zu attributes, %zu classes, %zu allow rules, %zu transitions, %zu bytes\n",
               c->types, c->attributes, c->classes, c->allow, c->transitions, c->size);
        for (size_t i = 0; i < f->n; i++) {
                const struct selinux_finding *x = &f->items[i];

                if (x->file)
                        printf("%s:%u: ", x->file, x->line);
                printf("%s: %s: %s\n", x->error ? "error" : "warning", x->name, x->about);
        }
}

static int findings_to_json(const struct selinux_findings *f, sd_json_variant **ret)
{
        int r = sd_json_variant_new_array(ret, NULL, 0);

        for (size_t i = 0; r >= 0 && i < f->n; i++) {
                const struct selinux_finding *x = &f->items[i];

                r = sd_json_variant_append_arraybo(
                        ret, SD_JSON_BUILD_PAIR_STRING("name", x->name),
                        SD_JSON_BUILD_PAIR_STRING("severity", x->error ? "error" : "warning"),
                        SD_JSON_BUILD_PAIR_STRING("about", x->about),
                        SD_JSON_BUILD_PAIR_CONDITION(!!x->file, "file", SD_JSON_BUILD_STRING(x->file)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!x->file, "line", SD_JSON_BUILD_UNSIGNED(x->line)));
        }
        return r;
}

static int print_json(const struct selinux_counts *c, const struct selinux_findings *f)
{
        _cleanup_json_ sd_json_variant *list = NULL, *v = NULL;
        int r = findings_to_json(f, &list);

        if (r >= 0)
                r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("types", c->types),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("attributes", c->attributes),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("classes", c->classes),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("allow", c->allow),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("transitions", c->transitions),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("size", c->size),
                                   SD_JSON_BUILD_PAIR_VARIANT("findings", list));
        return r < 0 ? r : json_print(v, options.json);
}

int run_check(int argc, char **argv)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        _cleanup_(selinux_findings_done) struct selinux_findings findings = {};
        struct selinux_counts counts;
        struct error e = {};
        bool errors = false;
        int r;

        if (!options.binary && argc < 1)
                return could_not_try(
                        -EINVAL,
                        &(struct error){"check: a directory of *.cil files, or --policy=FILE, expected"});
        r = open_policy(&argc, &argv, &p, &e);
        if (r == -EINVAL) {
                (void)log_failure(r, &e);
                return EXIT_ANSWER_IS_NO;
        }
        if (r >= 0)
                r = selinux_policy_check(p, &findings, &e);
        if (r >= 0 && options.tree)
                r = selinux_policy_check_tree(p, options.tree, &findings, &e);
        if (r < 0)
                return could_not_try(r, &e);
        selinux_policy_count(p, &counts);
        if (options.json == JSON_OFF)
                print_findings(&counts, &findings);
        else if (print_json(&counts, &findings) < 0)
                return EXIT_COULD_NOT_TRY;
        for (size_t i = 0; i < findings.n; i++)
                errors |= findings.items[i].error;
        return errors ? EXIT_ANSWER_IS_NO : 0;
}
