/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The superblock, and metadata as it lies there. */
#include "erofs-read.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "erofs-read-internal.h"

/* Metadata is read about once, and a shared attribute once an inode; content once a file, and several files
 * may share theirs. */
#define METADATA_FLOOR (UINT64_C(64) << 20)
#define METADATA_FACTOR 16
#define CONTENT_FLOOR (UINT64_C(1) << 30)
#define CONTENT_FACTOR 256

/* --- superblock --- */

static void super_to_host(struct erofs_super *s)
{
        s->magic = le32toh(s->magic);
        s->checksum = le32toh(s->checksum);
        s->feature_compat = le32toh(s->feature_compat);
        s->root_nid = le16toh(s->root_nid);
        s->inos = le64toh(s->inos);
        s->build_time = le64toh(s->build_time);
        s->build_time_nsec = le32toh(s->build_time_nsec);
        s->blocks = le32toh(s->blocks);
        s->meta_blkaddr = le32toh(s->meta_blkaddr);
        s->xattr_blkaddr = le32toh(s->xattr_blkaddr);
        s->feature_incompat = le32toh(s->feature_incompat);
        s->compression = le16toh(s->compression);
        s->extra_devices = le16toh(s->extra_devices);
        s->devt_slotoff = le16toh(s->devt_slotoff);
        s->xattr_prefix_start = le32toh(s->xattr_prefix_start);
        s->packed_nid = le64toh(s->packed_nid);
}

static int check_super(const struct erofs_super *s, uint64_t size, struct error *e)
{
        if (s->magic != EROFS_MAGIC)
                return error_set(e, -EBADMSG, "EROFS: magic 0x%x expected, found 0x%" PRIx32, EROFS_MAGIC,
                                 s->magic);
        if (s->feature_incompat & ~EROFS_INCOMPAT_LINUX_6_12)
                return error_set(
                        e, -EBADMSG,
                        "EROFS: feature_incompat within 0x7f, which Linux 6.12 knows, expected, found "
                        "0x%" PRIx32,
                        s->feature_incompat);
        if (s->blkszbits < 9 || s->blkszbits > EROFS_BLOCK_BITS)
                return error_set(e, -EBADMSG, "EROFS: blocks of 512 to 4096 bytes expected, found 2^%u",
                                 s->blkszbits);
        if (s->dirblkbits != 0)
                return error_set(e, -EBADMSG,
                                 "EROFS: directory blocks of one block expected, found another size");
        if (s->blocks == 0 || s->blocks > size >> s->blkszbits)
                return error_set(e, -EBADMSG, "EROFS: 1 to %" PRIu64 " blocks expected, found %" PRIu32,
                                 size >> s->blkszbits, s->blocks);
        return 0;
}

/* The checksum covers a whole block; smaller ones are listed, never signed or mounted here. */
static int read_super(struct erofs_image *image, struct error *e)
{
        uint8_t block[EROFS_BLOCK] = {};
        uint64_t size = 0;
        int r;

        r = file_size(image->fd, &size);
        size = size > image->begin ? size - image->begin : 0;
        if (r >= 0 && size < EROFS_SUPER_OFFSET + sizeof(image->super))
                return error_set(e, -EBADMSG,
                                 "EROFS: a superblock at 1024 expected, found the end at %" PRIu64, size);
        if (r >= 0)
                r = pread_full(image->fd, block, size < sizeof(block) ? (size_t)size : sizeof(block),
                               image->begin);
        if (r < 0)
                return error_errno(e, r, "EROFS superblock");
        memcpy(&image->super, block + EROFS_SUPER_OFFSET, sizeof(image->super));
        super_to_host(&image->super);
        r = check_super(&image->super, size, e);
        if (r < 0)
                return r;
        if ((image->super.feature_compat & EROFS_COMPAT_SB_CHKSUM) &&
            image->super.blkszbits == EROFS_BLOCK_BITS && erofs_checksum(block) != image->super.checksum)
                return error_set(e, -EBADMSG, "EROFS: superblock checksum does not match");
        return 0;
}

int erofs_image_open(int fd, uint64_t offset, struct erofs_image **ret, struct error *e)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = calloc(1, sizeof(*image));
        int r;

        if (!image)
                return -ENOMEM;
        image->fd = fd;
        image->begin = offset;
        r = read_super(image, e);
        if (r < 0)
                return r;
        image->block_size = 1u << image->super.blkszbits;
        image->size = (uint64_t)image->super.blocks * image->block_size;
        image->metadata_max = METADATA_FLOOR + image->size * METADATA_FACTOR;
        image->content_max = CONTENT_FLOOR + image->size * CONTENT_FACTOR;
        *ret = TAKE_PTR(image);
        return 0;
}

struct erofs_image *erofs_image_free(struct erofs_image *image)
{
        if (image)
                free(image->prefixes);
        free(image);
        return NULL;
}

const struct erofs_super *erofs_image_super(const struct erofs_image *image)
{
        return &image->super;
}

uint32_t erofs_image_block_size(const struct erofs_image *image)
{
        return image->block_size;
}

uint64_t erofs_image_size(const struct erofs_image *image)
{
        return image->size;
}

/* --- metadata --- */

int erofs_image_pread(const struct erofs_image *image, void *buf, size_t size, uint64_t offset,
                      struct error *e)
{
        int r = pread_full(image->fd, buf, size, image->begin + offset);

        return r < 0 ? error_errno(e, r, "EROFS: offset %" PRIu64, offset) : 0;
}

static int fill_window(struct erofs_image *image, uint64_t offset, struct error *e)
{
        uint64_t begin = offset & ~(uint64_t)(EROFS_BLOCK - 1), left = image->size - begin;
        int r;

        image->window_used = 0;
        r = erofs_image_pread(image, image->window, left < WINDOW_SIZE ? (size_t)left : WINDOW_SIZE, begin,
                              e);
        if (r < 0)
                return r;
        image->window_offset = begin;
        image->window_used = left < WINDOW_SIZE ? (size_t)left : WINDOW_SIZE;
        return 0;
}

int erofs_metadata_charge(struct erofs_image *image, uint64_t size, struct error *e)
{
        image->metadata += size;
        if (image->metadata > image->metadata_max)
                return error_set(e, -EBADMSG,
                                 "EROFS: metadata that is told once expected, found inodes or attributes "
                                 "laid over each other");
        return 0;
}

int erofs_metadata_read(struct erofs_image *image, uint64_t offset, void *buf, size_t size, struct error *e)
{
        uint8_t *to = buf;
        int r;

        if (!erofs_inside(image, offset, size))
                return error_set(e, -EBADMSG,
                                 "EROFS: metadata below %" PRIu64 " expected, found offset %" PRIu64
                                 " and %zu bytes",
                                 image->size, offset, size);
        r = erofs_metadata_charge(image, size, e);
        if (r < 0)
                return r;
        while (size > 0) {
                size_t at, n;

                if (offset < image->window_offset || offset >= image->window_offset + image->window_used) {
                        r = fill_window(image, offset, e);
                        if (r < 0)
                                return r;
                }
                at = (size_t)(offset - image->window_offset);
                n = image->window_used - at < size ? image->window_used - at : size;
                memcpy(to, image->window + at, n);
                to += n;
                offset += n;
                size -= n;
        }
        return 0;
}
