/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The statements of a policy with their places, and what they are about. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selinux/internal.h"

#define WORD_BITS 64u

static void set_bit(word_t *set, unsigned value)
{
        set[(value - 1) / WORD_BITS] |= (word_t)1 << ((value - 1) % WORD_BITS);
}

static bool has_bit(const word_t *set, unsigned value)
{
        return set[(value - 1) / WORD_BITS] >> ((value - 1) % WORD_BITS) & 1;
}

static int compare_sets(const void *a, const void *b)
{
        return strcmp(((const struct named_set *)a)->name, ((const struct named_set *)b)->name);
}

/* An attribute is worked out when it is first asked for; the compiler has seen to it that none contains
 * itself. */
static int look_up_types(void *userdata, const char *name, word_t *ret)
{
        struct source *s = userdata;
        const struct algebra types = {s->words, s->all, look_up_types, s};
        const struct named_set key = {.name = name};
        struct named_set *set = bsearch(&key, s->sets, s->n_sets, sizeof(*set), compare_sets);
        int r = 0;

        if (!set)
                return -EINVAL;
        if (!set->types) {
                _cleanup_free_ word_t *part = calloc(s->words, sizeof(*part));

                set->types = calloc(s->words, sizeof(*set->types));
                if (!part || !set->types)
                        return -ENOMEM;
                for (size_t i = 0; r >= 0 && i < s->n_statements; i++) {
                        const struct sexpr *text = s->statements[i].text;

                        if (!sexpr_is(text, "typeattributeset") || !sexpr_same(text, 1, name))
                                continue;
                        r = algebra_evaluate(&types, sexpr_at(text, 2), part);
                        for (size_t w = 0; w < s->words; w++)
                                set->types[w] |= part[w];
                }
        }
        memcpy(ret, set->types, s->words * sizeof(*ret));
        return r;
}

static enum selinux_rule_kind kind_of(const struct sexpr *text)
{
        static const struct {
                const char *keyword;
                enum selinux_rule_kind kind;
        } kinds[] = {{"allow", SELINUX_ALLOW},
                     {"neverallow", SELINUX_NEVERALLOW},
                     {"constrain", SELINUX_CONSTRAINT},
                     {"mlsconstrain", SELINUX_CONSTRAINT}};

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (sexpr_is(text, kinds[i].keyword))
                        return kinds[i].kind;
        return SELINUX_OTHER;
}

/* Where the walk is: the file and line of the last mark. */
struct place {
        size_t file;
        unsigned line;
        unsigned calls; /* how many the statement stands in */
};

static int add_statement(struct source *s, const struct sexpr *text, const struct place *at)
{
        struct statement *new;

        /* Grows by doubling: at every power of two. */
        if ((s->n_statements & (s->n_statements - 1)) == 0) {
                new = reallocarray(s->statements, s->n_statements ? s->n_statements * 2 : 1, sizeof(*new));
                if (!new)
                        return -ENOMEM;
                s->statements = new;
        }
        s->statements[s->n_statements++] =
                (struct statement){.text = text,
                                   .file = at->file < s->n_files ? s->files[at->file].path : "",
                                   .line = at->line,
                                   .called = at->calls > 0,
                                   .kind = kind_of(text)};
        return 0;
}

/* Statements that hold others; what a macro would do is told by its calls. */
static bool is_container(const struct sexpr *statement)
{
        static const char *const containers[] = {"block",     "call",      "optional", "in",
                                                 "booleanif", "tunableif", "true",     "false"};

        for (size_t i = 0; i < ELEMENTSOF(containers); i++)
                if (sexpr_is(statement, containers[i]))
                        return true;
        return false;
}

static int walk(struct source *s, const struct sexpr *list, struct place *at)
{
        int r = 0;

        for (const struct sexpr *n = list; r >= 0 && n; n = n->next) {
                if (n->atom)
                        continue;
                if (sexpr_is(n, SEXPR_MARK)) {
                        const char *line = sexpr_atom(n, 2), *file = sexpr_atom(n, 3);

                        if (line && file && strcmp(sexpr_atom(n, 1), "lmx") == 0) {
                                at->line = (unsigned)strtoul(line, NULL, 10);
                                at->file = strtoul(file, NULL, 10);
                        }
                } else if (is_container(n)) {
                        at->calls += sexpr_is(n, "call");
                        r = walk(s, n->first, at);
                        at->calls -= sexpr_is(n, "call");
                } else {
                        r = add_statement(s, n, at);
                }
        }
        return r;
}

static int add_set(struct source *s, const char *name, unsigned value)
{
        struct named_set *set = &s->sets[s->n_sets++];

        *set = (struct named_set){.name = name};
        if (value == 0)
                return 0;
        set->types = calloc(s->words, sizeof(*set->types));
        if (!set->types)
                return -ENOMEM;
        set_bit(set->types, value);
        set_bit(s->all, value);
        return 0;
}

/* Types under their names and aliases, and attributes. */
static int find_sets(struct source *s, const policydb_t *db)
{
        int r = 0;

        s->words = db->p_types.nprim / WORD_BITS + 1;
        s->all = calloc(s->words, sizeof(*s->all));
        s->sets = calloc(s->n_statements + 1, sizeof(*s->sets));
        if (!s->all || !s->sets)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < s->n_statements; i++) {
                const struct sexpr *text = s->statements[i].text;
                const char *name = sexpr_atom(text, 1), *actual = sexpr_atom(text, 2);

                if (sexpr_is(text, "type"))
                        r = add_set(s, name, type_number(db, name));
                else if (sexpr_is(text, "typealiasactual") && actual)
                        r = add_set(s, name, type_number(db, actual));
                else if (sexpr_is(text, "typeattribute"))
                        r = add_set(s, name, 0);
        }
        qsort(s->sets, s->n_sets, sizeof(*s->sets), compare_sets);
        return r;
}

static int find_definitions(struct source *s)
{
        s->definitions = (const struct sexpr **)calloc(s->n_statements + 1, sizeof(*s->definitions));
        if (!s->definitions)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_statements; i++) {
                const struct sexpr *text = s->statements[i].text;

                if (sexpr_is(text, "classmap") || sexpr_is(text, "classmapping") ||
                    sexpr_is(text, "classpermissionset"))
                        s->definitions[s->n_definitions++] = text;
        }
        return 0;
}

static int find_subjects(struct source *s, struct statement *statement)
{
        const struct algebra types = {s->words, s->all, look_up_types, s};
        const struct sexpr *source = sexpr_at(statement->text, 1), *target = sexpr_at(statement->text, 2);
        int r;

        if (!source || !target || !sexpr_at(statement->text, 3))
                return -EINVAL;
        statement->source = calloc(s->words, sizeof(word_t));
        statement->types = calloc(s->words, sizeof(word_t));
        if (!statement->source || !statement->types)
                return -ENOMEM;
        r = algebra_evaluate(&types, source, statement->source);
        if (r < 0)
                return r;
        if (target->atom && strcmp(target->atom, "self") == 0)
                statement->target = TARGET_SELF;
        else if (target->atom && (strcmp(target->atom, "notself") == 0 || strcmp(target->atom, "other") == 0))
                statement->target = TARGET_OTHER;
        else
                r = algebra_evaluate(&types, target, statement->types);
        return r;
}

int statements_find(struct source *s, const policydb_t *db, char *text, size_t size, struct error *e)
{
        struct place at = {};
        int r;

        r = sexpr_parse(text, size, &s->tree, e);
        if (r < 0)
                return r;
        r = walk(s, s->tree.first, &at);
        if (r >= 0)
                r = find_sets(s, db);
        if (r >= 0)
                r = find_definitions(s);
        if (r < 0)
                return error_errno(e, r, "policy's text");
        for (size_t i = 0; i < s->n_statements; i++) {
                struct statement *statement = &s->statements[i];

                if (statement->kind != SELINUX_ALLOW && statement->kind != SELINUX_NEVERALLOW)
                        continue;
                r = find_subjects(s, statement);
                if (r < 0)
                        return error_errno(e, r, "%s:%u: a rule that cannot be followed", statement->file,
                                           statement->line);
        }
        return 0;
}

bool statement_is_about(const struct statement *s, unsigned source, unsigned target)
{
        if (!s->source || !has_bit(s->source, source))
                return false;
        if (s->target == TARGET_SELF)
                return source == target;
        if (s->target == TARGET_OTHER)
                return source != target;
        return has_bit(s->types, target);
}
