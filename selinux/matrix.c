/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "selinux/matrix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In the policy's own numbers for types and attributes, in the common ones for the rest. */
struct rule {
        uint32_t source, target;
        size_t class;
        uint64_t permissions;
};

/* Common numbers of a class of the policy's and of its permissions. */
struct class_map {
        size_t class;
        uint8_t bits[32];
};

#define RULES_MAX ((size_t)1 << 25)

struct matrix {
        const struct selinux_policy *p;
        size_t n_types, n_classes; /* of the numbering */
        struct class_map *classes;
        struct rule *rules; /* by source */
        size_t n_rules;
        size_t *first;  /* rule of each source; one more entry ends the last */
        uint32_t *own;  /* number of each type in the policy, 0: it is not there */
        size_t *common; /* the other way */
        bool *touched;  /* targets of the row that have permissions */
        uint64_t *row;  /* n_types times n_classes */
};

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int number_types(struct numbering *n, const struct selinux_policy *const *policies, size_t n_policies)
{
        size_t total = 0, kept = 0;

        for (size_t i = 0; i < n_policies; i++)
                total += policies[i]->db->p.p_types.nprim;
        n->types = calloc(total + 1, sizeof(*n->types));
        if (!n->types)
                return -ENOMEM;
        for (size_t i = 0; i < n_policies; i++) {
                const policydb_t *db = &policies[i]->db->p;

                for (unsigned j = 0; j < db->p_types.nprim; j++)
                        if (db->type_val_to_struct[j] && db->type_val_to_struct[j]->flavor == TYPE_TYPE)
                                n->types[n->n_types++] = db->p_type_val_to_name[j];
        }
        qsort((void *)n->types, n->n_types, sizeof(*n->types), compare_names);
        for (size_t i = 0; i < n->n_types; i++)
                if (kept == 0 || strcmp(n->types[kept - 1], n->types[i]) != 0)
                        n->types[kept++] = n->types[i];
        n->n_types = kept;
        return 0;
}

static size_t find_class_number(const struct numbering *n, const char *name)
{
        size_t i = 0;

        while (i < n->n_classes && strcmp(n->classes[i].name, name) != 0)
                i++;
        return i;
}

static size_t find_permission(const struct class_names *c, const char *name)
{
        size_t i = 0;

        while (i < c->n && strcmp(c->permissions[i], name) != 0)
                i++;
        return i;
}

static int number_class(struct numbering *n, const char *name, const class_datum_t *datum)
{
        struct class_names *c = &n->classes[find_class_number(n, name)];

        if (!c->name) {
                c->name = name;
                n->n_classes++;
        }
        for (unsigned bit = 0; bit < 32; bit++) {
                const char *permission = permission_name(datum, bit);

                if (!permission || find_permission(c, permission) < c->n)
                        continue;
                if (c->n == PERMISSIONS_MAX)
                        return -E2BIG;
                c->permissions[c->n++] = permission;
        }
        return 0;
}

int numbering_make(struct numbering *n, const struct selinux_policy *const *policies, size_t n_policies,
                   struct error *e)
{
        size_t classes = 0;
        int r;

        *n = (struct numbering){};
        r = number_types(n, policies, n_policies);
        for (size_t i = 0; i < n_policies; i++)
                classes += policies[i]->db->p.p_classes.nprim;
        n->classes = calloc(classes + 1, sizeof(*n->classes));
        if (r >= 0 && !n->classes)
                r = -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n_policies; i++) {
                const policydb_t *db = &policies[i]->db->p;

                for (unsigned j = 0; r >= 0 && j < db->p_classes.nprim; j++)
                        if (db->class_val_to_struct[j])
                                r = number_class(n, db->p_class_val_to_name[j], db->class_val_to_struct[j]);
        }
        if (r < 0)
                numbering_done(n);
        return r < 0 ? error_errno(e, r, "names of types and classes") : 0;
}

void numbering_done(struct numbering *n)
{
        free((void *)n->types);
        free(n->classes);
        *n = (struct numbering){};
}

static void map_class(const struct numbering *n, const char *name, const class_datum_t *datum,
                      struct class_map *ret)
{
        ret->class = find_class_number(n, name);
        for (unsigned bit = 0; bit < 32; bit++) {
                const char *permission = permission_name(datum, bit);

                if (permission)
                        ret->bits[bit] = (uint8_t)find_permission(&n->classes[ret->class], permission);
        }
}

static uint64_t map_permissions(const struct class_map *map, uint32_t own)
{
        uint64_t ret = 0;

        for (; own; own &= own - 1)
                ret |= (uint64_t)1 << map->bits[__builtin_ctz(own)];
        return ret;
}

static int add_rule(struct matrix *m, uint32_t source, uint32_t target, unsigned class, uint32_t permissions)
{
        const struct class_map *map = &m->classes[class];

        if (m->n_rules == RULES_MAX)
                return -E2BIG;
        /* Grows by doubling: at every power of two. */
        if ((m->n_rules & (m->n_rules - 1)) == 0) {
                struct rule *rules = reallocarray(m->rules, m->n_rules ? m->n_rules * 2 : 1, sizeof(*rules));

                if (!rules)
                        return -ENOMEM;
                m->rules = rules;
        }
        m->rules[m->n_rules++] = (struct rule){source, target, map->class, map_permissions(map, permissions)};
        return 0;
}

static int read_table(struct matrix *m)
{
        const avtab_t *table = &m->p->db->p.te_avtab;
        int r = 0;

        for (unsigned i = 0; i < table->nslot; i++)
                for (avtab_ptr_t node = table->htable[i]; r >= 0 && node; node = node->next)
                        if (node->key.specified & AVTAB_ALLOWED)
                                r = add_rule(m, node->key.source_type, node->key.target_type,
                                             node->key.target_class - 1u, node->datum.data);
        return r;
}

/* One rule for each pair of types that the statement is about. */
static int add_pairs(struct matrix *m, const struct statement *s, unsigned class, uint32_t permissions)
{
        uint32_t n = m->p->db->p.p_types.nprim;
        int r = 0;

        for (uint32_t source = 1; r >= 0 && source <= n; source++)
                for (uint32_t target = 1; r >= 0 && target <= n; target++)
                        if (statement_is_about(s, source, target))
                                r = add_rule(m, source, target, class, permissions);
        return r;
}

static int read_text(struct matrix *m, enum selinux_rule_kind kind, struct error *e)
{
        const policydb_t *db = &m->p->db->p;
        const struct source *source = &m->p->source;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < source->n_statements; i++) {
                const struct statement *s = &source->statements[i];

                for (unsigned class = 0; s->kind == kind && r >= 0 && class < db->p_classes.nprim; class ++) {
                        uint32_t permissions = 0;

                        r = statement_permissions(source, db, sexpr_at(s->text, 3),
                                                  db->p_class_val_to_name[class], &permissions, e);
                        if (r >= 0 && permissions)
                                r = add_pairs(m, s, class, permissions);
                }
        }
        return r;
}

static int compare_rules(const void *a, const void *b)
{
        const struct rule *x = a, *y = b;

        return x->source < y->source ? -1 : x->source > y->source;
}

static void index_rules(struct matrix *m)
{
        size_t i = 0;

        if (m->n_rules > 0)
                qsort(m->rules, m->n_rules, sizeof(*m->rules), compare_rules);
        for (uint32_t source = 0; source <= m->p->db->p.p_types.nprim; source++) {
                while (i < m->n_rules && m->rules[i].source < source)
                        i++;
                m->first[source] = i;
        }
        m->first[m->p->db->p.p_types.nprim + 1] = m->n_rules;
}

static int allocate(struct matrix *m, const struct numbering *n)
{
        const policydb_t *db = &m->p->db->p;

        m->n_types = n->n_types;
        m->n_classes = n->n_classes;
        m->classes = calloc(db->p_classes.nprim + 1, sizeof(*m->classes));
        m->first = calloc(db->p_types.nprim + 2, sizeof(*m->first));
        m->own = calloc(n->n_types + 1, sizeof(*m->own));
        m->common = calloc(db->p_types.nprim + 1, sizeof(*m->common));
        m->touched = calloc(n->n_types + 1, sizeof(*m->touched));
        m->row = calloc(n->n_types * n->n_classes + 1, sizeof(*m->row));
        if (!m->classes || !m->first || !m->own || !m->common || !m->touched || !m->row)
                return -ENOMEM;
        for (unsigned i = 0; i < db->p_classes.nprim; i++)
                if (db->class_val_to_struct[i])
                        map_class(n, db->p_class_val_to_name[i], db->class_val_to_struct[i], &m->classes[i]);
        for (uint32_t i = 0; i < db->p_types.nprim; i++) {
                const char **found;

                if (!db->type_val_to_struct[i] || db->type_val_to_struct[i]->flavor != TYPE_TYPE)
                        continue;
                found = bsearch(&db->p_type_val_to_name[i], (void *)n->types, n->n_types, sizeof(*n->types),
                                compare_names);
                m->common[i] = (size_t)(found - n->types);
                m->own[m->common[i]] = i + 1;
        }
        return 0;
}

static int make(const struct selinux_policy *p, const struct numbering *n, enum selinux_rule_kind kind,
                bool text, struct matrix **ret, struct error *e)
{
        _cleanup_(matrix_free_ptr) struct matrix *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return error_errno(e, -ENOMEM, "rules");
        m->p = p;
        r = allocate(m, n);
        if (r >= 0)
                r = text ? read_text(m, kind, e) : read_table(m);
        if (r < 0)
                return error_errno(e, r, "rules");
        index_rules(m);
        *ret = TAKE_PTR(m);
        return 0;
}

int matrix_of_policy(const struct selinux_policy *p, const struct numbering *n, struct matrix **ret,
                     struct error *e)
{
        return make(p, n, SELINUX_ALLOW, false, ret, e);
}

int matrix_of_text(const struct selinux_policy *p, const struct numbering *n, enum selinux_rule_kind kind,
                   struct matrix **ret, struct error *e)
{
        return make(p, n, kind, true, ret, e);
}

struct matrix *matrix_free(struct matrix *m)
{
        free(m->classes);
        free(m->rules);
        free(m->first);
        free(m->own);
        free(m->common);
        free(m->touched);
        free(m->row);
        free(m);
        return NULL;
}

static void give(struct matrix *m, const struct rule *rule)
{
        const policydb_t *db = &m->p->db->p;
        ebitmap_node_t *node;
        unsigned bit;

        ebitmap_for_each_positive_bit(&db->attr_type_map[rule->target - 1], node, bit)
        {
                size_t target = m->common[bit];
                uint64_t *cells = &m->row[target * m->n_classes];

                if (!m->touched[target])
                        memset(cells, 0, m->n_classes * sizeof(*cells));
                m->touched[target] = true;
                cells[rule->class] |= rule->permissions;
        }
}

void matrix_row(struct matrix *m, size_t source)
{
        const policydb_t *db = &m->p->db->p;
        ebitmap_node_t *node;
        unsigned bit;

        memset(m->touched, 0, m->n_types * sizeof(*m->touched));
        if (m->own[source] == 0)
                return;
        ebitmap_for_each_positive_bit(&db->type_attr_map[m->own[source] - 1], node, bit)
        {
                for (size_t i = m->first[bit + 1]; i < m->first[bit + 2]; i++)
                        give(m, &m->rules[i]);
        }
}

const uint64_t *matrix_get(const struct matrix *m, size_t target)
{
        return m->touched[target] ? &m->row[target * m->n_classes] : NULL;
}
