/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes and their content. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "erofs-read-internal.h"
#include "internal.h"

bool erofs_inode_is_compressed(const struct erofs_inode *inode)
{
        return inode->layout == EROFS_COMPRESSED_FULL || inode->layout == EROFS_COMPRESSED_COMPACT;
}

static bool has_content(mode_t mode)
{
        return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode);
}

static uint32_t xattr_size(uint16_t count)
{
        return count == 0 ? 0 : (uint32_t)sizeof(struct erofs_xattr_header) + 4 * (count - 1u);
}

/* The kernel's encoding of a device number in 32 bits. */
static dev_t decode_device(uint32_t d)
{
        return makedev((d & 0xfff00) >> 8, (d & 0xff) | ((d >> 12) & 0xfff00));
}

static void parse_compact(const struct erofs_image *image, const struct erofs_inode_compact *d,
                          struct erofs_inode *ret)
{
        ret->mode = le16toh(d->mode);
        ret->uid = le16toh(d->uid);
        ret->gid = le16toh(d->gid);
        ret->nlink = le16toh(d->nlink);
        ret->size = le32toh(d->size);
        ret->mtime = (int64_t)image->super.build_time;
        ret->mtime_nsec = image->super.build_time_nsec;
        ret->location = le32toh(d->location);
        ret->xattr_size = xattr_size(le16toh(d->xattr_count));
        ret->inode_size = sizeof(*d);
}

static void parse_extended(const struct erofs_inode_extended *d, struct erofs_inode *ret)
{
        ret->mode = le16toh(d->mode);
        ret->uid = le32toh(d->uid);
        ret->gid = le32toh(d->gid);
        ret->nlink = le32toh(d->nlink);
        ret->size = le64toh(d->size);
        ret->mtime = (int64_t)le64toh(d->mtime);
        ret->mtime_nsec = le32toh(d->mtime_nsec);
        ret->location = le32toh(d->location);
        ret->xattr_size = xattr_size(le16toh(d->xattr_count));
        ret->inode_size = sizeof(*d);
}

static uint64_t behind_inode(const struct erofs_inode *i)
{
        return i->offset + i->inode_size + i->xattr_size;
}

/* Inline: the last block, which may be a full one, stands behind the inode. */
static uint64_t inline_begin(const struct erofs_image *image, const struct erofs_inode *i)
{
        return i->layout == EROFS_FLAT_INLINE && i->size > 0 ? (i->size - 1) & ~(image->block_size - 1ull)
                                                             : i->size;
}

static unsigned chunk_bits(const struct erofs_image *image, const struct erofs_inode *i)
{
        return image->super.blkszbits + (i->location & EROFS_CHUNK_BLOCK_BITS);
}

static size_t chunk_entry_size(const struct erofs_inode *i)
{
        return i->location & EROFS_CHUNK_INDEXES ? sizeof(struct erofs_chunk_index) : sizeof(uint32_t);
}

static int check_flat(const struct erofs_image *image, const struct erofs_inode *i, struct error *e)
{
        uint64_t begin = inline_begin(image, i), tail = i->size - begin;
        uint64_t offset = (uint64_t)i->location * image->block_size;

        if (begin > 0 && !erofs_inside(image, offset, round_up(begin, image->block_size)))
                return error_set(e, -EBADMSG,
                                 "content below %" PRIu64 " expected, found %" PRIu64
                                 " bytes at offset %" PRIu64,
                                 image->size, i->size, offset);
        if (tail > 0 && behind_inode(i) % image->block_size + tail > image->block_size)
                return error_set(e, -EBADMSG,
                                 "an inline tail within its block expected, found %" PRIu64
                                 " bytes at offset %" PRIu64,
                                 tail, behind_inode(i));
        return 0;
}

static int check_chunks(const struct erofs_image *image, const struct erofs_inode *i, struct error *e)
{
        uint64_t table = round_up(behind_inode(i), chunk_entry_size(i)), n;

        if ((i->location & 0xffff) & ~(EROFS_CHUNK_BLOCK_BITS | EROFS_CHUNK_INDEXES))
                return error_set(e, -EBADMSG, "a chunk format within 0x3f expected, found 0x%" PRIx32,
                                 i->location & 0xffff);
        n = i->size == 0 ? 0 : ((i->size - 1) >> chunk_bits(image, i)) + 1;
        if (n > image->size || !erofs_inside(image, table, n * chunk_entry_size(i)))
                return error_set(e, -EBADMSG,
                                 "a table of %" PRIu64
                                 " chunks in the image expected, found the end at %" PRIu64,
                                 n, image->size);
        return 0;
}

/* 8 bytes, begun at a multiple of 8, say how the file is compressed. */
static int check_compressed(const struct erofs_image *image, const struct erofs_inode *i, struct error *e)
{
        if (!erofs_inside(image, round_up(behind_inode(i), 8), 8) || i->location > image->super.blocks)
                return error_set(e, -EBADMSG,
                                 "compressed content in the image expected, found %" PRIu32 " blocks of it",
                                 i->location);
        return 0;
}

static int check_content(const struct erofs_image *image, const struct erofs_inode *i, struct error *e)
{
        if (i->size > INT64_MAX)
                return error_set(e, -EBADMSG, "a size below 2^63 expected, found %" PRIu64, i->size);
        switch (i->layout) {
        case EROFS_FLAT_PLAIN:
        case EROFS_FLAT_INLINE:
                return check_flat(image, i, e);
        case EROFS_CHUNKED:
                return check_chunks(image, i, e);
        case EROFS_COMPRESSED_FULL:
        case EROFS_COMPRESSED_COMPACT:
                return check_compressed(image, i, e);
        }
        return error_set(e, -EBADMSG, "layout 0 to 4 expected, found %d", (int)i->layout);
}

static int check_inode(const struct erofs_image *image, const struct erofs_inode *i, struct error *e)
{
        if (!has_content(i->mode) && !S_ISCHR(i->mode) && !S_ISBLK(i->mode) && !S_ISFIFO(i->mode) &&
            !S_ISSOCK(i->mode))
                return error_set(e, -EBADMSG, "a known file type expected, found mode 0%o", i->mode);
        if (i->xattr_size == sizeof(struct erofs_xattr_header))
                return error_set(e, -EBADMSG,
                                 "attributes behind their header expected, found the header alone");
        if (!erofs_inside(image, i->offset, i->inode_size + i->xattr_size))
                return error_set(e, -EBADMSG, "attributes in the image expected, found %" PRIu32 " bytes",
                                 i->xattr_size);
        return has_content(i->mode) ? check_content(image, i, e) : 0;
}

int erofs_inode_read(struct erofs_image *image, uint64_t nid, struct erofs_inode *ret, struct error *e)
{
        struct erofs_inode i = {.nid = nid};
        struct erofs_inode_compact compact;
        struct erofs_inode_extended extended;
        unsigned format;
        int r;

        if (nid > image->size / EROFS_SLOT)
                return error_set(e, -EBADMSG, "EROFS: an inode below %" PRIu64 " expected, found %" PRIu64,
                                 image->size / EROFS_SLOT, nid);
        i.offset = (uint64_t)image->super.meta_blkaddr * image->block_size + nid * EROFS_SLOT;
        r = erofs_metadata_read(image, i.offset, &compact, sizeof(compact), e);
        if (r < 0)
                return r;
        format = le16toh(compact.format);
        i.extended = format & EROFS_INODE_EXTENDED;
        i.layout = (enum erofs_layout)(format >> 1);
        if (i.extended) {
                r = erofs_metadata_read(image, i.offset, &extended, sizeof(extended), e);
                if (r < 0)
                        return r;
                parse_extended(&extended, &i);
        } else
                parse_compact(image, &compact, &i);
        if (S_ISCHR(i.mode) || S_ISBLK(i.mode))
                i.rdev = decode_device(i.location);
        r = check_inode(image, &i, e);
        if (r < 0)
                return error_prefix(e, r, "EROFS: inode %" PRIu64 " at offset %" PRIu64, nid, i.offset);
        *ret = i;
        return 0;
}

/* --- content --- */

static int map_chunk(struct erofs_image *image, const struct erofs_inode *i, uint64_t at,
                     uint64_t *ret_offset, uint64_t *ret_size, struct error *e)
{
        unsigned bits = chunk_bits(image, i);
        uint64_t number = at >> bits, inner = at & ((UINT64_C(1) << bits) - 1);
        uint64_t entry = round_up(behind_inode(i), chunk_entry_size(i)) + number * chunk_entry_size(i);
        uint64_t left = (UINT64_C(1) << bits) - inner, offset;
        struct erofs_chunk_index index = {};
        int r;

        if (i->location & EROFS_CHUNK_INDEXES)
                r = erofs_metadata_read(image, entry, &index, sizeof(index), e);
        else
                r = erofs_metadata_read(image, entry, &index.block, sizeof(index.block), e);
        if (r < 0)
                return r;
        *ret_size = left < i->size - at ? left : i->size - at;
        *ret_offset = EROFS_HOLE;
        if (le32toh(index.block) == EROFS_CHUNK_HOLE)
                return 0;
        if (index.device != 0)
                return error_set(e, -EBADMSG,
                                 "EROFS: inode %" PRIu64 ": content on this device expected, found device %u",
                                 i->nid, le16toh(index.device));
        offset = (uint64_t)le32toh(index.block) * image->block_size + inner;
        if (!erofs_inside(image, offset, *ret_size))
                return error_set(e, -EBADMSG,
                                 "EROFS: inode %" PRIu64 ": content below %" PRIu64
                                 " expected, found a chunk at offset %" PRIu64,
                                 i->nid, image->size, offset - inner);
        *ret_offset = offset;
        return 0;
}

int erofs_inode_map(struct erofs_image *image, const struct erofs_inode *inode, uint64_t at,
                    uint64_t *ret_offset, uint64_t *ret_size, struct error *e)
{
        uint64_t begin = inline_begin(image, inode);

        if (!has_content(inode->mode) || at >= inode->size)
                return error_set(e, -EINVAL, "EROFS: inode %" PRIu64 ": no content at %" PRIu64, inode->nid,
                                 at);
        if (erofs_inode_is_compressed(inode))
                return error_set(e, -EOPNOTSUPP,
                                 "EROFS: inode %" PRIu64 ": uncompressed content expected, found compressed",
                                 inode->nid);
        if (inode->layout == EROFS_CHUNKED)
                return map_chunk(image, inode, at, ret_offset, ret_size, e);
        if (at < begin) {
                *ret_offset = (uint64_t)inode->location * image->block_size + at;
                *ret_size = begin - at;
        } else {
                *ret_offset = behind_inode(inode) + (at - begin);
                *ret_size = inode->size - at;
        }
        return 0;
}

int erofs_inode_pread(struct erofs_image *image, const struct erofs_inode *inode, uint64_t at, void *buf,
                      size_t size, struct error *e)
{
        uint8_t *to = buf;
        int r;

        image->content += size;
        if (image->content > image->content_max)
                return error_set(e, -E2BIG,
                                 "EROFS: at most %" PRIu64 " bytes of content expected, found more",
                                 image->content_max);
        while (size > 0) {
                uint64_t offset = 0, n = 0;

                r = erofs_inode_map(image, inode, at, &offset, &n, e);
                if (r < 0)
                        return r;
                n = n < size ? n : size;
                if (offset == EROFS_HOLE)
                        memset(to, 0, (size_t)n);
                else {
                        r = erofs_image_pread(image, to, (size_t)n, offset, e);
                        if (r < 0)
                                return r;
                }
                to += n;
                at += n;
                size -= (size_t)n;
        }
        return 0;
}

int erofs_inode_readlink(struct erofs_image *image, const struct erofs_inode *inode, char **ret,
                         struct error *e)
{
        _cleanup_free_ char *target = NULL;
        int r;

        if (!S_ISLNK(inode->mode) || inode->size < 1 || inode->size > EROFS_PATH_MAX)
                return error_set(e, -EBADMSG,
                                 "EROFS: inode %" PRIu64 ": a link of 1 to %d bytes expected, found %" PRIu64,
                                 inode->nid, EROFS_PATH_MAX, inode->size);
        target = calloc(1, (size_t)inode->size + 1);
        if (!target)
                return -ENOMEM;
        r = erofs_inode_pread(image, inode, 0, target, (size_t)inode->size, e);
        if (r < 0)
                return r;
        if (strlen(target) != inode->size)
                return error_set(e, -EBADMSG,
                                 "EROFS: inode %" PRIu64 ": a link without NUL expected, found one",
                                 inode->nid);
        *ret = TAKE_PTR(target);
        return 0;
}
