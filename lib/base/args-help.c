/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --help, and which name was meant by a mistyped one. */
#include <stdio.h>
#include <string.h>

#include "base/args-internal.h"

#define NAME_MAX_COMPARED 32

#define HELP_COLUMN 38

/* The help of what was printed in `width` columns: beside it or, where that is too wide, below. */
static void print_row(int width, const char *help)
{
        if (width >= HELP_COLUMN)
                width = printf("\n") - 1;
        printf("%*s%s\n", HELP_COLUMN - width, "", help);
}

static void print_options(const struct arg_program *p, const struct arg_verb *v)
{
        printf("\nOptions:\n");
        for (const struct arg_option *o = p->options; o->name; o++) {
                int width;

                if (!args_takes(v, o))
                        continue;
                width = o->letter ? printf("  -%c, --%s", o->letter, o->name) : printf("      --%s", o->name);
                if (o->metavar)
                        width += printf("=%s", o->metavar);
                print_row(width, o->help);
        }
        print_row(printf("  -h, --help"), "show this help");
        print_row(printf("      --version"), "show the version");
        if (!args_has_verbs(p))
                print_row(printf("      --completion=%s", ARGS_SHELLS), "print a completion script");
}

void args_print_verb_help(const struct arg_program *p, const struct arg_verb *v)
{
        bool named = v->name[0] != '\0';

        printf("Usage: %s %s%s[OPTION…] %s\n\n%s\n", p->name, v->name, named ? " " : "", v->operands,
               named ? v->help : p->summary);
        print_options(p, v);
}

void args_print_help(const struct arg_program *p)
{
        printf("Usage: %s VERB [OPTION…] OPERAND…\n\n%s\n\nVerbs:\n", p->name, p->summary);
        for (const struct arg_verb *v = p->verbs; v->name; v++)
                print_row(printf("  %s %s", v->name, v->operands), v->help);
        printf("\nOptions:\n");
        print_row(printf("  -h, --help"), "show this help; after a verb, its options");
        print_row(printf("      --version"), "show the version");
        print_row(printf("      --completion=%s", ARGS_SHELLS), "print a completion script");
}

/* Edits between two names: a letter added, left out or changed, or two neighbours swapped, count one each. */
static size_t edits(const char *a, const char *b)
{
        size_t d[NAME_MAX_COMPARED + 1][NAME_MAX_COMPARED + 1];
        size_t n = strnlen(a, NAME_MAX_COMPARED), m = strnlen(b, NAME_MAX_COMPARED);

        for (size_t i = 0; i <= n; i++)
                for (size_t k = 0; k <= m; k++) {
                        size_t best;

                        if (i == 0 || k == 0) {
                                d[i][k] = i + k;
                                continue;
                        }
                        best = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);
                        if (d[i - 1][k] + 1 < best)
                                best = d[i - 1][k] + 1;
                        if (d[i][k - 1] + 1 < best)
                                best = d[i][k - 1] + 1;
                        if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                            d[i - 2][k - 2] + 1 < best)
                                best = d[i - 2][k - 2] + 1;
                        d[i][k] = best;
                }
        return d[n][m];
}

/* Keeps in *best the candidate that is nearest to name; at most a third of the name may differ. */
static void consider(const char *name, const char *candidate, const char **best, size_t *best_edits)
{
        size_t n = edits(name, candidate);

        if (n < *best_edits && n <= (strlen(name) + 2) / 3) {
                *best = candidate;
                *best_edits = n;
        }
}

const char *args_nearest_verb(const struct arg_program *p, const char *name)
{
        size_t best_edits = NAME_MAX_COMPARED;
        const char *best = NULL;

        for (const struct arg_verb *v = p->verbs; v->name; v++)
                consider(name, v->name, &best, &best_edits);
        return best;
}

const char *args_nearest_option(const struct arg_program *p, const char *name)
{
        size_t best_edits = NAME_MAX_COMPARED;
        const char *best = NULL;

        for (const struct arg_option *o = p->options; o->name; o++)
                consider(name, o->name, &best, &best_edits);
        return best;
}
