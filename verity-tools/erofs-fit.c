/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which images may be signed. Loaders in the machine are stricter still: erofs_check(). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "erofs-read.h"

#define COMPAT_ALLOWED (EROFS_COMPAT_SB_CHKSUM | EROFS_COMPAT_MTIME | EROFS_COMPAT_XATTR_FILTER)
#define INCOMPAT_ALLOWED (EROFS_INCOMPAT_LINUX_6_12 & ~EROFS_INCOMPAT_DEVICE_TABLE)

/* Under the same root hash a tree with one level more can be laid, in which our blocks are digests: whoever
 * chooses the first of them chooses where another file system begins. No block is known whose digest is
 * zeros, so with those nothing can. */
static int check_begin(int fd, uint64_t offset, struct error *e)
{
        static const uint8_t zeros[EROFS_SUPER_OFFSET];
        uint8_t begin[EROFS_SUPER_OFFSET];
        int r = pread_full(fd, begin, sizeof(begin), offset);

        if (r < 0)
                return error_errno(e, r, "EROFS: offset 0");
        if (memcmp(begin, zeros, sizeof(zeros)) != 0)
                return error_set(e, -EBADMSG,
                                 "EROFS: zeros before the superblock expected, found bytes that could be "
                                 "digests of another image");
        return 0;
}

static int check_super(const struct erofs_image *image, uint64_t covered, struct error *e)
{
        const struct erofs_super *s = erofs_image_super(image);

        if (erofs_image_block_size(image) != EROFS_BLOCK)
                return error_set(e, -EBADMSG, "EROFS: blocks of 4096 bytes expected, found %" PRIu32,
                                 erofs_image_block_size(image));
        if (s->extra_devices != 0 || (s->feature_incompat & EROFS_INCOMPAT_DEVICE_TABLE))
                return error_set(e, -EBADMSG,
                                 "EROFS: one device expected, found a device table (%u more), which no root "
                                 "hash covers",
                                 s->extra_devices);
        if (s->feature_compat & EROFS_COMPAT_ISHARE_XATTRS)
                return error_set(
                        e, -EBADMSG,
                        "EROFS: inodes of its own expected, found shared ones, whose content another "
                        "image can give");
        if ((s->feature_compat & ~COMPAT_ALLOWED) || (s->feature_incompat & ~INCOMPAT_ALLOWED))
                return error_set(e, -EBADMSG,
                                 "EROFS: features of Linux 6.12 expected, found feature_compat 0x%" PRIx32
                                 ", feature_incompat 0x%" PRIx32,
                                 s->feature_compat, s->feature_incompat);
        if (erofs_image_size(image) > covered)
                return error_set(e, -EBADMSG,
                                 "EROFS: at most the %" PRIu64
                                 " bytes that the hash tree covers expected, found %" PRIu64,
                                 covered, erofs_image_size(image));
        return 0;
}

static int check_attributes(struct erofs_image *image, const struct erofs_inode *inode, bool allow_setuid,
                            struct error *e)
{
        struct erofs_xattrs x = {};
        bool capable;
        int r;

        if (!allow_setuid && S_ISREG(inode->mode) && (inode->mode & (S_ISUID | S_ISGID)))
                return error_set(e, -EBADMSG,
                                 "a file without setuid or setgid expected, found one; see --allow-setuid");
        r = erofs_inode_xattrs(image, inode, &x, e);
        if (r < 0)
                return r;
        capable = erofs_xattrs_have(&x, "security.capability");
        erofs_xattrs_done(&x);
        if (capable && !allow_setuid)
                return error_set(e, -EBADMSG,
                                 "a file without capabilities expected, found some; see --allow-setuid");
        return 0;
}

/* Each chunk lies in the image; other layouts are checked with their inode. */
static int check_chunks(struct erofs_image *image, const struct erofs_inode *inode, struct error *e)
{
        uint64_t offset, size = 0;
        int r = 0;

        if (!S_ISREG(inode->mode) || inode->layout != EROFS_CHUNKED)
                return 0;
        for (uint64_t at = 0; r >= 0 && at < inode->size; at += size)
                r = erofs_inode_map(image, inode, at, &offset, &size, e);
        return r;
}

static int check_tree(struct erofs_image *image, bool allow_setuid, struct error *e)
{
        _cleanup_(erofs_walk_free_ptr) struct erofs_walk *w = NULL;
        const struct erofs_entry *entry = NULL;
        int r;

        r = erofs_walk_new(image, &w, e);
        while (r >= 0) {
                r = erofs_walk_next(w, &entry, e);
                if (r <= 0)
                        return r;
                if (entry->another_name)
                        continue;
                r = check_attributes(image, &entry->inode, allow_setuid, e);
                if (r >= 0)
                        r = check_chunks(image, &entry->inode, e);
                if (r < 0)
                        (void)error_prefix(e, r, "/%.300s", entry->path);
        }
        return r;
}

int erofs_check_fit(int fd, uint64_t offset, uint64_t covered, bool allow_setuid, struct error *e)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL;
        int r;

        r = erofs_image_open(fd, offset, &image, e);
        if (r >= 0)
                r = check_begin(fd, offset, e);
        if (r >= 0)
                r = check_super(image, covered, e);
        return r < 0 ? r : check_tree(image, allow_setuid, e);
}
