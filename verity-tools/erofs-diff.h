/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What differs between two images, by path. */
#pragma once

#include "verity-tools/erofs-read.h"

enum erofs_aspect {
        EROFS_TYPE,
        EROFS_MODE, /* permissions */
        EROFS_OWNER,
        EROFS_MTIME,
        EROFS_DEVICE, /* the device's number */
        EROFS_TARGET, /* of a symbolic link */
        EROFS_SIZE,   /* of a file */
        EROFS_CONTENT,
        EROFS_XATTRS,
        EROFS_ASPECTS
};

/* "mode", … */
const char *erofs_aspect_to_string(enum erofs_aspect a);

struct erofs_difference {
        const char *path;                         /* below the root, "" is the root */
        const struct erofs_inode *before, *after; /* NULL where there is none */
        unsigned aspects;                         /* a bit each of enum erofs_aspect; 0 if one is NULL */
};

struct erofs_diff_result {
        uint64_t added, removed, changed;
        uint64_t unread; /* files whose content is compressed, of the same size: they were not compared */
};

typedef int (*erofs_difference_t)(void *userdata, const struct erofs_difference *d, struct error *e);

/* Calls `visit` for each difference, in the order of erofs_walk_next(). A file of another type is one
 * difference. Ends with the first error of the visitor. */
int erofs_diff(struct erofs_image *before, struct erofs_image *after, erofs_difference_t visit,
               void *userdata, struct erofs_diff_result *ret, struct error *e);
