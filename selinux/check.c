/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sepol/policydb/policydb.h>
#include <stdlib.h>
#include <string.h>

#include "selinux/internal.h"

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

/* Marks the type, or every type of the attribute. */
static void mark(const policydb_t *db, unsigned value, bool *used)
{
        ebitmap_node_t *node;
        unsigned bit;

        used[value - 1] = true;
        ebitmap_for_each_positive_bit(&db->attr_type_map[value - 1], node, bit)
        {
                used[bit] = true;
        }
}

int selinux_policy_idle_types(const struct selinux_policy *p, char ***ret, struct error *e)
{
        const policydb_t *db = &p->db->p;
        _cleanup_free_ bool *used = calloc(db->p_types.nprim, sizeof(*used));
        struct names names = {};
        int r = 0;

        if (!used)
                return error_errno(e, -ENOMEM, "types");
        for (unsigned i = 0; i < db->te_avtab.nslot; i++)
                for (avtab_ptr_t node = db->te_avtab.htable[i]; node; node = node->next)
                        if (node->key.specified & AVTAB_ALLOWED) {
                                mark(db, node->key.source_type, used);
                                mark(db, node->key.target_type, used);
                        }
        for (unsigned i = 0; r >= 0 && i < db->p_types.nprim; i++) {
                const type_datum_t *type = db->type_val_to_struct[i];

                if (type && type->flavor == TYPE_TYPE && !used[i])
                        r = names_add(&names, db->p_type_val_to_name[i]);
        }
        if (r >= 0)
                r = names_finish(&names, ret);
        if (r < 0) {
                selinux_names_free(names.items);
                return error_errno(e, r, "types");
        }
        return 0;
}
