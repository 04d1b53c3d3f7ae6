/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one argument parser: verbs, GNU long options anywhere on the line, --help and --version made from the
 * table. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

enum arg_type {
        ARG_FLAG,     /* bool *: set to true */
        ARG_STRING,   /* const char **: borrowed from argv */
        ARG_UNSIGNED, /* uint64_t *: decimal */
        ARG_JSON,     /* enum json_mode *: off, short, pretty */
        ARG_LIST,     /* struct arg_list *: may be given several times */
};

struct arg_list {
        const char *items[64];
        size_t n;
};

struct arg_option {
        const char *name; /* without the dashes */
        char letter;      /* short form, or 0 */
        enum arg_type type;
        void *target;
        const char *metavar; /* NULL for flags; "A|B|C" where these are the only values */
        const char *verbs;   /* those that take it, separated by spaces; NULL: all */
        const char *help;
};

struct arg_verb {
        const char *name;
        const char *operands; /* as shown by --help */
        int min, max;         /* number of operands; max -1: any */
        const char *help;
        int (*run)(int argc, char **argv); /* operands only; returns the exit status */
};

struct arg_program {
        const char *name;
        const char *summary; /* one line */
        const struct arg_verb
                *verbs; /* ends with a NULL name; a program without verbs has one with name "" */
        const struct arg_option *options; /* ends with a NULL name */
};

/* Parses, runs the verb and returns its exit status. An option of another verb is wrong usage. Wrong usage
 * prints one line that names the argument and returns 2; --help, --version and --completion print to standard
 * output and return 0. What could not be written there is 2 as well. */
int args_run(const struct arg_program *program, int argc, char **argv);
