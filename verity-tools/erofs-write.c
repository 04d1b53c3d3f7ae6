/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* First every inode gets its place, then every directory or link that does not fit behind its inode; so all
 * numbers are known before the first byte is written. */
#include "erofs-write.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "erofs-format.h"
#include "internal.h"

#define INODE_UNIT 64 /* inodes begin at multiples of this, so that none crosses a block */
#define BLOCKS_MAX UINT32_MAX

struct writer {
        struct image_stream *stream;
        uint64_t begin; /* of the metadata in the image */
        struct trust_hash *digest;
        struct error *e;
};

static uint64_t nid_of(const struct file_inode *i)
{
        return (uint64_t)i->slot * (INODE_UNIT / EROFS_SLOT);
}

static size_t xattrs_size(const struct file_inode *i)
{
        return i->xattrs ? i->xattrs->size : 0;
}

/* Directories and link targets stand behind their inode if all of it fits a block. */
static bool is_inline(const struct file_inode *i)
{
        return (S_ISDIR(i->mode) || S_ISLNK(i->mode)) &&
               sizeof(struct erofs_inode_extended) + xattrs_size(i) + i->size <= EROFS_BLOCK;
}

static bool has_blocks(const struct file_inode *i)
{
        return (S_ISDIR(i->mode) || S_ISLNK(i->mode)) && !is_inline(i);
}

/* --- output --- */

static int put(struct writer *w, const void *data, size_t size)
{
        if (trust_hash_add(w->digest, data, size) < 0)
                return error_set(w->e, -EIO, "SHA-256 of the metadata");
        return image_stream_put(w->stream, data, size, w->e);
}

/* Zeros up to this offset of the metadata, less than a block away. */
static int pad_to(struct writer *w, uint64_t offset)
{
        static const uint8_t zeros[EROFS_BLOCK];

        return put(w, zeros, (size_t)(w->begin + offset - image_stream_position(w->stream)));
}

/* --- directories --- */

struct name {
        const char *text;
        size_t size;
        uint64_t nid;
        uint8_t type;
};

#define NAMES_MAX (EROFS_BLOCK / (sizeof(struct erofs_dirent) + 1))

/* Names are packed in their order into as few bytes as they need; one that does not fit begins the next
 * block. */
struct directory_packer {
        struct writer *writer; /* NULL: only the size is wanted */
        const struct file_inode *directory;
        unsigned dots;                /* of "." and "..", those that were packed */
        struct name names[NAMES_MAX]; /* of the block at hand */
        size_t n, used;
        uint64_t full; /* bytes of the blocks before it */
        int r;
};

static uint8_t type_of(const struct file_inode *i)
{
        switch (i->mode & S_IFMT) {
        case S_IFDIR:
                return EROFS_FT_DIRECTORY;
        case S_IFLNK:
                return EROFS_FT_SYMLINK;
        case S_IFCHR:
                return EROFS_FT_CHARACTER;
        case S_IFBLK:
                return EROFS_FT_BLOCK;
        case S_IFIFO:
                return EROFS_FT_FIFO;
        default:
                return EROFS_FT_REGULAR;
        }
}

static int write_names(const struct directory_packer *p)
{
        uint8_t block[EROFS_BLOCK];
        size_t at = p->n * sizeof(struct erofs_dirent);

        for (size_t i = 0; i < p->n; i++) {
                const struct name *name = &p->names[i];
                const struct erofs_dirent entry = {
                        .nid = htole64(name->nid), .name_offset = htole16((uint16_t)at), .type = name->type};

                memcpy(block + i * sizeof(entry), &entry, sizeof(entry));
                memcpy(block + at, name->text, name->size);
                at += name->size;
        }
        return put(p->writer, block, at);
}

static void pack(struct directory_packer *p, struct name name)
{
        size_t size = sizeof(struct erofs_dirent) + name.size;

        if (p->used + size > EROFS_BLOCK) {
                p->full += EROFS_BLOCK;
                if (p->writer && p->r >= 0)
                        p->r = write_names(p);
                if (p->writer && p->r >= 0)
                        p->r = pad_to(p->writer, p->directory->location - p->writer->begin + p->full);
                p->n = 0;
                p->used = 0;
        }
        p->names[p->n++] = name;
        p->used += size;
}

static void pack_dot(struct directory_packer *p)
{
        const struct file_inode *to = p->dots == 0 ? p->directory : p->directory->directory.parent;

        p->dots++;
        pack(p, (struct name){"..", p->dots, nid_of(to), EROFS_FT_DIRECTORY});
}

/* Whether "." or ".." sorts before this name, which is neither. */
static bool is_behind_dot(const struct file_entry *entry, size_t dot_size)
{
        size_t n = entry->name_size < dot_size ? entry->name_size : dot_size;

        return memcmp("..", entry->name, n) <= 0;
}

static void pack_entry(const struct file_entry *entry, void *userdata)
{
        struct directory_packer *p = userdata;

        while (p->dots < 2 && is_behind_dot(entry, p->dots + 1))
                pack_dot(p);
        pack(p, (struct name){entry->name, entry->name_size, nid_of(entry->inode), type_of(entry->inode)});
}

static void pack_all(struct directory_packer *p)
{
        file_tree_each(p->directory, pack_entry, p);
        while (p->dots < 2)
                pack_dot(p);
}

static uint64_t directory_size(const struct file_inode *i)
{
        struct directory_packer p = {.directory = i};

        pack_all(&p);
        return p.full + p.used;
}

static int write_content(struct writer *w, const struct file_inode *i)
{
        struct directory_packer p = {.writer = w, .directory = i};

        if (S_ISLNK(i->mode))
                return put(w, i->target, i->size);
        pack_all(&p);
        return p.r < 0 ? p.r : write_names(&p);
}

/* --- places --- */

/* What stands behind an inode in its block must not cross into the next. */
static uint64_t place_inodes(struct file_inode *root)
{
        uint64_t at = INODE_UNIT; /* number 0 stays unused: to readdir() it is no file */

        for (struct file_inode *i = root; i; i = i->next) {
                uint64_t size = sizeof(struct erofs_inode_extended) + xattrs_size(i);

                if (S_ISDIR(i->mode))
                        i->size = directory_size(i);
                if (is_inline(i)) {
                        size += i->size;
                        if (at % EROFS_BLOCK + size > EROFS_BLOCK)
                                at = round_up(at, EROFS_BLOCK);
                }
                i->slot = (uint32_t)(at / INODE_UNIT);
                at += round_up(size, INODE_UNIT);
        }
        return round_up(at, EROFS_BLOCK);
}

/* Takes and returns offsets from the begin of the metadata. */
static uint64_t place_blocks(const struct writer *w, struct file_inode *root, uint64_t at)
{
        for (struct file_inode *i = root; i; i = i->next)
                if (has_blocks(i)) {
                        i->location = w->begin + at;
                        at += round_up(i->size, EROFS_BLOCK);
                }
        return at;
}

/* --- inodes --- */

static uint32_t encode_device(dev_t d)
{
        return (minor(d) & 0xff) | (major(d) << 8) | ((minor(d) & ~0xffu) << 12);
}

static uint32_t location_of(const struct file_inode *i)
{
        if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
                return encode_device(i->rdev);
        return is_inline(i) ? 0 : (uint32_t)(i->location / EROFS_BLOCK);
}

static int write_inode(struct writer *w, const struct file_inode *i, uint32_t number)
{
        const struct erofs_inode_extended inode = {
                .format = htole16((uint16_t)(EROFS_INODE_EXTENDED |
                                             (is_inline(i) ? EROFS_FLAT_INLINE : EROFS_FLAT_PLAIN) << 1)),
                .xattr_count = htole16(
                        (uint16_t)(i->xattrs ? 1 + (xattrs_size(i) - sizeof(struct erofs_xattr_header)) / 4
                                             : 0)),
                .mode = htole16(i->mode),
                .size = htole64(i->size),
                .location = htole32(location_of(i)),
                .ino = htole32(number),
                .uid = htole32(i->uid),
                .gid = htole32(i->gid),
                .mtime = htole64((uint64_t)i->mtime),
                .mtime_nsec = htole32(i->mtime_nsec),
                .nlink = htole32(S_ISDIR(i->mode) ? i->links + 2 : i->links),
        };
        int r;

        r = pad_to(w, (uint64_t)i->slot * INODE_UNIT);
        if (r >= 0)
                r = put(w, &inode, sizeof(inode));
        if (r >= 0 && i->xattrs)
                r = put(w, i->xattrs->data, i->xattrs->size);
        if (r >= 0 && is_inline(i))
                r = write_content(w, i);
        return r;
}

static int write_metadata(struct writer *w, const struct file_inode *root)
{
        uint32_t number = 1;
        int r = 0;

        for (const struct file_inode *i = root; r >= 0 && i; i = i->next)
                r = write_inode(w, i, number++);
        for (const struct file_inode *i = root; r >= 0 && i; i = i->next) {
                if (!has_blocks(i))
                        continue;
                r = pad_to(w, i->location - w->begin);
                if (r >= 0)
                        r = write_content(w, i);
        }
        return r < 0 ? r : pad_to(w, round_up(image_stream_position(w->stream), EROFS_BLOCK) - w->begin);
}

/* --- the superblock --- */

/* From the metadata, so that it is always the same and tells the layout. */
static int make_uuid(struct writer *w, uint8_t ret[static 16])
{
        uint8_t digest[32];

        if (trust_hash_end(w->digest, digest) < 0)
                return error_set(w->e, -EIO, "SHA-256 of the metadata");
        uuid_from_digest(digest, ret);
        return 0;
}

static int write_super(struct writer *w, const struct file_inode *root, uint64_t inodes)
{
        uint8_t block[EROFS_BLOCK] = {};
        struct erofs_super super = {
                .magic = htole32(EROFS_MAGIC),
                .feature_compat = htole32(EROFS_COMPAT_SB_CHKSUM | EROFS_COMPAT_MTIME),
                .blkszbits = EROFS_BLOCK_BITS,
                .root_nid = htole16((uint16_t)nid_of(root)),
                .inos = htole64(inodes),
                .blocks = htole32((uint32_t)(image_stream_position(w->stream) / EROFS_BLOCK)),
                .meta_blkaddr = htole32((uint32_t)(w->begin / EROFS_BLOCK)),
        };
        int r = make_uuid(w, super.uuid);

        if (r < 0)
                return r;
        memcpy(block + EROFS_SUPER_OFFSET, &super, sizeof(super));
        super.checksum = htole32(erofs_checksum(block));
        memcpy(block + EROFS_SUPER_OFFSET, &super, sizeof(super));
        return image_stream_patch(w->stream, 0, block, sizeof(block), w->e);
}

int erofs_write(struct file_tree *t, uint64_t inodes, struct image_stream *s, struct error *e)
{
        _cleanup_(trust_hash_free_ptr) struct trust_hash *digest = NULL;
        struct writer w = {.stream = s, .e = e};
        uint64_t end;
        int r;

        r = trust_hash_new(&digest);
        if (r >= 0)
                r = trust_hash_add(digest, EROFS_PROFILE, strlen(EROFS_PROFILE));
        if (r < 0)
                return error_errno(e, r, "SHA-256 of the metadata");
        w.digest = digest;
        w.begin = image_stream_position(s);
        end = place_blocks(&w, t->root, place_inodes(t->root));
        if ((w.begin + end) / EROFS_BLOCK > BLOCKS_MAX)
                return error_set(e, -E2BIG, "an image of at most %u blocks expected, found a larger one",
                                 BLOCKS_MAX);
        r = write_metadata(&w, t->root);
        return r < 0 ? r : write_super(&w, t->root, inodes);
}
