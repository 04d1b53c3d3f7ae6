/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree-level.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/file.h"
#include "mapping.h"

/* Bytes that a thread takes on at a time where it can use them in place; and where it must read them, so that
 * they stay in its core's own cache until they are hashed. */
#define MAP_SIZE ((size_t)4 * 1024 * 1024)
#define READ_SIZE ((size_t)512 * 1024)

#define THREADS_MAX 64

/* What the threads share. A unit is what one of them takes on at a time. */
struct pass {
        const struct tree_level *job;
        bool in_place;
        size_t per_block; /* digests in a block */
        size_t unit;      /* blocks of the level */
        uint64_t units;
        atomic_uint_fast64_t next, done; /* units */

        pthread_mutex_t lock; /* of all below */
        int failure;
        uint64_t failed_unit;
        struct error message;
        struct tree_level_result result;
};

struct buffers {
        uint8_t *data;    /* READ_SIZE */
        uint8_t *digests; /* a unit */
        uint8_t *stored;
};

static void buffers_done(struct buffers *b)
{
        free(b->data);
        free(b->digests);
        free(b->stored);
}

static int buffers_new(const struct pass *p, struct buffers *ret, struct error *e)
{
        size_t size = p->unit * p->job->level.size;

        *ret = (struct buffers){.digests = malloc(size), .stored = malloc(size)};
        if (posix_memalign((void **)&ret->data, 4096, READ_SIZE) != 0)
                ret->data = NULL;
        return ret->data && ret->digests && ret->stored ? 0 : error_errno(e, -ENOMEM, "hash tree");
}

struct children {
        const struct pass *pass;
        size_t n;
        uint8_t *digests;
};

static int hash_bytes(void *userdata, const void *data)
{
        const struct children *c = userdata;
        const struct tree_level *job = c->pass->job;

        return hasher_blocks(job->hasher, data, c->n, job->below.size, c->digests, job->slot);
}

/* Hashes the n blocks below a unit, from number `first` on. */
static int hash_children(const struct pass *p, uint64_t first, size_t n, const struct buffers *b,
                         struct error *e)
{
        const struct tree_blocks *below = &p->job->below;
        size_t at_once = p->in_place ? n : READ_SIZE / below->size;

        for (size_t done = 0; done < n; done += at_once) {
                uint64_t offset = below->offset + (first + done) * below->size;
                struct children c = {p, n - done < at_once ? n - done : at_once,
                                     b->digests + done * p->job->slot};
                int r;

                if (p->in_place) {
                        r = mapping_use(below->fd, offset, c.n * below->size, hash_bytes, &c);
                } else {
                        r = pread_full(below->fd, b->data, c.n * below->size, offset);
                        if (r >= 0)
                                r = hash_bytes(&c, b->data);
                }
                if (r < 0)
                        return error_errno(e, r, "%s at %" PRIu64, below->name, offset);
        }
        return 0;
}

/* Notes what is stored otherwise than it was made. */
static int compare(struct pass *p, uint64_t first, size_t size, uint64_t offset, const struct buffers *b)
{
        uint64_t child = first;
        int r;

        r = pread_full(p->job->level.fd, b->stored, size, offset);
        if (r < 0 || memcmp(b->stored, b->digests, size) == 0)
                return r;
        for (size_t at = 0; memcmp(b->stored + at, b->digests + at, p->job->slot) == 0; at += p->job->slot)
                child++;
        (void)pthread_mutex_lock(&p->lock);
        if (child < p->result.bad_child)
                p->result.bad_child = child;
        (void)pthread_mutex_unlock(&p->lock);
        return 0;
}

static int do_unit(struct pass *p, uint64_t unit, const struct buffers *b, struct error *e)
{
        uint64_t block = unit * p->unit, first = block * p->per_block;
        size_t n = p->job->level.n - block < p->unit ? (size_t)(p->job->level.n - block) : p->unit;
        size_t children = p->job->below.n - first < n * p->per_block ? (size_t)(p->job->below.n - first)
                                                                     : n * p->per_block;
        uint64_t offset = p->job->level.offset + block * p->job->level.size;
        size_t size = n * p->job->level.size;
        int r;

        r = hash_children(p, first, children, b, e);
        if (r < 0)
                return r;
        memset(b->digests + children * p->job->slot, 0, size - children * p->job->slot);
        if (p->job->level.n == 1)
                r = hasher_blocks(p->job->hasher, b->digests, 1, p->job->level.size, p->result.root,
                                  p->job->slot);
        if (r >= 0)
                r = p->job->verify ? compare(p, first, size, offset, b)
                                   : pwrite_full(p->job->level.fd, b->digests, size, offset);
        return r < 0 ? error_errno(e, r, "%s at %" PRIu64, p->job->level.name, offset) : 0;
}

/* The error of the lowest unit is the one reported: units below it that others work on come to their end. */
static void fail(struct pass *p, uint64_t unit, int r, const struct error *e)
{
        (void)pthread_mutex_lock(&p->lock);
        if (p->failure >= 0 || unit < p->failed_unit) {
                p->failure = r;
                p->failed_unit = unit;
                p->message = *e;
        }
        (void)pthread_mutex_unlock(&p->lock);
        atomic_store(&p->next, p->units);
}

static void show(struct pass *p)
{
        const struct verity_tree_options *o = p->job->progress;
        uint64_t blocks = atomic_load(&p->done) * p->unit * p->per_block, total = p->job->below.n;

        if (o && o->progress)
                o->progress(o->userdata, (blocks < total ? blocks : total) * p->job->below.size,
                            total * p->job->below.size);
}

/* Takes units until there are none. */
static void work(struct pass *p, bool shows)
{
        _cleanup_(buffers_done) struct buffers b = {};
        struct error e = {};
        uint64_t unit = 0;
        int r;

        r = buffers_new(p, &b, &e);
        while (r >= 0 && (unit = atomic_fetch_add(&p->next, 1)) < p->units) {
                r = do_unit(p, unit, &b, &e);
                atomic_fetch_add(&p->done, 1);
                if (r >= 0 && shows)
                        show(p);
        }
        if (r < 0)
                fail(p, unit, r, &e);
}

static void *worker(void *userdata)
{
        work(userdata, false);
        return NULL;
}

/* The caller's thread works too, so one that does not start is no error. */
static void run_threads(struct pass *p, unsigned threads)
{
        pthread_t workers[THREADS_MAX];
        unsigned n = 0;

        if (threads > THREADS_MAX)
                threads = THREADS_MAX;
        while (n + 1 < threads && n + 1 < p->units && pthread_create(&workers[n], NULL, worker, p) == 0)
                n++;
        work(p, true);
        while (n > 0)
                (void)pthread_join(workers[--n], NULL);
}

int tree_level_run(const struct tree_level *job, unsigned threads, struct tree_level_result *ret,
                   struct error *e)
{
        struct pass p = {
                .job = job,
                .in_place = hasher_owns_nothing(job->hasher),
                .per_block = job->level.size / job->slot,
                .result.bad_child = TREE_LEVEL_SOUND,
        };
        size_t below = p.per_block * job->below.size, at_once = p.in_place ? MAP_SIZE : READ_SIZE;

        p.unit = below < at_once ? at_once / below : 1;
        p.units = (job->level.n + p.unit - 1) / p.unit;
        (void)pthread_mutex_init(&p.lock, NULL);
        run_threads(&p, threads);
        (void)pthread_mutex_destroy(&p.lock);
        if (p.failure < 0)
                return error_set(e, p.failure, "%s", p.message.message);
        show(&p);
        *ret = p.result;
        return 0;
}
