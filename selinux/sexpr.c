/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "selinux/sexpr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reader {
        struct sexpr_tree *tree;
        size_t n;
        struct sexpr **end[SEXPR_DEPTH_MAX + 1]; /* where the next node of each open list goes */
        size_t depth;
};

static struct sexpr *add(struct reader *r, const char *atom)
{
        struct sexpr *node = &r->tree->nodes[r->n++];

        node->atom = atom;
        *r->end[r->depth] = node;
        r->end[r->depth] = &node->next;
        return node;
}

/* An atom that begins at p; returns what follows it. The NUL that ends it goes over the separator, so the
 * separator is handed back through *next. NULL: two atoms, or an atom and a comment, touch. */
static char *read_atom(struct reader *r, char *p, char *next)
{
        bool quoted = *p == '"';
        char *begin = p + quoted;
        size_t n = quoted ? strcspn(begin, "\"\n") : strcspn(begin, " \t\r\n();\"");

        p = begin + n;
        if (quoted && *p == '"')
                *p++ = '\0';
        if (*p == ';' || *p == '"')
                return NULL;
        *next = *p;
        *p = '\0';
        (void)add(r, begin);
        return p;
}

static int open_list(struct reader *r)
{
        struct sexpr *list;

        if (r->depth == SEXPR_DEPTH_MAX)
                return -EINVAL;
        list = add(r, NULL);
        r->end[++r->depth] = &list->first;
        return 0;
}

/* A comment ends with its line; a mark is read as a list of its words. */
static char *read_comment(struct reader *r, char *p, char *next)
{
        char *end = p + strcspn(p, "\n");
        char *save = NULL;

        *next = *end;
        *end = '\0';
        if (strncmp(p, SEXPR_MARK " ", sizeof(SEXPR_MARK)) == 0 && open_list(r) == 0) {
                for (char *word = strtok_r(p, " ", &save); word; word = strtok_r(NULL, " ", &save))
                        (void)add(r, word);
                r->depth--;
        }
        return end;
}

static int read_all(struct reader *r, char *p)
{
        char c = *p; /* what stands at p, or stood there before a NUL ended an atom */

        while (c) {
                if (c == '(') {
                        if (open_list(r) < 0)
                                return -EINVAL;
                        c = *++p;
                } else if (c == ')') {
                        if (r->depth-- == 0)
                                return -EINVAL;
                        c = *++p;
                } else if (c == ';') {
                        p = read_comment(r, p, &c);
                } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
                        c = *++p;
                } else {
                        *p = c;
                        p = read_atom(r, p, &c);
                        if (!p)
                                return -EINVAL;
                }
        }
        return r->depth == 0 ? 0 : -EINVAL;
}

int sexpr_parse(char *text, size_t size, struct sexpr_tree *ret, struct error *e)
{
        struct reader r = {.tree = ret};

        *ret = (struct sexpr_tree){.text = text};
        /* No node takes less than one byte; pages that stay untouched cost nothing. */
        ret->nodes = calloc(size + 1, sizeof(*ret->nodes));
        if (!ret->nodes)
                return error_errno(e, -ENOMEM, "policy's text");
        r.end[0] = &ret->first;
        if (strlen(text) != size || read_all(&r, text) < 0)
                return error_set(e, -EINVAL,
                                 "policy's text: matching brackets, at most %d deep, expected, found others",
                                 SEXPR_DEPTH_MAX);
        return 0;
}

void sexpr_done(struct sexpr_tree *tree)
{
        free(tree->nodes);
        free(tree->text);
        *tree = (struct sexpr_tree){};
}

const struct sexpr *sexpr_at(const struct sexpr *list, size_t i)
{
        const struct sexpr *node = list ? list->first : NULL;

        while (node && i-- > 0)
                node = node->next;
        return node;
}

const char *sexpr_atom(const struct sexpr *list, size_t i)
{
        const struct sexpr *node = sexpr_at(list, i);

        return node ? node->atom : NULL;
}

bool sexpr_same(const struct sexpr *list, size_t i, const char *atom)
{
        const char *found = sexpr_atom(list, i);

        return found && strcmp(found, atom) == 0;
}

bool sexpr_is(const struct sexpr *list, const char *keyword)
{
        return sexpr_same(list, 0, keyword);
}

void sexpr_print(FILE *f, const struct sexpr *node)
{
        if (node->atom) {
                bool plain = node->atom[0] && strcspn(node->atom, " \t()\";") == strlen(node->atom);

                (void)fprintf(f, plain ? "%s" : "\"%s\"", node->atom);
                return;
        }
        (void)fputc('(', f);
        for (const struct sexpr *n = node->first; n; n = n->next) {
                sexpr_print(f, n);
                if (n->next)
                        (void)fputc(' ', f);
        }
        (void)fputc(')', f);
}
