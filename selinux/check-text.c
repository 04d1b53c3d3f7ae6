/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is wrong with the text of a policy that compiles. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selinux/internal.h"

/* --- attributes --- */

static bool mentions(const struct sexpr *node, const char *name)
{
        if (node->atom)
                return strcmp(node->atom, name) == 0;
        for (const struct sexpr *n = node->first; n; n = n->next)
                if (mentions(n, name))
                        return true;
        return false;
}

/* Somewhere else than where it is declared and given its types. */
static bool is_used(const struct source *s, const char *attribute)
{
        for (size_t i = 0; i < s->n_statements; i++) {
                const struct sexpr *text = s->statements[i].text;
                bool own = sexpr_is(text, "typeattribute") ||
                           (sexpr_is(text, "typeattributeset") && sexpr_same(text, 1, attribute));

                if (!own && mentions(text, attribute))
                        return true;
        }
        return false;
}

static int add_attributes(const struct source *s, struct selinux_findings *f)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->n_statements; i++) {
                const struct statement *statement = &s->statements[i];
                const char *name = sexpr_atom(statement->text, 1);

                if (sexpr_is(statement->text, "typeattribute") && !is_used(s, name))
                        r = findings_add(f, "unused-attribute", false, name, statement);
        }
        return r;
}

/* --- rules --- */

/* An allow rule and what it gives of each class. */
struct rule {
        const struct statement *statement;
        uint32_t *permissions;
        unsigned source, target; /* the first pair that it is about; 0: none */
};

struct rules {
        struct rule *items;
        size_t n;
        unsigned n_types, n_classes;
};

static void rules_done(struct rules *rules)
{
        for (size_t i = 0; i < rules->n; i++)
                free(rules->items[i].permissions);
        free(rules->items);
}

/* The next pair of types that the statement is about, in the order of their numbers. */
static bool next_pair(const struct rules *rules, const struct statement *s, unsigned *source,
                      unsigned *target)
{
        do {
                (*target)++;
                if (*target > rules->n_types) {
                        *target = 1;
                        (*source)++;
                }
        } while (*source <= rules->n_types && !statement_is_about(s, *source, *target));
        return *source <= rules->n_types;
}

static int add_rule(const struct selinux_policy *p, struct rules *rules, const struct statement *s,
                    struct error *e)
{
        struct rule *rule = &rules->items[rules->n++];
        int r = 0;

        *rule = (struct rule){s, calloc(rules->n_classes, sizeof(*rule->permissions)), 1, 0};
        if (!rule->permissions)
                return -ENOMEM;
        for (unsigned i = 0; r >= 0 && i < rules->n_classes; i++)
                r = statement_permissions(&p->source, &p->db->p, sexpr_at(s->text, 3),
                                          p->db->p.p_class_val_to_name[i], &rule->permissions[i], e);
        if (!next_pair(rules, s, &rule->source, &rule->target))
                rule->source = 0;
        return r;
}

/* Whether b gives all that a gives. */
static bool covers(const struct rules *rules, const struct rule *b, const struct rule *a)
{
        unsigned source = 1, target = 0;

        for (unsigned i = 0; i < rules->n_classes; i++)
                if (a->permissions[i] & ~b->permissions[i])
                        return false;
        while (next_pair(rules, a->statement, &source, &target))
                if (!statement_is_about(b->statement, source, target))
                        return false;
        return true;
}

/* Of two that say the same the later one is repeated. What a macro does may be needed by another of its
 * calls. */
static bool is_repeated(const struct rules *rules, size_t i)
{
        const struct rule *a = &rules->items[i];

        for (size_t j = 0; a->source && !a->statement->called && j < rules->n; j++) {
                const struct rule *b = &rules->items[j];

                if (i != j && statement_is_about(b->statement, a->source, a->target) && covers(rules, b, a) &&
                    (j < i || b->statement->called || !covers(rules, a, b)))
                        return true;
        }
        return false;
}

static int add_repeated(const struct statement *s, struct selinux_findings *f)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&text, &size);

        if (!stream)
                return -ENOMEM;
        sexpr_print(stream, s->text);
        return fclose(stream) == 0 ? findings_add(f, "repeated-rule", false, text, s) : -ENOMEM;
}

static int add_rules(const struct selinux_policy *p, struct selinux_findings *f, struct error *e)
{
        const struct source *s = &p->source;
        _cleanup_(rules_done) struct rules rules = {.items =
                                                            calloc(s->n_statements + 1, sizeof(*rules.items)),
                                                    .n_types = p->db->p.p_types.nprim,
                                                    .n_classes = p->db->p.p_classes.nprim};
        int r = rules.items ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < s->n_statements; i++)
                if (s->statements[i].kind == SELINUX_ALLOW)
                        r = add_rule(p, &rules, &s->statements[i], e);
        for (size_t i = 0; r >= 0 && i < rules.n; i++)
                if (is_repeated(&rules, i))
                        r = add_repeated(rules.items[i].statement, f);
        return r;
}

int findings_of_text(const struct selinux_policy *p, struct selinux_findings *f, struct error *e)
{
        int r = add_attributes(&p->source, f);

        return r < 0 ? r : add_rules(p, f, e);
}
