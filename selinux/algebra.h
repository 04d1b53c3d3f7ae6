/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The set expressions of CIL: names, lists, and, or, xor, not, all. */
#pragma once

#include <stdint.h>

#include "selinux/sexpr.h"

typedef uint64_t word_t;

/* Names that stand for sets of bits, and the set of all of them. */
struct algebra {
        size_t words;
        const word_t *all;
        int (*look_up)(void *userdata, const char *name, word_t *ret);
        void *userdata;
};

/* The set that the expression stands for, `words` long. -EINVAL: it is no expression, or as the look-up says.
 */
int algebra_evaluate(const struct algebra *a, const struct sexpr *node, word_t *ret);
