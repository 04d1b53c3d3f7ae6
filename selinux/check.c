/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sepol/policydb/policydb.h>
#include <stdlib.h>
#include <string.h>

#include "selinux/matrix.h"

int names_add(struct names *names, const char *name)
{
        char **items = reallocarray(names->items, names->n + 2, sizeof(*items));

        if (!items)
                return -ENOMEM;
        names->items = items;
        items[names->n + 1] = NULL;
        items[names->n] = strdup(name);
        return items[names->n++] ? 0 : -ENOMEM;
}

static int compare(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int names_finish(struct names *names, char ***ret)
{
        if (!names->items) {
                names->items = calloc(1, sizeof(*names->items));
                if (!names->items)
                        return -ENOMEM;
        }
        qsort(names->items, names->n, sizeof(*names->items), compare);
        *ret = names->items;
        return 0;
}

void selinux_names_free(char **names)
{
        for (char **p = names; p && *p; p++)
                free(*p);
        free(names);
}

static size_t count_bits(const ebitmap_t *map)
{
        ebitmap_node_t *node;
        unsigned bit;
        size_t n = 0;

        ebitmap_for_each_positive_bit(map, node, bit)
        {
                n++;
        }
        return n;
}

static void count_rules(const avtab_t *table, struct selinux_counts *c)
{
        for (unsigned i = 0; i < table->nslot; i++)
                for (avtab_ptr_t node = table->htable ? table->htable[i] : NULL; node; node = node->next) {
                        c->allow += (node->key.specified & AVTAB_ALLOWED) != 0;
                        c->transitions += (node->key.specified & AVTAB_TRANSITION) != 0;
                        /* The table keeps what is audited on denial: all, less what a dontaudit took away. */
                        c->dontaudit += (node->key.specified & AVTAB_AUDITDENY) != 0;
                }
}

void selinux_policy_count(const struct selinux_policy *p, struct selinux_counts *ret)
{
        const policydb_t *db = &p->db->p;
        struct selinux_counts c = {.size = p->size, .classes = db->p_classes.nprim};

        for (unsigned i = 0; i < db->p_types.nprim; i++) {
                const type_datum_t *type = db->type_val_to_struct[i];

                c.types += type && type->flavor == TYPE_TYPE;
                c.attributes += type && type->flavor == TYPE_ATTRIB;
        }
        count_rules(&db->te_avtab, &c);
        count_rules(&db->te_cond_avtab, &c);
        c.transitions += db->filename_trans_count;
        c.permissive = count_bits(&db->permissive_map);
        c.handle_unknown_deny = db->handle_unknown == SEPOL_DENY_UNKNOWN;
        *ret = c;
}

void selinux_findings_done(struct selinux_findings *findings)
{
        for (size_t i = 0; i < findings->n; i++)
                free(findings->items[i].about);
        free(findings->items);
        *findings = (struct selinux_findings){};
}

int findings_add(struct selinux_findings *f, const char *name, bool error, const char *about,
                 const struct statement *place)
{
        struct selinux_finding *items = reallocarray(f->items, f->n + 1, sizeof(*items));

        if (!items)
                return -ENOMEM;
        f->items = items;
        items[f->n] = (struct selinux_finding){.name = name,
                                               .error = error,
                                               .about = strdup(about),
                                               .file = place ? place->file : NULL,
                                               .line = place ? place->line : 0};
        return items[f->n++].about ? 0 : -ENOMEM;
}

static int add_settings(const struct selinux_policy *p, struct selinux_findings *f)
{
        const policydb_t *db = &p->db->p;
        struct selinux_counts c;
        ebitmap_node_t *node;
        unsigned bit;
        int r = 0;

        selinux_policy_count(p, &c);
        if (c.dontaudit > 0)
                r = findings_add(f, "dontaudit", true, "rules that hide denials", NULL);
        if (r >= 0 && !c.handle_unknown_deny)
                r = findings_add(f, "unknown-not-denied", true, "handleunknown deny expected", NULL);
        ebitmap_for_each_positive_bit(&db->permissive_map, node, bit)
        {
                if (r >= 0)
                        r = findings_add(f, "permissive-type", true, db->p_type_val_to_name[bit - 1], NULL);
        }
        return r;
}

/* Where a row has the permission to write files. */
struct cell {
        size_t class;
        uint64_t write;
};

static struct cell find_write(const struct numbering *n)
{
        struct cell ret = {};

        for (size_t class = 0; class < n->n_classes; class ++)
                for (size_t i = 0; i < n->classes[class].n; i++)
                        if (strcmp(n->classes[class].name, "file") == 0 &&
                            strcmp(n->classes[class].permissions[i], "write") == 0)
                                ret = (struct cell){class, (uint64_t)1 << i};
        return ret;
}

static int add_types(struct matrix *m, const struct numbering *n, struct selinux_findings *f)
{
        _cleanup_free_ bool *writable = calloc(n->n_types + 1, sizeof(*writable));
        _cleanup_free_ bool *used = calloc(n->n_types + 1, sizeof(*used));
        _cleanup_free_ size_t *counts = calloc(n->n_types + 1, sizeof(*counts));
        const struct cell cell = find_write(n);
        size_t all = 0;
        int r = 0;

        if (!writable || !used || !counts)
                return -ENOMEM;
        for (size_t source = 0; source < n->n_types; source++) {
                matrix_row(m, source);
                for (size_t target = 0; target < n->n_types; target++) {
                        const uint64_t *cells = matrix_get(m, target);

                        if (!cells)
                                continue;
                        used[source] = used[target] = true;
                        if (cells[cell.class] & cell.write) {
                                writable[target] = true;
                                counts[source]++;
                        }
                }
        }
        for (size_t i = 0; i < n->n_types; i++)
                all += writable[i];
        for (size_t i = 0; r >= 0 && i < n->n_types; i++) {
                if (!used[i])
                        r = findings_add(f, "idle-type", true, n->types[i], NULL);
                if (r >= 0 && all > 1 && counts[i] == all)
                        r = findings_add(f, "unconfined-type", true, n->types[i], NULL);
        }
        return r;
}

int selinux_policy_check(const struct selinux_policy *p, struct selinux_findings *ret, struct error *e)
{
        _cleanup_(matrix_free_ptr) struct matrix *m = NULL;
        struct selinux_findings f = {};
        struct numbering n;
        int r;

        r = numbering_make(&n, &p, 1, e);
        if (r < 0)
                return r;
        r = matrix_of_policy(p, &n, &m, e);
        if (r >= 0)
                r = add_settings(p, &f);
        if (r >= 0)
                r = add_types(m, &n, &f);
        if (r >= 0)
                r = findings_of_text(p, &f, e);
        numbering_done(&n);
        if (r < 0) {
                selinux_findings_done(&f);
                return error_errno(e, r, "check");
        }
        *ret = f;
        return 0;
}
