/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program's options, and one function a verb: each takes its operands and returns the exit status. */
#pragma once

#include <stdbool.h>

#include "base/json.h"

struct verity_options {
        enum json_mode json;
        const char *purpose, *key, *certificate, *common_name, *algorithm;
};

extern struct verity_options options;

/* The exit status for the errno of a failed verification or build: 1 where the answer is no, 2 where it could
 * not be tried. */
int exit_status(int r);

int verb_keygen(int argc, char **argv);
