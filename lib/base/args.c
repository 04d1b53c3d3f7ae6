/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/args.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define MAX_OPTIONS 128

/* The line so far: options may stand before the verb that decides whether they are right. */
struct line {
        char **operands;
        int n_operands;
        const struct arg_option *used[MAX_OPTIONS];
        size_t n_used;
        bool help;
};

static bool has_verbs(const struct arg_program *p)
{
        return p->verbs[0].name[0] != '\0';
}

static bool belongs_to(const struct arg_option *o, const char *verb)
{
        size_t n = strlen(verb);

        if (!o->verbs || n == 0)
                return true;
        for (const char *p = o->verbs; *p; p += strspn(p, " ")) {
                size_t word = strcspn(p, " ");

                if (word == n && strncmp(p, verb, n) == 0)
                        return true;
                p += word;
        }
        return false;
}

static void print_options(const struct arg_program *p, const char *verb)
{
        printf("\nOptions:\n");
        for (const struct arg_option *o = p->options; o->name; o++) {
                int width;

                if (!belongs_to(o, verb))
                        continue;
                width = o->letter ? printf("  -%c, --%s", o->letter, o->name) : printf("      --%s", o->name);
                if (o->metavar)
                        width += printf("=%s", o->metavar);
                printf("%*s%s\n", width < 38 ? 38 - width : 1, "", o->help);
        }
        printf("  -h, --help                          Show this help\n"
               "      --version                       Show the version\n");
}

static void print_verb_help(const struct arg_program *p, const struct arg_verb *v)
{
        printf("Usage: %s %s%s[OPTION…] %s\n\n%s\n", p->name, v->name, v->name[0] != '\0' ? " " : "",
               v->operands, v->name[0] != '\0' ? v->help : p->summary);
        print_options(p, v->name);
}

static void print_help(const struct arg_program *p)
{
        printf("Usage: %s VERB [OPTION…] OPERAND…\n\n%s\n\nVerbs:\n", p->name, p->summary);
        for (const struct arg_verb *v = p->verbs; v->name; v++) {
                int width = printf("  %s %s", v->name, v->operands);

                printf("%*s%s\n", width < 38 ? 38 - width : 1, "", v->help);
        }
        printf("\n%s VERB --help shows the options of a verb.\n", p->name);
}

static int parse_json_mode(const char *value, enum json_mode *ret)
{
        static const char *const names[] = {
                [JSON_OFF] = "off", [JSON_SHORT] = "short", [JSON_PRETTY] = "pretty"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(value, names[i]) == 0) {
                        *ret = (enum json_mode)i;
                        return 0;
                }
        return log_error(-EINVAL, "--json: off, short or pretty expected, found \"%s\"", value);
}

static int store_unsigned(const struct arg_option *o, const char *value)
{
        unsigned long long n;
        char *end;

        errno = 0;
        n = strtoull(value, &end, 10);
        if (errno != 0 || end == value || *end != '\0' || value[0] == '-')
                return log_error(-EINVAL, "--%s: a number expected, found \"%s\"", o->name, value);
        *(uint64_t *)o->target = n;
        return 0;
}

static int store_list(const struct arg_option *o, const char *value)
{
        struct arg_list *list = o->target;

        if (list->n >= ELEMENTSOF(list->items))
                return log_error(-E2BIG, "--%s: at most %zu expected", o->name, ELEMENTSOF(list->items));
        list->items[list->n++] = value;
        return 0;
}

static int store(const struct arg_option *o, const char *value)
{
        switch (o->type) {
        case ARG_FLAG:
                *(bool *)o->target = true;
                return 0;
        case ARG_STRING:
                *(const char **)o->target = value;
                return 0;
        case ARG_UNSIGNED:
                return store_unsigned(o, value);
        case ARG_JSON:
                return parse_json_mode(value, o->target);
        case ARG_LIST:
                return store_list(o, value);
        }
        return -EINVAL;
}

static const struct arg_option *find_option(const struct arg_program *p, const char *arg,
                                            const char **ret_value)
{
        const char *equals = strchr(arg, '=');
        size_t n = equals ? (size_t)(equals - arg) : strlen(arg);

        for (const struct arg_option *o = p->options; o->name; o++) {
                if (strncmp(arg, "--", 2) == 0 && strlen(o->name) == n - 2 &&
                    strncmp(o->name, arg + 2, n - 2) == 0) {
                        *ret_value = equals ? equals + 1 : NULL;
                        return o;
                }
                if (o->letter && arg[0] == '-' && arg[1] == o->letter) {
                        *ret_value = arg[2] ? arg + 2 : NULL;
                        return o;
                }
        }
        return NULL;
}

/* Consumes the option at argv[*i] and its value. 1 when --version was served. */
static int take_option(const struct arg_program *p, struct line *line, int argc, char **argv, int *i)
{
        const struct arg_option *o;
        const char *value;

        if (strcmp(argv[*i], "--help") == 0 || strcmp(argv[*i], "-h") == 0) {
                line->help = true;
                return 0;
        }
        if (strcmp(argv[*i], "--version") == 0) {
                printf("%s (Holdfast) %s\n", p->name, HOLDFAST_VERSION);
                return 1;
        }
        o = find_option(p, argv[*i], &value);
        if (!o)
                return log_error(-EINVAL, "%s: no such option, see --help", argv[*i]);
        if (o->type == ARG_FLAG && value)
                return log_error(-EINVAL, "--%s takes no value, found \"%s\"", o->name, value);
        if (o->type != ARG_FLAG && !value) {
                if (*i + 1 >= argc)
                        return log_error(-EINVAL, "--%s: a value expected, found none", o->name);
                value = argv[++*i];
        }
        if (line->n_used >= MAX_OPTIONS)
                return log_error(-E2BIG, "--%s: at most %d options expected", o->name, MAX_OPTIONS);
        line->used[line->n_used++] = o;
        return store(o, value);
}

static const struct arg_verb *find_verb(const struct arg_program *p, const char *name)
{
        for (const struct arg_verb *v = p->verbs; v->name; v++)
                if (strcmp(v->name, name) == 0)
                        return v;
        return NULL;
}

static int run_verb(const struct arg_program *p, const struct arg_verb *verb, const struct line *line, int n,
                    char **operands)
{
        if (line->help) {
                print_verb_help(p, verb);
                return EXIT_SUCCESS;
        }
        for (size_t i = 0; i < line->n_used; i++)
                if (!belongs_to(line->used[i], verb->name)) {
                        log_error(0, "--%s: an option of \"%s\" expected, see %s %s --help",
                                  line->used[i]->name, verb->name, p->name, verb->name);
                        return EXIT_COULD_NOT_TRY;
                }
        if (n < verb->min || (verb->max >= 0 && n > verb->max)) {
                log_error(0, "usage: %s %s%s%s", p->name, verb->name, verb->name[0] != '\0' ? " " : "",
                          verb->operands);
                return EXIT_COULD_NOT_TRY;
        }
        return verb->run(n, operands);
}

static int run_line(const struct arg_program *p, const struct line *line)
{
        const struct arg_verb *verb;

        if (!has_verbs(p))
                return run_verb(p, p->verbs, line, line->n_operands, line->operands);
        if (line->n_operands == 0 && line->help) {
                print_help(p);
                return EXIT_SUCCESS;
        }
        if (line->n_operands == 0) {
                log_error(0, "a verb expected, found none, see --help");
                return EXIT_COULD_NOT_TRY;
        }
        verb = find_verb(p, line->operands[0]);
        if (!verb) {
                log_error(0, "%s: no such verb, see --help", line->operands[0]);
                return EXIT_COULD_NOT_TRY;
        }
        return run_verb(p, verb, line, line->n_operands - 1, line->operands + 1);
}

int args_run(const struct arg_program *program, int argc, char **argv)
{
        _cleanup_free_ char **operands = calloc((size_t)argc + 1, sizeof(char *));
        struct line line = {.operands = operands};
        bool options = true;

        if (!operands)
                return EXIT_COULD_NOT_TRY;
        for (int i = 1; i < argc; i++) {
                int r;

                if (options && strcmp(argv[i], "--") == 0) {
                        options = false;
                        continue;
                }
                if (!options || argv[i][0] != '-' || argv[i][1] == '\0') {
                        operands[line.n_operands++] = argv[i];
                        continue;
                }
                r = take_option(program, &line, argc, argv, &i);
                if (r != 0)
                        return r > 0 ? EXIT_SUCCESS : EXIT_COULD_NOT_TRY;
        }
        return run_line(program, &line);
}
