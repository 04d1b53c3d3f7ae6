/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The statements of a policy with their places, and what they are about. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selinux/internal.h"

#define WORD_BITS 64u
#define NESTING_MAX 8 /* classpermission in classmap in classpermission … */

/* Names that stand for sets of bits, and the set of all of them. */
struct algebra {
        size_t words;
        const word_t *all;
        int (*look_up)(void *userdata, const char *name, word_t *ret);
        void *userdata;
};

static int evaluate(const struct algebra *a, const struct sexpr *node, word_t *ret);

static int evaluate_operator(const struct algebra *a, char op, const struct sexpr *list, word_t *ret)
{
        const struct sexpr *left = sexpr_at(list, 1), *right = sexpr_at(list, 2);
        _cleanup_free_ word_t *other = calloc(a->words, sizeof(*other));
        int r;

        if (!other)
                return -ENOMEM;
        if (!left || (op != '!' && !right))
                return -EINVAL;
        r = evaluate(a, left, ret);
        if (r >= 0 && right)
                r = evaluate(a, right, other);
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
                r = evaluate(a, n, member);
                for (size_t i = 0; r >= 0 && i < a->words; i++)
                        ret[i] |= member[i];
        }
        return r;
}

static int evaluate(const struct algebra *a, const struct sexpr *node, word_t *ret)
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
                        r = evaluate(&types, sexpr_at(text, 2), part);
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
        r = evaluate(&types, source, statement->source);
        if (r < 0)
                return r;
        if (target->atom && strcmp(target->atom, "self") == 0)
                statement->target = TARGET_SELF;
        else if (target->atom && (strcmp(target->atom, "notself") == 0 || strcmp(target->atom, "other") == 0))
                statement->target = TARGET_OTHER;
        else
                r = evaluate(&types, target, statement->types);
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

        r = evaluate(&intentions, wanted, &chosen);
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
                r = evaluate(&permissions, sexpr_at(node, 1), &found);
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
