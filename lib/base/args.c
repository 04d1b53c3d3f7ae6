/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args-internal.h"
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

bool args_has_verbs(const struct arg_program *p)
{
        return p->verbs[0].name[0] != '\0';
}

bool args_takes(const struct arg_verb *v, const struct arg_option *o)
{
        size_t n = strlen(v->name);

        if (!o->verbs || n == 0)
                return true;
        for (const char *p = o->verbs; *p; p += strspn(p, " ")) {
                size_t word = strcspn(p, " ");

                if (word == n && strncmp(p, v->name, n) == 0)
                        return true;
                p += word;
        }
        return false;
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

/* --NAME, --NAME=VALUE, -L or -LVALUE. */
static const struct arg_option *find_option(const struct arg_program *p, const char *arg,
                                            const char **ret_value)
{
        bool is_long = arg[1] == '-';
        size_t n = strcspn(arg + 2, "=");

        for (const struct arg_option *o = p->options; o->name; o++) {
                if (is_long && strlen(o->name) == n && strncmp(o->name, arg + 2, n) == 0) {
                        *ret_value = arg[2 + n] == '=' ? arg + 2 + n + 1 : NULL;
                        return o;
                }
                if (!is_long && o->letter == arg[1]) {
                        *ret_value = arg[2] != '\0' ? arg + 2 : NULL;
                        return o;
                }
        }
        return NULL;
}

static int no_such_option(const struct arg_program *p, const char *arg)
{
        char name[64];
        const char *meant;

        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg + 1, "="), arg + 1);
        meant = name[0] == '-' ? args_nearest_option(p, name + 1) : NULL;
        if (meant)
                return log_error(-EINVAL, "%s: no such option; is --%s meant?", arg, meant);
        return log_error(-EINVAL, "%s: no such option, see --help", arg);
}

/* The options that every program has: 1 when one of them was served. */
static int take_common_option(const struct arg_program *p, struct line *line, const char *arg)
{
        static const char completion[] = "--completion=";

        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
                line->help = true;
                return 0;
        }
        if (strcmp(arg, "--version") == 0) {
                printf("%s (Holdfast) %s\n", p->name, HOLDFAST_VERSION);
                return 1;
        }
        if (strncmp(arg, completion, strlen(completion)) != 0)
                return -ENOENT;
        if (args_print_completion(p, arg + strlen(completion)) < 0)
                return log_error(-EINVAL, "--completion: %s expected, found \"%s\"", ARGS_SHELLS,
                                 arg + strlen(completion));
        return 1;
}

/* Consumes the option at argv[*i] and its value. 1 when there is nothing left to do. */
static int take_option(const struct arg_program *p, struct line *line, int argc, char **argv, int *i)
{
        const struct arg_option *o;
        const char *value;
        int r = take_common_option(p, line, argv[*i]);

        if (r != -ENOENT)
                return r;
        o = find_option(p, argv[*i], &value);
        if (!o)
                return no_such_option(p, argv[*i]);
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

static int no_such_verb(const struct arg_program *p, const char *name)
{
        const char *meant = args_nearest_verb(p, name);

        if (meant)
                log_error(0, "%s: no such verb; is \"%s\" meant?", name, meant);
        else
                log_error(0, "%s: no such verb, see --help", name);
        return EXIT_COULD_NOT_TRY;
}

static int run_verb(const struct arg_program *p, const struct arg_verb *verb, const struct line *line, int n,
                    char **operands)
{
        if (line->help) {
                args_print_verb_help(p, verb);
                return EXIT_SUCCESS;
        }
        for (size_t i = 0; i < line->n_used; i++)
                if (!args_takes(verb, line->used[i])) {
                        log_error(0, "--%s: an option of \"%s\" expected, see %s %s --help",
                                  line->used[i]->name, verb->name, p->name, verb->name);
                        return EXIT_COULD_NOT_TRY;
                }
        if (n < verb->min || (verb->max >= 0 && n > verb->max)) {
                log_error(0, "usage: %s %s%s%s, see --help", p->name, verb->name,
                          verb->name[0] != '\0' ? " " : "", verb->operands);
                return EXIT_COULD_NOT_TRY;
        }
        return verb->run(n, operands);
}

static int run_line(const struct arg_program *p, const struct line *line)
{
        const struct arg_verb *verb;

        if (!args_has_verbs(p))
                return run_verb(p, p->verbs, line, line->n_operands, line->operands);
        if (line->n_operands == 0 && line->help) {
                args_print_help(p);
                return EXIT_SUCCESS;
        }
        if (line->n_operands == 0) {
                log_error(0, "a verb expected, found none, see --help");
                return EXIT_COULD_NOT_TRY;
        }
        verb = find_verb(p, line->operands[0]);
        if (!verb)
                return no_such_verb(p, line->operands[0]);
        return run_verb(p, verb, line, line->n_operands - 1, line->operands + 1);
}

static int read_line(const struct arg_program *program, int argc, char **argv)
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

int args_run(const struct arg_program *program, int argc, char **argv)
{
        int status = read_line(program, argc, argv);

        if (fflush(stdout) == 0)
                return status;
        log_error(0, "standard output: %s", strerrordesc_np(errno));
        return EXIT_COULD_NOT_TRY;
}
