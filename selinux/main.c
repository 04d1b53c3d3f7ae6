/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "selinux/program.h"

struct options options;

int open_policy(int *argc, char ***argv, struct selinux_policy **ret, struct error *e)
{
        const char *directory = **argv;

        if (options.binary)
                return selinux_policy_read(options.binary, ret, e);
        if (*argc < 1)
                return error_set(e, -EINVAL, "a directory of *.cil files, or --policy=FILE, expected");
        (*argc)--;
        (*argv)++;
        return selinux_policy_compile(directory, ret, e);
}

int could_not_try(int r, const struct error *e)
{
        (void)log_failure(r, e);
        return EXIT_COULD_NOT_TRY;
}

int rule_to_json(const struct selinux_rule *rule, sd_json_variant **ret)
{
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("file", rule->file),
                              SD_JSON_BUILD_PAIR_UNSIGNED("line", rule->line),
                              SD_JSON_BUILD_PAIR_STRING("rule", rule->text));
}

int rules_to_json(const struct selinux_rules *rules, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        int r = sd_json_variant_new_array(&list, NULL, 0);

        for (size_t i = 0; r >= 0 && i < rules->n; i++) {
                _cleanup_json_ sd_json_variant *v = NULL;

                r = rule_to_json(&rules->items[i], &v);
                if (r >= 0)
                        r = sd_json_variant_append_array(&list, v);
        }
        if (r >= 0)
                *ret = TAKE_PTR(list);
        return r;
}

int main(int argc, char **argv)
{
        static const struct arg_verb verbs[] = {
                {"check", "[DIRECTORY]", 0, 1, "compile the *.cil files, check every promise, count",
                 run_check},
                {"query", "[DIRECTORY] SUBJECT OBJECT [CLASS]", 2, 4,
                 "what SUBJECT may do with OBJECT; types or contexts", run_query},
                {"diff", "OLD NEW", 2, 2,
                 "what NEW adds and removes; directories of *.cil files or binary policies", run_diff},
                {"explain", "[DIRECTORY] [FILE]", 0, 2,
                 "for each denial in FILE or standard input: the rule it needs, or what forbids it",
                 run_explain},
                {"new-type", "DIRECTORY NAME", 2, 2, "write the CIL of a type for containers that need more",
                 run_new_type},
                {},
        };
        static const struct arg_option table[] = {
                {"policy", 'p', ARG_STRING, &options.binary, "FILE", "check query explain",
                 "a binary policy in place of DIRECTORY"},
                {"device", 0, ARG_LIST, &options.devices, "NAME", "new-type",
                 "a character device below /dev"},
                {"port", 0, ARG_LIST, &options.ports, "NUMBER", "new-type",
                 "a port on which this type alone listens"},
                {"capability", 0, ARG_LIST, &options.capabilities, "NAME", "new-type", "such as sys_nice"},
                {"execmem", 0, ARG_FLAG, &options.execmem, NULL, "new-type",
                 "memory that is written and executed"},
                {"output", 'o', ARG_STRING, &options.output, "FILE", "new-type",
                 "a new file in place of standard output"},
                {"tree", 0, ARG_STRING, &options.tree, "DIRECTORY", "check",
                 "a tree, such as an image's root, every path of which must have a label"},
                {"json", 0, ARG_JSON, &options.json, "off|short|pretty", NULL, "print JSON"},
                {},
        };
        static const struct arg_program program = {.name = "selinux-policy",
                                                   .summary = "Holdfast's SELinux policy",
                                                   .verbs = verbs,
                                                   .options = table};

        log_setup("selinux-policy");
        return args_run(&program, argc, argv);
}
