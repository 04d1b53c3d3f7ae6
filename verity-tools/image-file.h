/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An image as it lies in files, with a tree of any geometry that `veritysetup format` writes.
 *
 * For tools that are told the root hash: a wrong parameter gives another root hash, so what the superblock
 * says may be taken from the image itself. What runs in the machine takes parameters from signed data.
 *
 * A disk image has its root, the tree and perhaps a signature in partitions. */
#pragma once

#include "verity-tools/verity.h"

#define IMAGE_FILE_NO_OFFSET UINT64_MAX

/* Where the tree is and what made it. A field that is not given is NULL, 0 or IMAGE_FILE_NO_OFFSET. */
struct image_file_options {
        const char *hash_file; /* superblock and tree; NULL: behind the data */
        uint64_t hash_offset;  /* of the superblock (of the tree, if there is none), in bytes; not given: 0 in
                                  a file of its own, else where the EROFS ends */
        const char *root_hash; /* hex digits */
        bool claimed_root_hash; /* without one: what the signature partition of a disk image claims, for a
                                   caller who checks that signature */
        /* Without a superblock the rest decides. Not given: the profile's, and all of the data. */
        bool no_superblock;
        const char *algorithm, *salt; /* salt: hex digits, "-" for none */
        uint64_t data_block_size, hash_block_size, data_blocks;
};

struct image_file {
        int data_fd, hash_fd;                      /* both owned; two descriptors of one file, or of two */
        bool same_file;                            /* the tree is behind the data */
        uint64_t data_size;                        /* of the file or device, tree included */
        uint64_t data_offset;                      /* of the data in data_fd; not 0 in a disk image */
        uint64_t signature_offset, signature_size; /* of the signature partition of a disk image; size 0:
                                                      there is none */
        struct verity_geometry geometry;           /* no root hash, if none was given */
        uint8_t uuid[16];                          /* of the superblock, or zero */
};

#define IMAGE_FILE_NONE ((struct image_file){.data_fd = -EBADF, .hash_fd = -EBADF})

/* Opens data and tree and learns the geometry. The content is not read. -EBADMSG: there is no superblock
 * where one is expected, or a field is out of range. -EINVAL: options that do not fit together. */
int image_file_open(const char *path, const struct image_file_options *o, struct image_file *ret,
                    struct error *e);
void image_file_done(struct image_file *i);

/* What the signature partition holds. -EBADMSG if there is none. */
int image_file_signature(const struct image_file *i, struct verity_signature *ret, struct error *e);

/* The geometry that the options give for data of this size, before anything is there: for making a tree. */
int image_file_geometry(const struct image_file_options *o, uint64_t data_size, struct verity_geometry *ret,
                        struct error *e);

/* --- making a tree --- */

struct image_format_options {
        const char *output;                     /* a copy of the data with the tree behind it; or NULL, and */
        const struct image_file_options *image; /* hash_file is where the tree goes */
        const uint8_t *uuid;                    /* 16 bytes for the superblock; NULL: from the root hash */
        const struct verity_tree_options *tree;
};

/* Makes a hash tree over the data in `path`, which is not changed. The output appears whole or not at all.
 * -EINVAL: parameters out of range, or data that is not whole blocks. */
int image_format(const char *path, const struct image_format_options *o, struct verity_geometry *ret,
                 struct error *e);
