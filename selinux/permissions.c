/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a rule gives of a class: permissions by name, through class maps and named sets. */
#include <errno.h>
#include <string.h>

#include "selinux/internal.h"

#define NESTING_MAX 8 /* classpermission in classmap in classpermission … */

static int look_up_permission(void *userdata, const char *name, word_t *ret)
{
        *ret = permission_bit(userdata, name);
        return *ret ? 0 : -EINVAL;
}

/* Bit i for the i-th name of the list. */
static int look_up_member(void *userdata, const char *name, word_t *ret)
{
        const struct sexpr *list = userdata, *n = list->first;

        *ret = 1;
        for (; n && strcmp(n->atom, name) != 0; n = n->next)
                *ret <<= 1;
        return n && *ret ? 0 : -EINVAL;
}

struct question {
        const struct source *s;
        const char *name;
        const class_datum_t *class;
};

static int permissions_of(const struct question *q, const struct sexpr *node, unsigned nesting,
                          uint32_t *ret);

/* (classmap MAP (intention…)) with (classmapping MAP intention (class (permission…))) */
static int mapped_permissions(const struct question *q, const struct sexpr *map, const struct sexpr *wanted,
                              unsigned nesting, uint32_t *ret)
{
        const word_t all = ~(word_t)0;
        struct sexpr *members = (struct sexpr *)sexpr_at(map, 2);
        const struct algebra intentions = {1, &all, look_up_member, members};
        word_t chosen = 0, bit;
        int r;

        r = algebra_evaluate(&intentions, wanted, &chosen);
        for (size_t i = 0; r >= 0 && i < q->s->n_definitions; i++) {
                const struct sexpr *text = q->s->definitions[i];

                if (!sexpr_is(text, "classmapping") || !sexpr_same(text, 1, sexpr_atom(map, 1)))
                        continue;
                r = look_up_member(members, sexpr_atom(text, 2), &bit);
                for (const struct sexpr *n = sexpr_at(text, 3); r >= 0 && n && (chosen & bit); n = n->next)
                        r = permissions_of(q, n, nesting + 1, ret);
        }
        return r;
}

static int permissions_of(const struct question *q, const struct sexpr *node, unsigned nesting, uint32_t *ret)
{
        const word_t all = permission_all(q->class);
        const struct algebra permissions = {1, &all, look_up_permission, (void *)q->class};
        const char *name = node->atom ? node->atom : sexpr_atom(node, 0);
        word_t found = 0;
        int r = 0;

        if (!name || nesting > NESTING_MAX)
                return -EINVAL;
        if (!node->atom && strcmp(name, q->name) == 0) {
                r = algebra_evaluate(&permissions, sexpr_at(node, 1), &found);
                *ret |= (uint32_t)found;
                return r;
        }
        for (size_t i = 0; r >= 0 && i < q->s->n_definitions; i++) {
                const struct sexpr *text = q->s->definitions[i];
                const char *of = sexpr_atom(text, 1);

                if (!of || strcmp(of, name) != 0)
                        continue;
                if (!node->atom && sexpr_is(text, "classmap"))
                        r = mapped_permissions(q, text, sexpr_at(node, 1), nesting, ret);
                else if (node->atom && sexpr_is(text, "classpermissionset"))
                        r = permissions_of(q, sexpr_at(text, 2), nesting + 1, ret);
        }
        return r;
}

int statement_permissions(const struct source *s, const policydb_t *db, const struct sexpr *permissions,
                          const char *class, uint32_t *ret, struct error *e)
{
        const struct question q = {s, class, find_class_datum(db, class)};
        int r;

        *ret = 0;
        if (!q.class)
                return error_set(e, -EINVAL, "class '%s': one that the policy knows expected", class);
        r = permissions_of(&q, permissions, 0, ret);
        return r < 0 ? error_errno(e, r, "permissions of class %s", class) : 0;
}
