/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The metadata of an EROFS image in the layout of FORMAT.md. */
#pragma once

#include "verity-tools/file-tree.h"
#include "verity-tools/image-stream.h"

#define EROFS_PROFILE "holdfast-erofs-1" /* what the UUID's digest begins with */
#define EROFS_DATA_BEGIN 4096            /* behind the superblock's block */

/* The tree is in order, with so many inodes. The stream is at the end of a block: the superblock's, of zeros,
 * and all contents are in it. Writes the metadata behind them, up to the end of a block, and the superblock.
 */
int erofs_write(struct file_tree *t, uint64_t inodes, struct image_stream *s, struct error *e);
