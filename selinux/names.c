/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "selinux/internal.h"

unsigned type_number(const policydb_t *db, const char *name)
{
        for (unsigned i = 0; i < db->p_types.nprim; i++)
                if (db->p_type_val_to_name[i] && strcmp(db->p_type_val_to_name[i], name) == 0 &&
                    db->type_val_to_struct[i] && db->type_val_to_struct[i]->flavor == TYPE_TYPE)
                        return i + 1;
        return 0;
}

const class_datum_t *find_class_datum(const policydb_t *db, const char *name)
{
        for (unsigned i = 0; i < db->p_classes.nprim; i++)
                if (db->p_class_val_to_name[i] && strcmp(db->p_class_val_to_name[i], name) == 0)
                        return db->class_val_to_struct[i];
        return NULL;
}

/* The permission by name, or by bit where name is NULL. */
static const char *search(const symtab_t *table, const char *name, unsigned bit, uint32_t *ret)
{
        for (unsigned i = 0; table->table && i < table->table->size; i++)
                for (hashtab_node_t *node = table->table->htable[i]; node; node = node->next) {
                        const perm_datum_t *datum = node->datum;

                        if (name ? strcmp(node->key, name) != 0 : datum->s.value != bit + 1)
                                continue;
                        *ret = 1u << (datum->s.value - 1);
                        return node->key;
                }
        return NULL;
}

static const char *search_class(const class_datum_t *class, const char *name, unsigned bit, uint32_t *ret)
{
        const char *found = search(&class->permissions, name, bit, ret);

        return found || !class->comdatum ? found : search(&class->comdatum->permissions, name, bit, ret);
}

uint32_t permission_bit(const class_datum_t *class, const char *name)
{
        uint32_t bit = 0;

        (void)search_class(class, name, 0, &bit);
        return bit;
}

const char *permission_name(const class_datum_t *class, unsigned bit)
{
        uint32_t ignored;

        return search_class(class, NULL, bit, &ignored);
}

uint32_t permission_all(const class_datum_t *class)
{
        return class->permissions.nprim >= 32 ? UINT32_MAX : (1u << class->permissions.nprim) - 1;
}
