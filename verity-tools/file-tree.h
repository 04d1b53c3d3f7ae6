/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of an image while it is made: names and inodes in memory. Contents are in the image already; an
 * inode says where.
 *
 * Sources are added one above the other. Within one source a later entry replaces an earlier one of the same
 * name with all below it, unless both are directories. A later source hides earlier ones as overlayfs would.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "verity-tools/xattrs.h"

#define NAME_MAX_BYTES 255
#define PATH_MAX_BYTES 4095

struct file_attributes {
        mode_t mode; /* with the type */
        uint32_t uid, gid;
        int64_t mtime;
        uint32_t mtime_nsec;
        const struct xattr_set *xattrs; /* borrowed, or NULL */
        dev_t rdev;
        const char *target; /* of a symbolic link, copied */
};

struct file_inode {
        struct file_inode *next; /* in the order of file_tree_order() */
        uint64_t size;           /* of the content, a link's target or a directory as it is stored */
        uint64_t location;       /* of the content: bytes from the image's begin */
        int64_t mtime;
        const struct xattr_set *xattrs;
        union {
                struct {
                        void *entries; /* of <search.h> */
                        struct file_inode *parent;
                } directory;
                char *target;
                dev_t rdev;
        };
        uint32_t mtime_nsec, uid, gid;
        uint32_t links; /* names; of a directory, the directories below it */
        uint32_t slot;  /* in the metadata, in units of 64 bytes */
        uint16_t mode;
        uint16_t hidden_by; /* the source that took away what earlier ones had put in this directory */
        bool opaque;        /* hides what other layers have */
        bool listed;        /* by file_tree_order() */
};

struct file_entry {
        struct file_inode *inode;
        uint16_t source; /* that touched it last */
        uint16_t name_size;
        char name[]; /* not terminated */
};

struct file_tree {
        struct file_inode *root;
        struct xattr_store xattrs;
        bool merge;      /* whiteouts take away, instead of being kept as overlayfs's */
        uint16_t source; /* the one at hand, from 1 */
        uint32_t n_entries;
        uint64_t names_size; /* bytes of all names and link targets */
        /* Where the last entry went; most are followed by another of the same directory. */
        struct file_inode *last_directory;
        size_t last_size;
        char last_path[PATH_MAX_BYTES + 1];
};

int file_tree_init(struct file_tree *t, bool merge);
void file_tree_done(struct file_tree *t);

/* All that is added from here on is of another source, above those before it. */
void file_tree_begin_source(struct file_tree *t);

/* Takes a path apart as archives have them: "/" and "." components go, ".." is -EBADMSG, and so are an empty
 * path and what no file system could hold. -E2BIG: too deep. "" is the root. */
int file_tree_clean_path(const char *path, char ret[static PATH_MAX_BYTES + 1], struct error *e);

/* All paths below are clean. Directories that are missing are made, with mode 0755 and root's. -EBADMSG:
 * something else than a directory is in the way. */

/* -E2BIG: too many entries, or bytes of names and link targets. An existing directory gets new attributes and
 * keeps what is in it. */
int file_tree_add(struct file_tree *t, const char *path, const struct file_attributes *a,
                  struct file_inode **ret, struct error *e);

/* Another name for what is at `target`, which must be there and no directory: -EBADMSG. */
int file_tree_link(struct file_tree *t, const char *path, const char *target, struct error *e);

/* The name that this path had in earlier sources is no more; a: of the mark in overlayfs's form. */
int file_tree_whiteout(struct file_tree *t, const char *path, const struct file_attributes *a,
                       struct error *e);

/* The same for all that was in a directory. */
int file_tree_opaque(struct file_tree *t, const char *path, struct error *e);

/* Lists every inode once, linked by `next` from the root: a directory's entries by name, then those of the
 * first directory among them, and so on by breadth. -E2BIG: too many bytes of extended attributes. */
int file_tree_order(struct file_tree *t, uint64_t *ret_inodes, struct error *e);

/* Calls for each entry of a directory in the order of names, byte by byte. */
void file_tree_each(const struct file_inode *directory,
                    void (*call)(const struct file_entry *entry, void *userdata), void *userdata);
