/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What parsing, help and completion share. */
#pragma once

#include <stdbool.h>

#include "base/args.h"

bool args_has_verbs(const struct arg_program *p);

/* Whether the verb takes the option. */
bool args_takes(const struct arg_verb *v, const struct arg_option *o);

/* --help: of the program, or of one verb. */
void args_print_help(const struct arg_program *p);
void args_print_verb_help(const struct arg_program *p, const struct arg_verb *v);

/* The name that was probably meant, without dashes, or NULL. */
const char *args_nearest_verb(const struct arg_program *p, const char *name);
const char *args_nearest_option(const struct arg_program *p, const char *name);

/* --completion: the script for this shell, to standard output. -EINVAL if there is none for it. */
#define ARGS_SHELLS "bash|zsh|fish"
int args_print_completion(const struct arg_program *p, const char *shell);
