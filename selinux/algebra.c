/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "selinux/algebra.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int evaluate_operator(const struct algebra *a, char op, const struct sexpr *list, word_t *ret)
{
        const struct sexpr *left = sexpr_at(list, 1), *right = sexpr_at(list, 2);
        _cleanup_free_ word_t *other = calloc(a->words, sizeof(*other));
        int r;

        if (!other)
                return -ENOMEM;
        if (!left || (op != '!' && !right))
                return -EINVAL;
        r = algebra_evaluate(a, left, ret);
        if (r >= 0 && right)
                r = algebra_evaluate(a, right, other);
        for (size_t i = 0; r >= 0 && i < a->words; i++) {
                if (op == '!')
                        ret[i] = a->all[i] & ~ret[i];
                else if (op == '&')
                        ret[i] &= other[i];
                else if (op == '^')
                        ret[i] ^= other[i];
                else
                        ret[i] |= other[i];
        }
        return r;
}

/* A list without an operator is the union of its members. */
static int evaluate_members(const struct algebra *a, const struct sexpr *list, word_t *ret)
{
        _cleanup_free_ word_t *member = calloc(a->words, sizeof(*member));
        int r = 0;

        if (!member)
                return -ENOMEM;
        memset(ret, 0, a->words * sizeof(*ret));
        for (const struct sexpr *n = list->first; r >= 0 && n; n = n->next) {
                r = algebra_evaluate(a, n, member);
                for (size_t i = 0; r >= 0 && i < a->words; i++)
                        ret[i] |= member[i];
        }
        return r;
}

int algebra_evaluate(const struct algebra *a, const struct sexpr *node, word_t *ret)
{
        static const struct {
                const char *name;
                char op;
        } operators[] = {{"and", '&'}, {"or", '|'}, {"xor", '^'}, {"not", '!'}};
        const char *name = node && node->atom ? node->atom : sexpr_atom(node, 0);

        if (!node)
                return -EINVAL;
        if (name && strcmp(name, "all") == 0) {
                memcpy(ret, a->all, a->words * sizeof(*ret));
                return 0;
        }
        if (node->atom)
                return a->look_up(a->userdata, node->atom, ret);
        for (size_t i = 0; name && i < ELEMENTSOF(operators); i++)
                if (strcmp(name, operators[i].name) == 0)
                        return evaluate_operator(a, operators[i].op, node, ret);
        return evaluate_members(a, node, ret);
}
