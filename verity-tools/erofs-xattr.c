/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes: those behind an inode, and those that several inodes share. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "erofs-read-internal.h"

/* The text of a prefix of the kernel's table, or NULL. */
static const char *short_prefix(unsigned index)
{
        switch (index) {
        case EROFS_XATTR_USER:
                return "user.";
        case EROFS_XATTR_ACL_ACCESS:
                return "system.posix_acl_access";
        case EROFS_XATTR_ACL_DEFAULT:
                return "system.posix_acl_default";
        case EROFS_XATTR_TRUSTED:
                return "trusted.";
        case EROFS_XATTR_SECURITY:
                return "security.";
        default:
                return NULL;
        }
}

/* --- long prefixes --- */

/* The table stands in the image itself, or in the packed file of an image that has one. */
static int read_table(struct erofs_image *image, const struct erofs_inode *packed, uint64_t at, void *buf,
                      size_t size, struct error *e)
{
        if (!packed)
                return erofs_metadata_read(image, at, buf, size, e);
        if (size > packed->size || at > packed->size - size)
                return error_set(
                        e, -EBADMSG,
                        "EROFS: a table of prefixes in the packed file expected, found it at %" PRIu64, at);
        return erofs_inode_pread(image, packed, at, buf, size, e);
}

static int read_prefix(struct erofs_image *image, const struct erofs_inode *packed, uint64_t *at,
                       struct erofs_prefix *ret, struct error *e)
{
        char data[1 + EROFS_NAME_MAX + 1] = {};
        const char *base;
        uint16_t size;
        size_t n;
        int r;

        r = read_table(image, packed, *at, &size, sizeof(size), e);
        if (r < 0)
                return r;
        n = le16toh(size);
        if (n < 1 || n > 1 + EROFS_NAME_MAX)
                return error_set(e, -EBADMSG, "EROFS: a prefix of 1 to 256 bytes expected, found %zu", n);
        r = read_table(image, packed, *at + sizeof(size), data, n, e);
        if (r < 0)
                return r;
        base = short_prefix((uint8_t)data[0]);
        if (!base)
                return error_set(e, -EBADMSG, "EROFS: a prefix on a known one expected, found number %u",
                                 (uint8_t)data[0]);
        (void)stpcpy(stpcpy(ret->text, base), data + 1);
        *at = (*at + sizeof(size) + n + 3) & ~UINT64_C(3);
        return 0;
}

static int read_prefixes(struct erofs_image *image, struct error *e)
{
        uint64_t at = (uint64_t)image->super.xattr_prefix_start << 2;
        bool is_packed =
                (image->super.feature_incompat & EROFS_INCOMPAT_FRAGMENTS) && image->super.packed_nid;
        struct erofs_inode packed;
        int r = 0;

        if (image->prefixes_read)
                return 0;
        if (is_packed)
                r = erofs_inode_read(image, image->super.packed_nid, &packed, e);
        if (r < 0)
                return r;
        if (!image->prefixes)
                image->prefixes = calloc(image->super.xattr_prefix_count, sizeof(*image->prefixes));
        if (!image->prefixes)
                return -ENOMEM;
        for (unsigned i = 0; r >= 0 && i < image->super.xattr_prefix_count; i++)
                r = read_prefix(image, is_packed ? &packed : NULL, &at, &image->prefixes[i], e);
        image->prefixes_read = r >= 0;
        return r;
}

/* --- attributes --- */

struct reader {
        struct erofs_image *image;
        const struct erofs_inode *inode;
        struct erofs_xattrs *xattrs;
        size_t room;
};

static int prefix_of(struct erofs_image *image, unsigned index, const char **ret, struct error *e)
{
        unsigned i = index & ~EROFS_XATTR_LONG_PREFIX;
        int r;

        *ret = short_prefix(index);
        if (index & EROFS_XATTR_LONG_PREFIX && i < image->super.xattr_prefix_count) {
                r = read_prefixes(image, e);
                if (r < 0)
                        return r;
                *ret = image->prefixes[i].text;
        }
        if (!*ret)
                return error_set(e, -EBADMSG, "a known prefix of an attribute expected, found number %u",
                                 index);
        return 0;
}

static int make_room(struct reader *reader, struct error *e)
{
        struct erofs_xattrs *x = reader->xattrs;
        struct erofs_xattr *bigger;

        if (x->n < reader->room)
                return 0;
        if (x->n == EROFS_XATTRS_MAX)
                return error_set(e, -E2BIG, "at most %d attributes expected, found more", EROFS_XATTRS_MAX);
        reader->room = reader->room ? reader->room * 2 : 4;
        bigger = reallocarray(x->items, reader->room, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        x->items = bigger;
        return 0;
}

/* The entry at offset, which must end within `left` bytes. Its name and value are kept in one piece. */
static int take_entry(struct reader *reader, uint64_t offset, uint64_t left, size_t *ret_size,
                      struct error *e)
{
        static const struct erofs_xattr_entry padding;
        struct erofs_xattr_entry entry;
        _cleanup_free_ char *name = NULL;
        size_t prefix_size, head, value_size;
        const char *prefix = NULL;
        int r;

        r = erofs_metadata_read(reader->image, offset, &entry, sizeof(entry), e);
        *ret_size = sizeof(entry);
        if (r >= 0 && memcmp(&entry, &padding, sizeof(entry)) == 0)
                return 0;
        if (r >= 0)
                r = prefix_of(reader->image, entry.prefix, &prefix, e);
        if (r >= 0)
                r = make_room(reader, e);
        if (r < 0)
                return r;
        value_size = le16toh(entry.value_size);
        *ret_size = sizeof(entry) + entry.name_size + value_size;
        if (*ret_size > left)
                return error_set(
                        e, -EBADMSG,
                        "attributes of the inode's size expected, found %zu bytes at offset %" PRIu64,
                        *ret_size, offset);
        prefix_size = strlen(prefix);
        head = prefix_size + entry.name_size + 1;
        name = calloc(1, head + value_size);
        if (!name)
                return -ENOMEM;
        memcpy(name, prefix, prefix_size);
        offset += sizeof(entry);
        r = erofs_metadata_read(reader->image, offset, name + prefix_size, entry.name_size, e);
        if (r >= 0)
                r = erofs_metadata_read(reader->image, offset + entry.name_size, name + head, value_size, e);
        if (r < 0)
                return r;
        if (strlen(name) != head - 1)
                return error_set(e, -EBADMSG, "an attribute's name without NUL expected, found one");
        reader->xattrs->items[reader->xattrs->n++] =
                (struct erofs_xattr){.name = name, .value = (uint8_t *)name + head, .size = value_size};
        name = NULL;
        return 0;
}

static int read_shared(struct reader *reader, uint64_t ids, unsigned n, struct error *e)
{
        struct erofs_image *image = reader->image;

        for (unsigned i = 0; i < n; i++) {
                uint64_t offset;
                uint32_t id;
                size_t size;
                int r;

                r = erofs_metadata_read(image, ids + i * sizeof(id), &id, sizeof(id), e);
                if (r < 0)
                        return r;
                offset = (uint64_t)image->super.xattr_blkaddr * image->block_size + le32toh(id) * UINT64_C(4);
                r = take_entry(reader, offset, UINT64_MAX, &size, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_all(struct reader *reader, struct error *e)
{
        const struct erofs_inode *inode = reader->inode;
        uint64_t at = inode->offset + inode->inode_size, end = at + inode->xattr_size;
        struct erofs_xattr_header header;
        int r;

        r = erofs_metadata_read(reader->image, at, &header, sizeof(header), e);
        if (r < 0)
                return r;
        at += sizeof(header);
        if (header.shared_count * sizeof(uint32_t) > end - at)
                return error_set(e, -EBADMSG, "attributes of the inode's size expected, found %u shared ones",
                                 header.shared_count);
        r = read_shared(reader, at, header.shared_count, e);
        at += header.shared_count * sizeof(uint32_t);
        while (r >= 0 && at < end) {
                size_t size = 0;

                r = take_entry(reader, at, end - at, &size, e);
                at += (size + 3) & ~(size_t)3;
        }
        return r;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct erofs_xattr *)a)->name, ((const struct erofs_xattr *)b)->name);
}

int erofs_inode_xattrs(struct erofs_image *image, const struct erofs_inode *inode, struct erofs_xattrs *ret,
                       struct error *e)
{
        struct erofs_xattrs x = {};
        struct reader reader = {.image = image, .inode = inode, .xattrs = &x};
        int r = 0;

        if (inode->xattr_size > 0)
                r = read_all(&reader, e);
        if (r >= 0 && x.n > 1)
                qsort(x.items, x.n, sizeof(*x.items), by_name);
        for (size_t i = 1; r >= 0 && i < x.n; i++)
                if (strcmp(x.items[i - 1].name, x.items[i].name) == 0)
                        r = error_set(e, -EBADMSG, "each attribute once expected, found %.200s again",
                                      x.items[i].name);
        if (r < 0) {
                erofs_xattrs_done(&x);
                return error_prefix(e, r, "EROFS: inode %" PRIu64 " at offset %" PRIu64, inode->nid,
                                    inode->offset);
        }
        *ret = x;
        return 0;
}

bool erofs_xattrs_have(const struct erofs_xattrs *x, const char *name)
{
        for (size_t i = 0; i < x->n; i++)
                if (strcmp(x->items[i].name, name) == 0)
                        return true;
        return false;
}

void erofs_xattrs_done(struct erofs_xattrs *x)
{
        for (size_t i = 0; i < x->n; i++)
                free(x->items[i].name);
        free(x->items);
        *x = (struct erofs_xattrs){};
}
