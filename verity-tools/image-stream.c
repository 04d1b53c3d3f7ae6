/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image goes through segments, each as long as the data under one block of digests. A full one is queued;
 * workers hash and write them in any order, one of them writing at a time: the kernel lets others wait whose
 * file is the same. The caller's thread does the same work whenever it finds no free segment. */
#include "image-stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "hash.h"
#include "internal.h"

#define BLOCK ((size_t)4096)
#define DIGEST ((size_t)32)
#define SEGMENT (BLOCK / DIGEST * BLOCK)
#define SEGMENTS_MAX 12

/* More bytes of digests go to an unlinked temporary file in $TMPDIR or here. */
#define DIGESTS_IN_MEMORY ((size_t)2 * 1024 * 1024)
#define SPILL_DIRECTORY "/var/tmp"

struct segment {
        struct segment *next;
        uint64_t position;
        size_t used;
        uint8_t *data;
};

struct image_stream {
        int fd;
        uint64_t offset;
        struct hasher *hasher;
        struct segment segments[SEGMENTS_MAX];
        struct segment *current; /* where the caller appends */
        uint64_t position;       /* of the next byte */
        size_t digests_max;      /* bytes of them in memory */

        pthread_mutex_t lock; /* of all below */
        pthread_cond_t changed;
        struct segment *empty, *queue, **queue_end, *hashed;
        unsigned hashing; /* how many threads are at it */
        bool writing, stop;
        int failure;
        struct error message;
        uint8_t *digests;
        size_t digests_size;
        int spill_fd;

        pthread_t workers[SEGMENTS_MAX];
        unsigned n_workers;
};

/* --- digests of all blocks --- */

static int grow_digests(struct image_stream *s, size_t size)
{
        size_t to = s->digests_size ? s->digests_size : 16 * BLOCK;
        uint8_t *digests;

        while (to < size)
                to *= 2;
        if (to == s->digests_size)
                return 0;
        digests = realloc(s->digests, to);
        if (!digests)
                return -ENOMEM;
        memset(digests + s->digests_size, 0, to - s->digests_size);
        s->digests = digests;
        s->digests_size = to;
        return 0;
}

/* Not by O_TMPFILE, which not every file system has. */
static int open_spill(void)
{
        const char *directory = secure_getenv("TMPDIR");
        _cleanup_free_ char *path = NULL;
        int fd;

        if (asprintf(&path, "%s/verity-digests.XXXXXX",
                     directory && directory[0] ? directory : SPILL_DIRECTORY) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        (void)unlink(path);
        return fd;
}

/* Keeps one block of digests, or a part of it; `at` counts bytes of digests. */
static int keep_digests(struct image_stream *s, uint64_t at, const uint8_t *digests, size_t size)
{
        int r;

        if (at < s->digests_max) {
                r = grow_digests(s, (size_t)at + size);
                if (r >= 0)
                        memcpy(s->digests + at, digests, size);
                return r;
        }
        if (s->spill_fd < 0)
                s->spill_fd = open_spill();
        if (s->spill_fd < 0)
                return s->spill_fd;
        return pwrite_full(s->spill_fd, digests, size, at - s->digests_max);
}

/* --- segments --- */

/* The first failure stays. */
static void note_failure(struct image_stream *s, int r, const char *what, uint64_t position)
{
        if (r < 0 && s->failure >= 0)
                s->failure = error_errno(&s->message, r, "%s at offset %" PRIu64, what, position);
}

/* This and write_next() are called and return with the lock held; they work without it. */
static void hash_next(struct image_stream *s)
{
        struct segment *g = s->queue;
        uint8_t digests[BLOCK] = {};
        int r = s->failure;

        s->queue = g->next;
        if (!s->queue)
                s->queue_end = &s->queue;
        s->hashing++;
        (void)pthread_mutex_unlock(&s->lock);
        if (r >= 0)
                r = hasher_blocks(s->hasher, g->data, g->used / BLOCK, BLOCK, digests, DIGEST);
        (void)pthread_mutex_lock(&s->lock);
        if (r >= 0)
                r = keep_digests(s, g->position / BLOCK * DIGEST, digests, BLOCK);
        note_failure(s, r, "digests of the image", g->position);
        s->hashing--;
        g->next = s->hashed;
        s->hashed = g;
        (void)pthread_cond_broadcast(&s->changed);
}

static void write_next(struct image_stream *s)
{
        struct segment *g = s->hashed;
        int r = s->failure;

        s->hashed = g->next;
        s->writing = true;
        (void)pthread_mutex_unlock(&s->lock);
        if (r >= 0)
                r = pwrite_full(s->fd, g->data, g->used, s->offset + g->position);
        (void)pthread_mutex_lock(&s->lock);
        note_failure(s, r, "image", g->position);
        s->writing = false;
        g->next = s->empty;
        s->empty = g;
        (void)pthread_cond_broadcast(&s->changed);
}

static void wait_or_work(struct image_stream *s)
{
        if (s->hashed && !s->writing)
                write_next(s);
        else if (s->queue)
                hash_next(s);
        else
                (void)pthread_cond_wait(&s->changed, &s->lock);
}

static void *worker(void *userdata)
{
        struct image_stream *s = userdata;

        (void)pthread_mutex_lock(&s->lock);
        while (!s->stop)
                wait_or_work(s);
        (void)pthread_mutex_unlock(&s->lock);
        return NULL;
}

static int failure_of(const struct image_stream *s, struct error *e)
{
        return s->failure < 0 ? error_set(e, s->failure, "%s", s->message.message) : 0;
}

/* Queues the current segment. */
static void submit(struct image_stream *s)
{
        (void)pthread_mutex_lock(&s->lock);
        s->current->next = NULL;
        *s->queue_end = s->current;
        s->queue_end = &s->current->next;
        s->current = NULL;
        (void)pthread_cond_broadcast(&s->changed);
        (void)pthread_mutex_unlock(&s->lock);
}

/* Makes sure that the current segment has room. */
static int provide(struct image_stream *s, struct error *e)
{
        int r;

        if (s->current && s->current->used == SEGMENT)
                submit(s);
        if (s->current)
                return 0;
        (void)pthread_mutex_lock(&s->lock);
        while (!s->empty)
                wait_or_work(s);
        s->current = s->empty;
        s->empty = s->current->next;
        r = failure_of(s, e);
        (void)pthread_mutex_unlock(&s->lock);
        s->current->used = 0;
        s->current->position = s->position;
        return r;
}

/* Until all that is queued is written. */
static int drain(struct image_stream *s, struct error *e)
{
        int r;

        (void)pthread_mutex_lock(&s->lock);
        while (s->queue || s->hashing > 0 || s->hashed || s->writing)
                wait_or_work(s);
        r = failure_of(s, e);
        (void)pthread_mutex_unlock(&s->lock);
        return r;
}

/* --- appending --- */

uint64_t image_stream_position(const struct image_stream *s)
{
        return s->position;
}

int image_stream_reserve(struct image_stream *s, uint8_t **ret, size_t *ret_size, struct error *e)
{
        int r;

        r = provide(s, e);
        if (r < 0)
                return r;
        *ret = s->current->data + s->current->used;
        *ret_size = SEGMENT - s->current->used;
        return 0;
}

void image_stream_commit(struct image_stream *s, size_t size)
{
        assert(size <= SEGMENT - s->current->used);
        s->current->used += size;
        s->position += size;
}

int image_stream_put(struct image_stream *s, const void *data, size_t size, struct error *e)
{
        const uint8_t *from = data;
        int r;

        while (size > 0) {
                size_t room;
                uint8_t *to;

                r = image_stream_reserve(s, &to, &room, e);
                if (r < 0)
                        return r;
                if (room > size)
                        room = size;
                memcpy(to, from, room);
                image_stream_commit(s, room);
                from += room;
                size -= room;
        }
        return 0;
}

int image_stream_zeros(struct image_stream *s, uint64_t size, struct error *e)
{
        int r;

        while (size > 0) {
                size_t room;
                uint8_t *to;

                r = image_stream_reserve(s, &to, &room, e);
                if (r < 0)
                        return r;
                if (room > size)
                        room = (size_t)size;
                memset(to, 0, room);
                image_stream_commit(s, room);
                size -= room;
        }
        return 0;
}

int image_stream_align(struct image_stream *s, struct error *e)
{
        return image_stream_zeros(s, -s->position % BLOCK, e);
}

/* --- patching --- */

/* Replaces bytes of one block that is written already. */
static int patch_block(struct image_stream *s, uint64_t at, const void *data, size_t size, struct error *e)
{
        uint64_t start = at - at % BLOCK;
        uint8_t block[BLOCK], digest[DIGEST];
        int r;

        r = pread_full(s->fd, block, BLOCK, s->offset + start);
        if (r >= 0) {
                memcpy(block + at % BLOCK, data, size);
                r = pwrite_full(s->fd, block, BLOCK, s->offset + start);
        }
        if (r >= 0)
                r = hasher_blocks(s->hasher, block, 1, BLOCK, digest, DIGEST);
        if (r >= 0)
                r = keep_digests(s, start / BLOCK * DIGEST, digest, DIGEST);
        return r < 0 ? error_errno(e, r, "image at offset %" PRIu64, at) : 0;
}

int image_stream_patch(struct image_stream *s, uint64_t at, const void *data, size_t size, struct error *e)
{
        uint64_t written = s->current ? s->current->position : s->position;
        const uint8_t *from = data;
        int r;

        assert(at <= s->position && size <= s->position - at);
        if (at < written) {
                r = drain(s, e);
                if (r < 0)
                        return r;
        }
        while (size > 0 && at < written) {
                size_t n = BLOCK - at % BLOCK < size ? BLOCK - at % BLOCK : size;

                r = patch_block(s, at, from, n, e);
                if (r < 0)
                        return r;
                at += n;
                from += n;
                size -= n;
        }
        if (s->current && size > 0)
                memcpy(s->current->data + (at - written), from, size);
        return 0;
}

/* --- the end --- */

static int write_lowest(const struct image_stream *s, int hash_fd, uint64_t offset, uint64_t size)
{
        size_t in_memory = size < s->digests_max ? (size_t)size : s->digests_max;
        uint8_t *buffer = s->segments[0].data;
        int r;

        r = pwrite_full(hash_fd, s->digests, in_memory, offset);
        for (uint64_t at = in_memory; r >= 0 && at < size;) {
                size_t n = size - at < SEGMENT ? (size_t)(size - at) : SEGMENT;

                r = pread_full(s->spill_fd, buffer, n, at - s->digests_max);
                if (r >= 0)
                        r = pwrite_full(hash_fd, buffer, n, offset + at);
                at += n;
        }
        return r;
}

static int write_tree(struct image_stream *s, int hash_fd, uint64_t hash_base, struct verity_geometry *g,
                      struct error *e)
{
        struct verity_layout layout;
        int r;

        verity_layout_of(g, &layout);
        if (layout.levels == 0) {
                memcpy(g->root_hash, s->digests, DIGEST);
                return 0;
        }
        r = write_lowest(s, hash_fd, hash_base + layout.offset[0], layout.blocks[0] * BLOCK);
        if (r < 0)
                return error_errno(e, r, "hash tree");
        return verity_tree_write_above(s->hasher, &layout, s->n_workers + 1, hash_fd, hash_base, g->root_hash,
                                       e);
}

int image_stream_flush(struct image_stream *s, struct error *e)
{
        if (s->current)
                submit(s);
        return drain(s, e);
}

int image_stream_finish(struct image_stream *s, int hash_fd, uint64_t hash_base, struct verity_geometry *g,
                        struct error *e)
{
        int r;

        r = image_stream_align(s, e);
        if (r < 0)
                return r;
        if (verity_data_size(g) != s->position)
                return error_set(e, -EINVAL, "image: %" PRIu64 " bytes expected, found %" PRIu64,
                                 verity_data_size(g), s->position);
        r = verity_geometry_check(g, e);
        if (r < 0)
                return r;
        r = image_stream_flush(s, e);
        if (r < 0)
                return r;
        r = write_tree(s, hash_fd, hash_base, g, e);
        if (r >= 0)
                g->root_hash_size = DIGEST;
        return r;
}

/* --- begin and clean up --- */

/* The caller's thread works too, so one that does not start is no error. */
static void start_workers(struct image_stream *s, unsigned n)
{
        while (s->n_workers < n && pthread_create(&s->workers[s->n_workers], NULL, worker, s) == 0)
                s->n_workers++;
}

static int provide_segments(struct image_stream *s, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                struct segment *g = &s->segments[i];

                if (posix_memalign((void **)&g->data, BLOCK, SEGMENT) != 0)
                        return -ENOMEM;
                g->next = s->empty;
                s->empty = g;
        }
        return 0;
}

int image_stream_new(const struct image_stream_options *o, struct image_stream **ret, struct error *e)
{
        static const uint8_t salt[32];
        _cleanup_(image_stream_free_ptr) struct image_stream *s = calloc(1, sizeof(*s));
        unsigned threads = verity_threads(o->threads), streams = o->streams ? o->streams : 1;
        unsigned segments = threads == 1 ? 1 : 3 * threads, segments_max = SEGMENTS_MAX / streams;
        int r;

        if (!s)
                return -ENOMEM;
        s->fd = o->fd;
        s->offset = o->offset;
        s->digests_max = o->digests_max ? o->digests_max : DIGESTS_IN_MEMORY / streams / BLOCK * BLOCK;
        s->spill_fd = -EBADF;
        s->queue_end = &s->queue;
        (void)pthread_mutex_init(&s->lock, NULL);
        (void)pthread_cond_init(&s->changed, NULL);
        r = hasher_new("sha256", salt, sizeof(salt), NULL, &s->hasher, e);
        if (r < 0)
                return r;
        if (segments > segments_max)
                segments = segments_max > 0 ? segments_max : 1;
        r = provide_segments(s, segments);
        if (r < 0)
                return r;
        start_workers(s, threads > segments ? segments - 1 : threads - 1);
        *ret = TAKE_PTR(s);
        return 0;
}

struct image_stream *image_stream_free(struct image_stream *s)
{
        if (!s)
                return NULL;
        (void)pthread_mutex_lock(&s->lock);
        s->stop = true;
        (void)pthread_cond_broadcast(&s->changed);
        (void)pthread_mutex_unlock(&s->lock);
        for (unsigned i = 0; i < s->n_workers; i++)
                (void)pthread_join(s->workers[i], NULL);
        (void)pthread_cond_destroy(&s->changed);
        (void)pthread_mutex_destroy(&s->lock);
        for (size_t i = 0; i < ELEMENTSOF(s->segments); i++)
                free(s->segments[i].data);
        (void)close_fd(s->spill_fd);
        (void)hasher_free(s->hasher);
        free(s->digests);
        free(s);
        return NULL;
}
