/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads EROFS images that nobody vouches for. Each offset is checked before it is used, and the work that an
 * image can cause is bounded by its size: names, depth, bytes of metadata, bytes of content.
 *
 * Compressed files can be listed, not read. A message names the offset in the image, or the path. */
#pragma once

#include <sys/types.h>

#include "verity-tools/erofs-format.h"
#include "verity-tools/verity.h"

#define EROFS_NAME_MAX 255
#define EROFS_PATH_MAX 4095
#define EROFS_DEPTH_MAX 1024 /* directories, one in another */
#define EROFS_ENTRIES_MAX 16000000u
#define EROFS_XATTRS_MAX 1024 /* of one inode */

struct erofs_image;

/* Opens the image that begins at `offset` bytes of fd, which is borrowed. -EBADMSG: no EROFS, or one with
 * features that Linux 6.12 does not know. */
int erofs_image_open(int fd, uint64_t offset, struct erofs_image **ret, struct error *e);
struct erofs_image *erofs_image_free(struct erofs_image *image);
DEFINE_CLEANUP(struct erofs_image *, erofs_image_free)

/* The superblock in the byte order of the machine; borrowed. */
const struct erofs_super *erofs_image_super(const struct erofs_image *image);
uint32_t erofs_image_block_size(const struct erofs_image *image);
/* In bytes. */
uint64_t erofs_image_size(const struct erofs_image *image);

/* --- inodes --- */

struct erofs_inode {
        uint64_t nid;
        uint64_t offset; /* in the image */
        mode_t mode;
        uint32_t uid, gid, nlink;
        uint64_t size;
        int64_t mtime;
        uint32_t mtime_nsec;
        dev_t rdev;
        bool extended;
        enum erofs_layout layout;
        uint32_t location;   /* first block or chunk format */
        uint32_t inode_size; /* of the inode itself */
        uint32_t xattr_size; /* of what lies behind it */
};

int erofs_inode_read(struct erofs_image *image, uint64_t nid, struct erofs_inode *ret, struct error *e);

bool erofs_inode_is_compressed(const struct erofs_inode *inode);

#define EROFS_HOLE UINT64_MAX

/* Where the bytes from `at` (below the size) on lie: an offset in the image or EROFS_HOLE, and how many of
 * them follow. -EOPNOTSUPP: compressed. */
int erofs_inode_map(struct erofs_image *image, const struct erofs_inode *inode, uint64_t at,
                    uint64_t *ret_offset, uint64_t *ret_size, struct error *e);

/* Reads exactly size bytes of the content, which must be there. */
int erofs_inode_pread(struct erofs_image *image, const struct erofs_inode *inode, uint64_t at, void *buf,
                      size_t size, struct error *e);

/* The target of a symbolic link, to be freed. */
int erofs_inode_readlink(struct erofs_image *image, const struct erofs_inode *inode, char **ret,
                         struct error *e);

/* --- extended attributes --- */

struct erofs_xattr {
        char *name; /* "security.capability" */
        uint8_t *value;
        size_t size;
};

struct erofs_xattrs {
        struct erofs_xattr *items; /* sorted by name */
        size_t n;
};

int erofs_inode_xattrs(struct erofs_image *image, const struct erofs_inode *inode, struct erofs_xattrs *ret,
                       struct error *e);
void erofs_xattrs_done(struct erofs_xattrs *x);

bool erofs_xattrs_have(const struct erofs_xattrs *x, const char *name);

/* --- the tree --- */

struct erofs_entry {
        const char *path; /* below the root, without a slash in front; "" is the root */
        struct erofs_inode inode;
        bool another_name; /* of an inode that the walk has shown before */
};

struct erofs_walk;

/* Walks the whole tree, a directory before what is in it, names in the order of their bytes. The image must
 * outlive the walk. */
int erofs_walk_new(struct erofs_image *image, struct erofs_walk **ret, struct error *e);
struct erofs_walk *erofs_walk_free(struct erofs_walk *w);
DEFINE_CLEANUP(struct erofs_walk *, erofs_walk_free)

/* 1 and the next entry, which is good until the next call; 0 at the end. */
int erofs_walk_next(struct erofs_walk *w, const struct erofs_entry **ret, struct error *e);

/* --- judgement --- */

/* Walks the whole image: profile (only of images that verity build made), UUID, sizes, features, inodes by
 * type, and the paths of files with setuid, setgid or capabilities. */
int erofs_describe(struct erofs_image *image, sd_json_variant **ret, struct error *e);

/* Whether IPE and dm-verity can vouch for the EROFS at `offset` bytes of fd: one device, no shared inodes, no
 * features that Linux 6.12 lacks, blocks of 4096, zeros before the superblock, a tree that holds together,
 * and no file with setuid, setgid or capabilities unless allow_setuid. covered: how many bytes the hash tree
 * covers, or will. -EBADMSG names the reason and the path. */
int erofs_check_fit(int fd, uint64_t offset, uint64_t covered, bool allow_setuid, struct error *e);
