/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes as EROFS stores them behind an inode: in one order, each different set once in memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct xattr_set {
        uint32_t size; /* a multiple of 4 */
        uint8_t data[];
};

/* All sets that an image needs. */
struct xattr_store {
        void *sets; /* of <search.h> */
        uint64_t size;
};
void xattr_store_done(struct xattr_store *s);

struct xattr {
        uint8_t prefix; /* enum erofs_xattr_prefix */
        uint8_t name_size;
        uint16_t value_size;
        char *name; /* without the prefix; the value follows it */
};

/* Those of one file while they are read. */
struct xattr_list {
        struct xattr *items;
        size_t n, size;
        bool capability; /* security.capability is among them */
        int acl_mode;    /* permissions of the inode where there is an access ACL, else -1 */
};
void xattr_list_reset(struct xattr_list *l);
void xattr_list_done(struct xattr_list *l);

/* Adds user.*, ACLs and security.capability, which is what an image may carry; any other is left out. The
 * same one again is left out too, with another value -EBADMSG, as is an ACL that makes no sense. -E2BIG: too
 * large. */
int xattr_list_add(struct xattr_list *l, const char *name, const void *value, size_t size, struct error *e);

/* As it is: for labels and overlayfs's marks, which are ours alone to give. */
int xattr_list_set(struct xattr_list *l, uint8_t prefix, const char *name, const void *value, size_t size,
                   struct error *e);

/* The set, NULL for none; owned by the store. -E2BIG: the store is full. */
int xattr_store_get(struct xattr_store *s, struct xattr_list *l, const struct xattr_set **ret,
                    struct error *e);

/* The same set with one attribute more. */
int xattr_store_extend(struct xattr_store *s, const struct xattr_set *set, uint8_t prefix, const char *name,
                       const void *value, size_t size, const struct xattr_set **ret, struct error *e);

/* --- ACLs --- */

struct acl_entry {
        uint16_t tag, permissions; /* of <linux/posix_acl.h> */
        uint32_t id;
};

/* The bytes of system.posix_acl_…, to be freed, from entries in any order. -EBADMSG: not a valid ACL. */
int acl_format(struct acl_entry *entries, size_t n, uint8_t **ret, size_t *ret_size, struct error *e);

/* Checks such bytes and puts their entries in order. *ret_mode: the permissions of an inode that has it as
 * its access ACL. */
int acl_normalise(const void *value, size_t size, uint8_t **ret, size_t *ret_size, int *ret_mode,
                  struct error *e);
