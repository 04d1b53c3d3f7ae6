/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "selinux/program.h"

#define CONTEXT_MAX 512

/* A bare type becomes a context: a process with all categories, or an object at the low level. */
static const char *complete_context(const char *given, const char *role, const char *level,
                                    char buffer[static CONTEXT_MAX])
{
        if (strchr(given, ':'))
                return given;
        (void)snprintf(buffer, CONTEXT_MAX, "system_u:%s:%s:%s", role, given, level);
        return buffer;
}

struct grant {
        const char *class, *permission;
        struct selinux_rules rules;
};

struct grants {
        struct grant *items;
        size_t n;
        char **names;
};

static void grants_done(struct grants *g)
{
        for (size_t i = 0; i < g->n; i++)
                selinux_rules_done(&g->items[i].rules);
        free(g->items);
        selinux_names_free(g->names);
}

/* Each "CLASS PERMISSION" becomes a grant with the rules that give it. */
static int find_grants(const struct selinux_policy *p, const char *subject, const char *object,
                       const char *class, struct grants *g, struct error *e)
{
        int r = selinux_policy_query(p, subject, object, class, &g->names, e);
        size_t n = 0;

        while (r >= 0 && g->names[n])
                n++;
        if (r >= 0)
                g->items = calloc(n + 1, sizeof(*g->items));
        if (r >= 0 && !g->items)
                return error_errno(e, -ENOMEM, "query");
        for (; r >= 0 && g->n < n; g->n++) {
                struct grant *grant = &g->items[g->n];
                char *space = strchr(g->names[g->n], ' ');

                *space = '\0';
                grant->class = g->names[g->n];
                grant->permission = space + 1;
                r = selinux_policy_find_rules(p, SELINUX_ALLOW, subject, object, grant->class,
                                              grant->permission, &grant->rules, e);
        }
        return r;
}

static bool printed_before(const struct grants *g, size_t n, const struct selinux_rule *rule)
{
        for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < g->items[i].rules.n; j++) {
                        const struct selinux_rule *other = &g->items[i].rules.items[j];

                        if (other->file == rule->file && other->line == rule->line &&
                            strcmp(other->text, rule->text) == 0)
                                return true;
                }
        return false;
}

/* Permissions with the places of their rules; then each rule once. */
static void print_grants(const struct grants *g)
{
        for (size_t i = 0; i < g->n; i++) {
                const struct grant *grant = &g->items[i];

                printf("%s %s", grant->class, grant->permission);
                for (size_t j = 0; j < grant->rules.n; j++)
                        printf(" %s:%u", grant->rules.items[j].file, grant->rules.items[j].line);
                printf("\n");
        }
        for (size_t i = 0; i < g->n; i++)
                for (size_t j = 0; j < g->items[i].rules.n; j++) {
                        const struct selinux_rule *rule = &g->items[i].rules.items[j];

                        if (!printed_before(g, i, rule))
                                printf("%s:%u: %s\n", rule->file, rule->line, rule->text);
                }
}

static int print_json(const struct grants *g)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        int r = sd_json_variant_new_array(&list, NULL, 0);

        for (size_t i = 0; r >= 0 && i < g->n; i++) {
                _cleanup_json_ sd_json_variant *rules = NULL, *v = NULL;

                r = rules_to_json(&g->items[i].rules, &rules);
                if (r >= 0)
                        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("class", g->items[i].class),
                                           SD_JSON_BUILD_PAIR_STRING("permission", g->items[i].permission),
                                           SD_JSON_BUILD_PAIR_VARIANT("rules", rules));
                if (r >= 0)
                        r = sd_json_variant_append_array(&list, v);
        }
        return r < 0 ? r : json_print(list, options.json);
}

int run_query(int argc, char **argv)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        _cleanup_(grants_done) struct grants grants = {};
        char subject[CONTEXT_MAX], object[CONTEXT_MAX];
        struct error e = {};
        int r;

        r = open_policy(&argc, &argv, &p, &e);
        if (r >= 0 && argc < 2)
                r = error_set(&e, -EINVAL, "query: SUBJECT and OBJECT expected");
        if (r >= 0)
                r = find_grants(p, complete_context(argv[0], "system_r", "s0-s0:c0.c1023", subject),
                                complete_context(argv[1], "object_r", "s0", object),
                                argc > 2 ? argv[2] : NULL, &grants, &e);
        if (r < 0)
                return could_not_try(r, &e);
        if (options.json == JSON_OFF)
                print_grants(&grants);
        else if (print_json(&grants) < 0)
                return EXIT_COULD_NOT_TRY;
        return grants.n > 0 ? 0 : EXIT_ANSWER_IS_NO;
}
