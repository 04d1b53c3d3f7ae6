/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xattrs.h"

#include <endian.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "build.h"
#include "erofs-format.h"

/* Bytes of memory that a set takes besides what is stored of it. */
#define SET_OVERHEAD 64u

/* --- lists --- */

void xattr_list_reset(struct xattr_list *l)
{
        for (size_t i = 0; i < l->n; i++)
                free(l->items[i].name);
        l->n = 0;
        l->capability = false;
        l->acl_mode = -1;
}

void xattr_list_done(struct xattr_list *l)
{
        xattr_list_reset(l);
        free(l->items);
        *l = (struct xattr_list){};
}

static const struct xattr *find(const struct xattr_list *l, uint8_t prefix, const char *name,
                                size_t name_size)
{
        for (size_t i = 0; i < l->n; i++)
                if (l->items[i].prefix == prefix && l->items[i].name_size == name_size &&
                    memcmp(l->items[i].name, name, name_size) == 0)
                        return &l->items[i];
        return NULL;
}

static int append(struct xattr_list *l, struct xattr x, const char *name, const void *value)
{
        if (l->n == l->size) {
                size_t size = l->size ? 2 * l->size : 8;
                struct xattr *items = reallocarray(l->items, size, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                l->items = items;
                l->size = size;
        }
        x.name = malloc((size_t)x.name_size + x.value_size + 1);
        if (!x.name)
                return -ENOMEM;
        memcpy(x.name, name, x.name_size);
        if (x.value_size > 0)
                memcpy(x.name + x.name_size, value, x.value_size);
        l->items[l->n++] = x;
        return 0;
}

static int add(struct xattr_list *l, uint8_t prefix, const char *name, size_t name_size, const void *value,
               size_t size, struct error *e)
{
        const struct xattr x = {
                .prefix = prefix, .name_size = (uint8_t)name_size, .value_size = (uint16_t)size};
        const struct xattr *old;

        if (name_size > UINT8_MAX || size > UINT16_MAX || l->n >= BUILD_INODE_XATTRS)
                return error_set(e, -E2BIG,
                                 "at most %d extended attributes with names up to %d bytes and values up to "
                                 "%d expected, "
                                 "found more",
                                 BUILD_INODE_XATTRS, UINT8_MAX, UINT16_MAX);
        old = find(l, prefix, name, name_size);
        if (!old)
                return append(l, x, name, value);
        if (old->value_size != size || (size > 0 && memcmp(old->name + name_size, value, size) != 0))
                return error_set(e, -EBADMSG,
                                 "one value of the extended attribute \"%.*s\" expected, found two",
                                 (int)name_size, name);
        return 0;
}

static int add_acl(struct xattr_list *l, uint8_t prefix, const void *value, size_t size, struct error *e)
{
        _cleanup_free_ uint8_t *acl = NULL;
        size_t acl_size = 0;
        int mode = -1, r = acl_normalise(value, size, &acl, &acl_size, &mode, e);

        if (r < 0)
                return r;
        if (prefix == EROFS_XATTR_ACL_ACCESS)
                l->acl_mode = mode;
        return add(l, prefix, "", 0, acl, acl_size, e);
}

int xattr_list_add(struct xattr_list *l, const char *name, const void *value, size_t size, struct error *e)
{
        if (strcmp(name, "system.posix_acl_access") == 0)
                return add_acl(l, EROFS_XATTR_ACL_ACCESS, value, size, e);
        if (strcmp(name, "system.posix_acl_default") == 0)
                return add_acl(l, EROFS_XATTR_ACL_DEFAULT, value, size, e);
        if (strcmp(name, "security.capability") == 0) {
                l->capability = true;
                return add(l, EROFS_XATTR_SECURITY, "capability", strlen("capability"), value, size, e);
        }
        if (strncmp(name, "user.", 5) != 0 || name[5] == '\0')
                return 0;
        return add(l, EROFS_XATTR_USER, name + 5, strlen(name + 5), value, size, e);
}

int xattr_list_set(struct xattr_list *l, uint8_t prefix, const char *name, const void *value, size_t size,
                   struct error *e)
{
        return add(l, prefix, name, strlen(name), value, size, e);
}

/* --- sets --- */

static int compare_xattrs(const void *a, const void *b)
{
        const struct xattr *x = a, *y = b;
        int r = memcmp(x->name, y->name, x->name_size < y->name_size ? x->name_size : y->name_size);

        if (x->prefix != y->prefix)
                return (int)x->prefix - (int)y->prefix;
        return r != 0 ? r : (int)x->name_size - (int)y->name_size;
}

static int compare_sets(const void *a, const void *b)
{
        const struct xattr_set *x = a, *y = b;

        if (x->size != y->size)
                return x->size < y->size ? -1 : 1;
        return memcmp(x->data, y->data, x->size);
}

static size_t stored_size(const struct xattr *x)
{
        size_t n = sizeof(struct erofs_xattr_entry) + x->name_size + x->value_size;

        return (n + 3) & ~(size_t)3;
}

static struct xattr_set *encode(const struct xattr_list *l, size_t size)
{
        struct xattr_set *set = calloc(1, sizeof(*set) + size);
        size_t at = sizeof(struct erofs_xattr_header);

        if (!set)
                return NULL;
        set->size = (uint32_t)size;
        for (size_t i = 0; i < l->n; i++) {
                const struct xattr *x = &l->items[i];
                const struct erofs_xattr_entry entry = {
                        .name_size = x->name_size, .prefix = x->prefix, .value_size = htole16(x->value_size)};

                memcpy(set->data + at, &entry, sizeof(entry));
                memcpy(set->data + at + sizeof(entry), x->name, (size_t)x->name_size + x->value_size);
                at += stored_size(x);
        }
        return set;
}

/* Adds the set, or frees it for the same one that is there. */
static int intern(struct xattr_store *s, struct xattr_set *set, const struct xattr_set **ret, struct error *e)
{
        struct xattr_set **found = tfind(set, &s->sets, compare_sets);

        if (!found) {
                if (set->size + SET_OVERHEAD > BUILD_XATTRS_MAX - s->size) {
                        free(set);
                        return error_set(
                                e, -E2BIG,
                                "at most %llu bytes of different extended attributes expected, found more",
                                (unsigned long long)BUILD_XATTRS_MAX);
                }
                found = tsearch(set, &s->sets, compare_sets);
                if (found)
                        s->size += set->size + SET_OVERHEAD;
        }
        if (!found || *found != set)
                free(set);
        if (!found)
                return -ENOMEM;
        *ret = *found;
        return 0;
}

int xattr_store_get(struct xattr_store *s, struct xattr_list *l, const struct xattr_set **ret,
                    struct error *e)
{
        size_t size = sizeof(struct erofs_xattr_header);
        struct xattr_set *set;

        if (l->n == 0) {
                *ret = NULL;
                return 0;
        }
        for (size_t i = 0; i < l->n; i++)
                size += stored_size(&l->items[i]);
        if (size > BUILD_INODE_XATTRS_MAX)
                return error_set(e, -E2BIG,
                                 "at most %u bytes of extended attributes of one file expected, found %zu",
                                 BUILD_INODE_XATTRS_MAX, size);
        qsort(l->items, l->n, sizeof(*l->items), compare_xattrs);
        set = encode(l, size);
        return set ? intern(s, set, ret, e) : -ENOMEM;
}

static int decode(const struct xattr_set *set, struct xattr_list *l)
{
        size_t at = sizeof(struct erofs_xattr_header);

        while (at < set->size) {
                struct erofs_xattr_entry entry;
                struct xattr x;
                int r;

                memcpy(&entry, set->data + at, sizeof(entry));
                x = (struct xattr){.prefix = entry.prefix,
                                   .name_size = entry.name_size,
                                   .value_size = le16toh(entry.value_size)};
                at += sizeof(entry);
                r = append(l, x, (const char *)set->data + at, set->data + at + x.name_size);
                if (r < 0)
                        return r;
                at += stored_size(&x) - sizeof(entry);
        }
        return 0;
}

int xattr_store_extend(struct xattr_store *s, const struct xattr_set *set, uint8_t prefix, const char *name,
                       const void *value, size_t size, const struct xattr_set **ret, struct error *e)
{
        _cleanup_(xattr_list_done) struct xattr_list l = {};
        int r = set ? decode(set, &l) : 0;

        if (r >= 0)
                r = xattr_list_set(&l, prefix, name, value, size, e);
        return r < 0 ? r : xattr_store_get(s, &l, ret, e);
}

void xattr_store_done(struct xattr_store *s)
{
        tdestroy(s->sets, free);
        *s = (struct xattr_store){};
}
