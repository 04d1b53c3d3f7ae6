/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Symbolic expressions, the syntax of CIL, as a tree. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/error.h"

#define SEXPR_DEPTH_MAX 128

/* An atom (quotes removed), or a list when atom is NULL. A line mark, ";;* lmx 12 name", is a list whose
 * first atom is SEXPR_MARK. */
struct sexpr {
        const char *atom;
        struct sexpr *first; /* of a list */
        struct sexpr *next;  /* in the list that holds it */
};

#define SEXPR_MARK ";;*"

struct sexpr_tree {
        char *text;
        struct sexpr *nodes;
        struct sexpr *first; /* on top */
};

/* Parses the text, which becomes the tree's (with the NUL that follows its size bytes), whatever is returned.
 * -EINVAL: brackets do not match, or they are deeper than SEXPR_DEPTH_MAX. */
int sexpr_parse(char *text, size_t size, struct sexpr_tree *ret, struct error *e);
void sexpr_done(struct sexpr_tree *tree);

/* Member i of a list; NULL where there is none, or where the node is no list. */
const struct sexpr *sexpr_at(const struct sexpr *list, size_t i);

/* The same when it is an atom; NULL otherwise. */
const char *sexpr_atom(const struct sexpr *list, size_t i);

/* Whether member i is this atom. */
bool sexpr_same(const struct sexpr *list, size_t i, const char *atom);

/* Whether it is a list that begins with this keyword. */
bool sexpr_is(const struct sexpr *list, const char *keyword);

/* Prints on one line, as it would be written by hand. */
void sexpr_print(FILE *f, const struct sexpr *node);
