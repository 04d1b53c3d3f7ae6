/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* POSIX ACLs in the form of the attributes system.posix_acl_access and _default. */
#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "xattrs.h"

#define ENTRIES_MAX 4096

static int compare_entries(const void *a, const void *b)
{
        const struct acl_entry *x = a, *y = b;

        if (x->tag != y->tag)
                return (int)x->tag - (int)y->tag;
        return x->id < y->id ? -1 : x->id > y->id;
}

static bool is_named(uint16_t tag)
{
        return tag == ACL_USER || tag == ACL_GROUP;
}

/* Sorted: owner, group and others once each; named ones once each, and then a mask. */
static bool is_valid(const struct acl_entry *entries, size_t n)
{
        const unsigned once = ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER;
        unsigned seen = 0;

        for (size_t i = 0; i < n; i++) {
                const struct acl_entry *x = &entries[i];
                bool named = is_named(x->tag);

                if ((x->tag & ~(once | ACL_USER | ACL_GROUP | ACL_MASK)) != 0 ||
                    (x->tag & (x->tag - 1)) != 0 || x->tag == 0 || x->permissions > 7)
                        return false;
                if (named ? x->id == (uint32_t)ACL_UNDEFINED_ID : (seen & x->tag) != 0)
                        return false;
                if (i > 0 && compare_entries(x - 1, x) == 0)
                        return false;
                seen |= x->tag;
        }
        return (seen & once) == once && ((seen & (ACL_USER | ACL_GROUP)) == 0 || (seen & ACL_MASK) != 0);
}

/* The group's are those of the mask, if there is one: entries are sorted. */
static int mode_of(const struct acl_entry *entries, size_t n)
{
        int mode = 0;

        for (size_t i = 0; i < n; i++) {
                int permissions = entries[i].permissions;

                if (entries[i].tag == ACL_USER_OBJ)
                        mode |= permissions << 6;
                else if (entries[i].tag == ACL_OTHER)
                        mode |= permissions;
                else if (entries[i].tag == ACL_GROUP_OBJ || entries[i].tag == ACL_MASK)
                        mode = (mode & ~070) | permissions << 3;
        }
        return mode;
}

int acl_format(struct acl_entry *entries, size_t n, uint8_t **ret, size_t *ret_size, struct error *e)
{
        const struct posix_acl_xattr_header header = {.a_version = htole32(POSIX_ACL_XATTR_VERSION)};
        size_t size = sizeof(header) + n * sizeof(struct posix_acl_xattr_entry);
        uint8_t *p;

        for (size_t i = 0; i < n; i++)
                if (!is_named(entries[i].tag))
                        entries[i].id = (uint32_t)ACL_UNDEFINED_ID;
        qsort(entries, n, sizeof(*entries), compare_entries);
        if (n > ENTRIES_MAX || !is_valid(entries, n))
                return error_set(e, -EBADMSG, "a valid POSIX ACL with numeric IDs expected, found another");
        p = malloc(size);
        if (!p)
                return -ENOMEM;
        memcpy(p, &header, sizeof(header));
        for (size_t i = 0; i < n; i++) {
                const struct posix_acl_xattr_entry x = {.e_tag = htole16(entries[i].tag),
                                                        .e_perm = htole16(entries[i].permissions),
                                                        .e_id = htole32(entries[i].id)};

                memcpy(p + sizeof(header) + i * sizeof(x), &x, sizeof(x));
        }
        *ret = p;
        *ret_size = size;
        return 0;
}

int acl_normalise(const void *value, size_t size, uint8_t **ret, size_t *ret_size, int *ret_mode,
                  struct error *e)
{
        struct posix_acl_xattr_header header = {};
        _cleanup_free_ struct acl_entry *entries = NULL;
        size_t n = size / sizeof(struct posix_acl_xattr_entry);
        int r;

        if (size >= sizeof(header))
                memcpy(&header, value, sizeof(header));
        if (le32toh(header.a_version) != POSIX_ACL_XATTR_VERSION || n > ENTRIES_MAX ||
            size != sizeof(header) + n * sizeof(struct posix_acl_xattr_entry))
                return error_set(e, -EBADMSG, "a POSIX ACL of version %d expected, found something else",
                                 POSIX_ACL_XATTR_VERSION);
        entries = calloc(n + 1, sizeof(*entries));
        if (!entries)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                struct posix_acl_xattr_entry x;

                memcpy(&x, (const uint8_t *)value + sizeof(header) + i * sizeof(x), sizeof(x));
                entries[i] = (struct acl_entry){le16toh(x.e_tag), le16toh(x.e_perm), le32toh(x.e_id)};
        }
        r = acl_format(entries, n, ret, ret_size, e);
        *ret_mode = mode_of(entries, n);
        return r;
}
