/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of a policy without attributes: a row for each source type, with the permissions of each class on
 * each target type. A row at a time, since all of them would not fit for a large policy. Several policies
 * share one numbering of names, so that their rows can be compared. */
#pragma once

#include "selinux/internal.h"

#define PERMISSIONS_MAX 64 /* of one class in all policies together */

struct class_names {
        const char *name;
        const char *permissions[PERMISSIONS_MAX];
        size_t n;
};

struct numbering {
        const char **types; /* sorted */
        size_t n_types;
        struct class_names *classes;
        size_t n_classes;
};

/* Names of one policy or several; they stay the policies'. -E2BIG: a class has too many permissions. */
int numbering_make(struct numbering *n, const struct selinux_policy *const *policies, size_t n_policies,
                   struct error *e);
void numbering_done(struct numbering *n);

struct matrix;

/* The compiled allow rules, without conditional ones. */
int matrix_of_policy(const struct selinux_policy *p, const struct numbering *n, struct matrix **ret,
                     struct error *e);

/* The allow or neverallow rules of the text. */
int matrix_of_text(const struct selinux_policy *p, const struct numbering *n, enum selinux_rule_kind kind,
                   struct matrix **ret, struct error *e);
struct matrix *matrix_free(struct matrix *m);
DEFINE_CLEANUP(struct matrix *, matrix_free)

/* Works out the row of the source type with this number; the one before is gone. */
void matrix_row(struct matrix *m, size_t source);

/* The permissions that the row has on this target, for each class; NULL: none. */
const uint64_t *matrix_get(const struct matrix *m, size_t target);
