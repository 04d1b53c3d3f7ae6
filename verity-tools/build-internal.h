/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the writing library share. */
#pragma once

#include "verity-tools/build.h"
#include "verity-tools/file-tree.h"
#include "verity-tools/image-stream.h"

struct selabel_handle;

struct builder {
        struct builder_options o;
        struct image_stream *stream;
        struct file_tree tree;
        struct selabel_handle *labels; /* NULL: none */
        struct xattr_list xattrs;      /* of the entry at hand */
        uint64_t data, holes;          /* bytes that count against the limits */
        uint64_t size;                 /* of the image, once its data has ended */
};

/* Puts an entry in its place with b->xattrs. -EBADMSG: setuid, setgid or capabilities that are not allowed.
 * label: whether file_contexts are asked. *ret is NULL for an entry that takes another away. */
int builder_add_entry(struct builder *b, const char *path, struct file_attributes *a, bool label,
                      struct file_inode **ret, struct error *e);

/* Where the content of a file begins; `size` bytes of it must follow in the stream. */
int builder_begin_content(struct builder *b, struct file_inode *inode, uint64_t size, struct error *e);
