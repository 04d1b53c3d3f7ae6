/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file read from begin to end, decompressed if it is gzip, zstd, xz or bzip2, with bounded memory. */
#pragma once

#include <pthread.h>

#include "verity-tools/build.h"

struct decompressor;

/* Memory for the windows of compressed data, for decompressors that work at the same time: they wait until
 * there is enough of it. */
struct windows {
        pthread_mutex_t lock;
        pthread_cond_t freed;
        size_t left; /* bytes */
};
void windows_init(struct windows *w);
void windows_done(struct windows *w);

/* Messages do not have the name of the file. */

int decompressor_new(const struct build_tar *file, struct decompressor **ret, struct error *e);
struct decompressor *decompressor_free(struct decompressor *d);
DEFINE_CLEANUP(struct decompressor *, decompressor_free)

/* The next bytes, valid until the next call; none at the end. -EBADMSG: damaged, truncated or followed by
 * something else. -E2BIG: more than BUILD_INPUT_MAX, or a window that takes too much memory. */
int decompressor_next(struct decompressor *d, const void **ret, size_t *ret_size, struct error *e);

/* The same, of at most `size` bytes to memory of the caller. Fewer than `size` are not yet the end. */
int decompressor_read(struct decompressor *d, void *to, size_t size, size_t *ret_size, struct error *e);

/* Bytes of the file that were read. */
uint64_t decompressor_position(const struct decompressor *d);
