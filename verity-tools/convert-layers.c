/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Building the layers of images, several at once. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "convert.h"
#include "decompress.h"

#define WORKERS_MAX 8u
#define JOBS_MAX 4096u

static bool is_tar_layer(const char *media_type)
{
        static const char *const types[] = {
                "application/vnd.oci.image.layer.v1.tar",
                "application/vnd.oci.image.layer.v1.tar+gzip",
                "application/vnd.oci.image.layer.v1.tar+zstd",
                "application/vnd.docker.image.rootfs.diff.tar",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "application/vnd.docker.image.rootfs.diff.tar.zstd",
        };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (strcmp(media_type, types[i]) == 0)
                        return true;
        return false;
}

/* --- the plan --- */

static bool same_sources(const struct layer_job *j, const struct oci_descriptor *sources, size_t n)
{
        for (size_t i = 0; i < n && j->n_sources == n; i++)
                if (strcmp(j->sources[i].digest, sources[i].digest) != 0)
                        return false;
        return j->n_sources == n;
}

/* Who converts a layer by itself does not know where it lies. */
bool conversion_is_bottom(const struct conversion *c, size_t i)
{
        return i == 0 && !c->o->signatures_only;
}

struct layer_job *conversion_find_job(const struct conversion *c, const struct oci_descriptor *sources,
                                      size_t n, bool bottom)
{
        for (size_t i = 0; i < c->n_jobs; i++)
                if (c->jobs[i].bottom == bottom && same_sources(&c->jobs[i], sources, n))
                        return &c->jobs[i];
        return NULL;
}

static int add_job(struct conversion *c, const struct oci_descriptor *sources, size_t n, bool bottom,
                   struct error *e)
{
        struct layer_job *bigger, *j;

        if (c->n_jobs >= JOBS_MAX)
                return error_set(e, -E2BIG, "at most %u different layers expected, found more", JOBS_MAX);
        bigger = reallocarray(c->jobs, c->n_jobs + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        c->jobs = bigger;
        j = &c->jobs[c->n_jobs];
        *j = (struct layer_job){.n_sources = n, .bottom = bottom, .sources = calloc(n, sizeof(*sources))};
        if (!j->sources)
                return -ENOMEM;
        memcpy(j->sources, sources, n * sizeof(*sources));
        for (size_t i = 0; i < n; i++)
                j->source_size += sources[i].size;
        c->n_jobs++;
        return 0;
}

static int parse_layers(struct oci_image *image, struct error *e)
{
        _cleanup_free_ struct oci_descriptor *sources = NULL;
        sd_json_variant *layers = NULL;
        size_t n;
        int r;

        r = json_array(image->manifest, image->digest, "layers", &layers, e);
        if (r < 0)
                return -EBADMSG;
        n = sd_json_variant_elements(layers);
        if (n < 1 || n > STORE_LAYERS_MAX)
                return error_set(e, -EBADMSG, "%s: 1 to %d layers expected, found %zu", image->digest,
                                 STORE_LAYERS_MAX, n);
        sources = calloc(n, sizeof(*sources));
        if (!sources)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                r = oci_descriptor_parse(sd_json_variant_by_index(layers, i), image->digest, &sources[i], e);
                if (r < 0)
                        return r;
                if (!is_tar_layer(sources[i].media_type))
                        return error_set(e, -EBADMSG,
                                         "%s: layer %zu: media type of a tar layer expected, found \"%.80s\"",
                                         image->digest, i, sources[i].media_type);
                if (sources[i].size > BUILD_INPUT_MAX)
                        return error_set(e, -E2BIG,
                                         "%s: layer %zu: at most %" PRIu64 " bytes expected, found %" PRIu64,
                                         image->digest, i, BUILD_INPUT_MAX, sources[i].size);
        }
        image->layers = TAKE_PTR(sources);
        image->n_layers = n;
        return 0;
}

int conversion_plan(struct conversion *c, struct oci_image *image, struct error *e)
{
        size_t each;
        int r;

        r = parse_layers(image, e);
        if (r < 0)
                return r;
        each = c->o->squash ? image->n_layers : 1;
        for (size_t i = 0; i < image->n_layers && r >= 0; i += each) {
                bool bottom = conversion_is_bottom(c, i);

                if (!conversion_find_job(c, image->layers + i, each, bottom))
                        r = add_job(c, image->layers + i, each, bottom, e);
        }
        return r;
}

/* --- the work --- */

struct work {
        struct conversion *c;
        size_t *order; /* numbers of jobs, the longest first, so that none of them is left to the end */
        unsigned workers, threads_each;
        struct windows windows;
        pthread_mutex_t lock;
        size_t next;
        uint64_t done, total; /* bytes of the sources: fetched, and read */
        int result;           /* the first error, and its message */
        struct error error;
};

/* A tar on its way into an image. */
struct reading {
        struct work *work;
        const struct oci_descriptor *source;
        struct trust_hash *digest;
        uint64_t size;
};

static void count(void *userdata, size_t size)
{
        struct work *w = userdata;
        const struct build_oci_options *o = w->c->o;

        (void)pthread_mutex_lock(&w->lock);
        w->done += size;
        if (o->progress)
                o->progress(o->userdata, w->done, w->total);
        (void)pthread_mutex_unlock(&w->lock);
}

static bool has_failed(struct work *w)
{
        bool failed;

        (void)pthread_mutex_lock(&w->lock);
        failed = w->result < 0;
        (void)pthread_mutex_unlock(&w->lock);
        return failed;
}

static int tap(void *userdata, const void *data, size_t size, struct error *e)
{
        struct reading *r = userdata;

        int k = trust_hash_add(r->digest, data, size);

        if (k < 0)
                return error_errno(e, k, "SHA-256");
        r->size += size;
        count(r->work, size);
        return has_failed(r->work) ? error_set(e, -ECANCELED, "another layer failed") : 0;
}

static int check_digest(const struct reading *r, struct error *e)
{
        uint8_t hash[32];
        int k = trust_hash_end(r->digest, hash);

        return k < 0 ? error_errno(e, k, "SHA-256") : oci_check_blob(r->source, r->size, hash, e);
}

/* Reads a tar once: its digest is checked while it is built. */
static int add_source(struct work *w, struct builder *b, const struct oci_descriptor *d, struct error *e)
{
        _cleanup_(trust_hash_free_ptr) struct trust_hash *digest = NULL;
        struct reading reading = {.work = w, .source = d};
        struct build_tar tar = {
                .fd = -EBADF, .name = d->path, .tap = tap, .userdata = &reading, .windows = &w->windows};
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = trust_hash_new(&digest);
        if (r < 0)
                return error_errno(e, r, "SHA-256");
        reading.digest = digest;
        r = oci_source_open_blob(w->c->source, d, &fd, e);
        if (r < 0)
                return r;
        tar.fd = fd;
        r = builder_add_tar(b, &tar, e);
        return r < 0 ? r : check_digest(&reading, e);
}

static int build_job(struct work *w, size_t number, struct error *e)
{
        struct layer_job *j = &w->c->jobs[number];
        _cleanup_(builder_free_ptr) struct builder *b = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct builder_options o = {
                .allow_setuid = w->c->o->allow_setuid,
                .merge = j->bottom,
                .threads = w->threads_each,
                .builders = w->workers,
        };
        uint64_t size = 0;
        int r;

        r = layout_begin_blob(w->c->out, number, &fd, e);
        if (r < 0)
                return r;
        o.fd = fd;
        r = builder_new(&o, &b, e);
        for (size_t i = 0; r >= 0 && i < j->n_sources; i++)
                r = add_source(w, b, &j->sources[i], e);
        if (r >= 0)
                r = builder_end_data(b, &size, e);
        if (r >= 0)
                r = builder_finish(b, -EBADF, 0, &j->geometry, e);
        return r < 0 ? r : layout_end_blob(w->c->out, number, fd, &j->blob, e);
}

static bool take_job(struct work *w, size_t *ret)
{
        bool taken;

        (void)pthread_mutex_lock(&w->lock);
        taken = w->result >= 0 && w->next < w->c->n_jobs;
        if (taken)
                *ret = w->order[w->next++];
        (void)pthread_mutex_unlock(&w->lock);
        return taken;
}

static void fail_work(struct work *w, int r, const struct error *e)
{
        (void)pthread_mutex_lock(&w->lock);
        if (w->result >= 0) {
                w->result = r;
                w->error = *e;
        }
        (void)pthread_mutex_unlock(&w->lock);
        oci_source_stop(w->c->source);
}

static void *run_worker(void *userdata)
{
        struct work *w = userdata;
        size_t number = 0;

        while (take_job(w, &number)) {
                struct error e = {};
                int r = build_job(w, number, &e);

                if (r < 0)
                        fail_work(w, r, &e);
        }
        return NULL;
}

static int longer_first(const void *a, const void *b, void *jobs)
{
        const struct layer_job *x = (const struct layer_job *)jobs + *(const size_t *)a,
                               *y = (const struct layer_job *)jobs + *(const size_t *)b;

        return x->source_size < y->source_size ? 1 : x->source_size > y->source_size ? -1 : 0;
}

/* This thread works too; fewer threads than wanted are no failure. */
static void run_workers(struct work *w)
{
        pthread_t threads[WORKERS_MAX];
        unsigned started = 0;

        while (started + 1 < w->workers && pthread_create(&threads[started], NULL, run_worker, w) == 0)
                started++;
        (void)run_worker(w);
        while (started > 0)
                (void)pthread_join(threads[--started], NULL);
}

int conversion_build_layers(struct conversion *c, struct error *e)
{
        _cleanup_free_ size_t *order = calloc(c->n_jobs + 1, sizeof(*order));
        unsigned threads = verity_threads(c->o->threads);
        struct work w = {.c = c, .order = order, .workers = threads};

        if (!order)
                return -ENOMEM;
        if (w.workers > c->n_jobs)
                w.workers = (unsigned)c->n_jobs;
        if (w.workers > WORKERS_MAX)
                w.workers = WORKERS_MAX;
        w.threads_each = w.workers > 0 ? threads / w.workers : 1;
        for (size_t i = 0; i < c->n_jobs; i++) {
                order[i] = i;
                w.total += c->jobs[i].source_size;
        }
        if (oci_source_watch(c->source, count, &w))
                w.total *= 2;
        qsort_r(order, c->n_jobs, sizeof(*order), longer_first, c->jobs);
        (void)pthread_mutex_init(&w.lock, NULL);
        windows_init(&w.windows);
        run_workers(&w);
        (void)oci_source_watch(c->source, NULL, NULL);
        windows_done(&w.windows);
        (void)pthread_mutex_destroy(&w.lock);
        return w.result < 0 ? error_set(e, w.result, "%s", w.error.message) : 0;
}
