/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes an image of the project's profile front to back, hashing its blocks on all cores while they are in
 * cache. Memory is bounded whatever the image's size. One thread at a time calls these. After an error only
 * image_stream_free() is of use. */
#pragma once

#include "verity-tools/verity.h"

struct image_stream;

struct image_stream_options {
        int fd;             /* of the image, readable and writable; borrowed */
        uint64_t offset;    /* of the image in it, a multiple of 4096 */
        unsigned threads;   /* 1: all in the caller's thread; 0: one a processor */
        unsigned streams;   /* that work at the same time and share the memory of one; 0: it is alone */
        size_t digests_max; /* bytes of digests kept in memory, a multiple of 4096; 0: those of 256 MiB */
};

int image_stream_new(const struct image_stream_options *o, struct image_stream **ret, struct error *e);

/* Waits for the workers to end. What was written stays. */
struct image_stream *image_stream_free(struct image_stream *s);
DEFINE_CLEANUP(struct image_stream *, image_stream_free)

/* Appends. An error may be one of writing earlier bytes: the message names their offset. */
int image_stream_put(struct image_stream *s, const void *data, size_t size, struct error *e);
int image_stream_zeros(struct image_stream *s, uint64_t size, struct error *e);

/* Appends zeros up to the next block of 4096. */
int image_stream_align(struct image_stream *s, struct error *e);

/* Appending without a copy: where the next bytes go, and for how many there is room (at least 1). They count
 * once committed. */
int image_stream_reserve(struct image_stream *s, uint8_t **ret, size_t *ret_size, struct error *e);
void image_stream_commit(struct image_stream *s, size_t size);

/* Bytes from the begin of the image. */
uint64_t image_stream_position(const struct image_stream *s);

/* Replaces bytes that were put before; their blocks are hashed again. */
int image_stream_patch(struct image_stream *s, uint64_t at, const void *data, size_t size, struct error *e);

/* Writes out all that was put, for who wants to read it back. After it only image_stream_free() is of use. */
int image_stream_flush(struct image_stream *s, struct error *e);

/* Ends the image and writes its tree to hash_fd, where the hash device begins at the byte hash_base. g: the
 * profile's geometry with data_blocks and hash_offset; its root hash is set. The superblock is the caller's
 * to write. */
int image_stream_finish(struct image_stream *s, int hash_fd, uint64_t hash_base, struct verity_geometry *g,
                        struct error *e);
