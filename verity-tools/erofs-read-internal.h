/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the EROFS reader share. */
#pragma once

#include "verity-tools/erofs-read.h"

#define WINDOW_SIZE 16384

struct erofs_prefix {
        char text[EROFS_NAME_MAX + 32]; /* "security." and what the table adds */
};

struct erofs_image {
        int fd;
        uint64_t begin;           /* of the image in the file: all other offsets are in the image */
        struct erofs_super super; /* in the byte order of the machine */
        uint32_t block_size;
        uint64_t size;
        /* Bytes read so far and how many may be: what a sound image needs, with room. Nothing but this bounds
         * the work that overlapping inodes and attributes can cause. */
        uint64_t metadata, metadata_max, content, content_max;
        uint64_t window_offset;
        size_t window_used;
        uint8_t window[WINDOW_SIZE];
        bool prefixes_read;
        struct erofs_prefix *prefixes; /* super.xattr_prefix_count of them */
};

/* Counts what is read on behalf of the image. -EBADMSG when it is more than a sound one needs. */
int erofs_metadata_charge(struct erofs_image *image, uint64_t size, struct error *e);

static inline bool erofs_inside(const struct erofs_image *image, uint64_t offset, uint64_t size)
{
        return size <= image->size && offset <= image->size - size;
}

/* Reads what lies at an offset of the image, which must be in it. */
int erofs_image_pread(const struct erofs_image *image, void *buf, size_t size, uint64_t offset,
                      struct error *e);

/* Reads metadata. -EBADMSG where it does not lie in the image, or the image lets too much be read. */
int erofs_metadata_read(struct erofs_image *image, uint64_t offset, void *buf, size_t size, struct error *e);

/* Names of one directory, block by block. */
struct erofs_directory {
        struct erofs_inode inode;
        uint64_t parent;               /* nid */
        uint64_t next;                 /* offset of the next block in the directory */
        size_t size;                   /* bytes of the block at hand */
        unsigned n, i;                 /* names in it, the next one */
        unsigned dots;                 /* "." and ".." that were seen */
        char name[EROFS_NAME_MAX + 1]; /* the last one */
        uint8_t block[EROFS_BLOCK];
};

/* 1 and the next name other than "." and ".."; 0 at the end. */
int erofs_directory_next(struct erofs_image *image, struct erofs_directory *d, uint64_t *ret_nid,
                         uint8_t *ret_type, struct error *e);
