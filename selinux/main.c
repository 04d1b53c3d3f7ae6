/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/log.h"
#include "base/table.h"
#include "selinux/selinux.h"

#define CONTEXT_MAX 512

static enum json_mode json;
static const char *binary;

/* A policy in text, or the binary one that --policy names. */
static int open_policy(const char *directory, struct selinux_policy **ret, struct error *e)
{
        return binary ? selinux_policy_read(binary, ret, e) : selinux_policy_compile(directory, ret, e);
}

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

        if (json == JSON_OFF) {
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
        return r < 0 ? r : json_print(v, json);
}

static int run_check(int argc, char **argv)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        _cleanup_(free_names) char **idle = NULL;
        struct selinux_counts counts;
        struct error e = {};
        int r;

        if (!binary && argc < 1) {
                log_error(0, "check: a directory of *.cil files, or --policy=FILE, expected");
                return EXIT_COULD_NOT_TRY;
        }
        r = open_policy(argv[0], &p, &e);
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

/* A bare type becomes a context: a process with all categories, or an object at the low level. */
static const char *complete_context(const char *given, const char *role, const char *level,
                                    char buffer[static CONTEXT_MAX])
{
        if (strchr(given, ':'))
                return given;
        (void)snprintf(buffer, CONTEXT_MAX, "system_u:%s:%s:%s", role, given, level);
        return buffer;
}

static int run_query(int argc, char **argv)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        _cleanup_(free_names) char **names = NULL;
        char subject[CONTEXT_MAX], object[CONTEXT_MAX];
        struct error e = {};
        int r;

        r = open_policy(argv[0], &p, &e);
        argv += binary ? 0 : 1;
        argc -= binary ? 0 : 1;
        if (r >= 0 && argc < 2)
                r = error_set(&e, -EINVAL, "query: SUBJECT and OBJECT expected");
        if (r >= 0)
                r = selinux_policy_query(p, complete_context(argv[0], "system_r", "s0-s0:c0.c1023", subject),
                                         complete_context(argv[1], "object_r", "s0", object),
                                         argc > 2 ? argv[2] : NULL, &names, &e);
        if (r < 0) {
                log_failure(r, &e);
                return EXIT_COULD_NOT_TRY;
        }
        if (json == JSON_OFF) {
                for (char **n = names; *n; n++)
                        printf("%s\n", *n);
        } else {
                _cleanup_json_ sd_json_variant *v = NULL;

                if (names_to_json(names, &v) < 0 || json_print(v, json) < 0)
                        return EXIT_COULD_NOT_TRY;
        }
        return *names ? 0 : EXIT_ANSWER_IS_NO;
}

int main(int argc, char **argv)
{
        static const struct arg_verb verbs[] = {
                {"check", "[DIRECTORY]", 0, 1, "compile the *.cil files, check every promise, count",
                 run_check},
                {"query", "[DIRECTORY] SUBJECT OBJECT [CLASS]", 2, 4,
                 "what SUBJECT may do with OBJECT; types or contexts", run_query},
                {},
        };
        static const struct arg_option options[] = {
                {"policy", 'p', ARG_STRING, &binary, "FILE", NULL, "a binary policy in place of DIRECTORY"},
                {"json", 0, ARG_JSON, &json, "off|short|pretty", NULL, "print JSON"},
                {},
        };
        static const struct arg_program program = {.name = "selinux-policy",
                                                   .summary = "Holdfast's SELinux policy",
                                                   .verbs = verbs,
                                                   .options = options};

        log_setup("selinux-policy");
        return args_run(&program, argc, argv);
}
