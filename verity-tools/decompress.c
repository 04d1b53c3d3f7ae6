/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decompress.h"

#include <bzlib.h>
#include <errno.h>
#include <inttypes.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <string.h>
#include <zstd.h>

#define BUFFER ((size_t)256 * 1024)

/* Windows of more than the first are rare (RFC 8878, section 3.1.1.1.2, recommends no more), those of more
 * than the second are refused: `zstd --long` and `xz -9` have them. */
#define WINDOW_USUAL ((size_t)8 * 1024 * 1024)
#define WINDOW_MAX ((size_t)32 * 1024 * 1024)
#define XZ_BESIDES ((uint64_t)1024 * 1024)

/* At the begin of a member at least so much of it is in the buffer, or all: its headers. */
#define HEADERS ((size_t)4096)

struct decompressor {
        struct build_tar file;
        const struct format *format;
        void *state;
        size_t window; /* taken from file.windows */
        bool inside;   /* a member of the stream, so that the file must not end here */
        bool end_of_file;
        uint64_t read, produced;
        const uint8_t *in; /* not decompressed yet */
        size_t in_size;
        uint8_t in_buffer[BUFFER], out_buffer[BUFFER];
};

/* What a step may take and fill; it moves both on. */
struct room {
        const uint8_t *in;
        size_t in_size;
        uint8_t *out;
        size_t out_size;
};

/* One way to compress. step: -EBADMSG for damage, -E2BIG for too much memory; sets whether it is inside of a
 * member. */
struct format {
        const char *name;
        size_t magic_size;
        uint8_t magic[6];
        size_t window; /* that it is opened with at first; 0: all that it ever needs is little */
        int (*open)(size_t window, void **ret);
        int (*step)(void *state, struct room *room, bool *inside);
        void (*close)(void *state);
};

/* --- gzip --- */

static int gzip_open(size_t unused, void **ret)
{
        struct inflate_state *s = malloc(sizeof(*s));

        if (!s)
                return -ENOMEM;
        isal_inflate_init(s);
        s->crc_flag = ISAL_GZIP;
        *ret = s;
        return 0;
}

static int gzip_step(void *state, struct room *room, bool *inside)
{
        struct inflate_state *s = state;

        s->next_in = (uint8_t *)room->in;
        s->avail_in = (uint32_t)room->in_size;
        s->next_out = room->out;
        s->avail_out = (uint32_t)room->out_size;
        if (isal_inflate(s) != ISAL_DECOMP_OK)
                return -EBADMSG;
        room->in = s->next_in;
        room->in_size = s->avail_in;
        room->out = s->next_out;
        room->out_size = s->avail_out;
        *inside = s->block_state != ISAL_BLOCK_FINISH;
        if (!*inside) {
                isal_inflate_reset(s);
                s->crc_flag = ISAL_GZIP;
        }
        return 0;
}

/* --- zstd --- */

static int zstd_open(size_t window, void **ret)
{
        ZSTD_DCtx *s = ZSTD_createDCtx();
        int log = __builtin_ctzl(window);

        if (!s)
                return -ENOMEM;
        *ret = s;
        return ZSTD_isError(ZSTD_DCtx_setParameter(s, ZSTD_d_windowLogMax, log)) ? -EINVAL : 0;
}

static int zstd_step(void *state, struct room *room, bool *inside)
{
        ZSTD_inBuffer in = {room->in, room->in_size, 0};
        ZSTD_outBuffer out = {room->out, room->out_size, 0};
        size_t r = ZSTD_decompressStream(state, &out, &in);

        if (ZSTD_isError(r))
                return ZSTD_getErrorCode(r) == ZSTD_error_frameParameter_windowTooLarge ? -E2BIG : -EBADMSG;
        room->in += in.pos;
        room->in_size -= in.pos;
        room->out += out.pos;
        room->out_size -= out.pos;
        *inside = r != 0;
        return 0;
}

static void zstd_close(void *state)
{
        (void)ZSTD_freeDCtx(state);
}

/* --- xz --- */

static int xz_begin(lzma_stream *s, uint64_t memory)
{
        return lzma_stream_decoder(s, memory, 0) == LZMA_OK ? 0 : -ENOMEM;
}

static int xz_open(size_t window, void **ret)
{
        lzma_stream *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        *ret = s;
        return xz_begin(s, window + XZ_BESIDES);
}

static int xz_step(void *state, struct room *room, bool *inside)
{
        lzma_stream *s = state;
        lzma_ret r;

        s->next_in = room->in;
        s->avail_in = room->in_size;
        s->next_out = room->out;
        s->avail_out = room->out_size;
        r = lzma_code(s, LZMA_RUN);
        room->in = s->next_in;
        room->in_size = s->avail_in;
        room->out = s->next_out;
        room->out_size = s->avail_out;
        *inside = r != LZMA_STREAM_END;
        if (r == LZMA_STREAM_END)
                return xz_begin(s, lzma_memlimit_get(s));
        if (r == LZMA_MEMLIMIT_ERROR)
                return -E2BIG;
        return r == LZMA_OK || r == LZMA_BUF_ERROR ? 0 : -EBADMSG;
}

static void xz_close(void *state)
{
        lzma_end(state);
        free(state);
}

/* --- bzip2 --- */

static int bzip2_open(size_t unused, void **ret)
{
        bz_stream *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        *ret = s;
        return BZ2_bzDecompressInit(s, 0, 0) == BZ_OK ? 0 : -ENOMEM;
}

static int bzip2_step(void *state, struct room *room, bool *inside)
{
        bz_stream *s = state;
        int r;

        s->next_in = (char *)room->in;
        s->avail_in = (unsigned)room->in_size;
        s->next_out = (char *)room->out;
        s->avail_out = (unsigned)room->out_size;
        r = BZ2_bzDecompress(s);
        room->in = (const uint8_t *)s->next_in;
        room->in_size = s->avail_in;
        room->out = (uint8_t *)s->next_out;
        room->out_size = s->avail_out;
        *inside = r != BZ_STREAM_END;
        if (r != BZ_STREAM_END)
                return r == BZ_OK ? 0 : -EBADMSG;
        (void)BZ2_bzDecompressEnd(s);
        return BZ2_bzDecompressInit(s, 0, 0) == BZ_OK ? 0 : -ENOMEM;
}

static void bzip2_close(void *state)
{
        (void)BZ2_bzDecompressEnd(state);
        free(state);
}

/* --- memory for windows --- */

void windows_init(struct windows *w)
{
        (void)pthread_mutex_init(&w->lock, NULL);
        (void)pthread_cond_init(&w->freed, NULL);
        w->left = WINDOW_MAX;
}

void windows_done(struct windows *w)
{
        (void)pthread_cond_destroy(&w->freed);
        (void)pthread_mutex_destroy(&w->lock);
}

/* Who takes gives back what it had first, so nobody waits for somebody who waits. */
static void change_window(struct decompressor *d, size_t size)
{
        struct windows *w = d->file.windows;

        if (w) {
                (void)pthread_mutex_lock(&w->lock);
                w->left += d->window;
                (void)pthread_cond_broadcast(&w->freed);
                while (w->left < size)
                        (void)pthread_cond_wait(&w->freed, &w->lock);
                w->left -= size;
                (void)pthread_mutex_unlock(&w->lock);
        }
        d->window = size;
}

static void close_format(struct decompressor *d)
{
        if (d->state)
                d->format->close(d->state);
        d->state = NULL;
}

/* Begins to decompress, or does so anew with a larger window. */
static int open_format(struct decompressor *d, size_t window)
{
        close_format(d);
        change_window(d, window);
        return d->format->open(window, &d->state);
}

/* --- the file --- */

/* pzstd begins with a frame that is to be skipped. */
static const struct format formats[] = {
        {"gzip", 2, {0x1f, 0x8b}, 0, gzip_open, gzip_step, free},
        {"zstd", 4, {0x28, 0xb5, 0x2f, 0xfd}, WINDOW_USUAL, zstd_open, zstd_step, zstd_close},
        {"zstd", 4, {0x50, 0x2a, 0x4d, 0x18}, WINDOW_USUAL, zstd_open, zstd_step, zstd_close},
        {"xz", 6, {0xfd, '7', 'z', 'X', 'Z', 0}, WINDOW_MAX, xz_open, xz_step, xz_close},
        {"bzip2", 3, {'B', 'Z', 'h'}, WINDOW_USUAL, bzip2_open, bzip2_step, bzip2_close},
};

/* Reads until `to` is full or the file ends. */
static int read_file_into(struct decompressor *d, uint8_t *to, size_t size, size_t *ret_size, struct error *e)
{
        size_t done = 0;

        while (done < size && !d->end_of_file) {
                ssize_t n = read(d->file.fd, to + done, size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno(e, -errno, "byte %" PRIu64 " of the file", d->read + done);
                d->end_of_file = n == 0;
                done += (size_t)n;
        }
        d->read += done;
        *ret_size = done;
        return d->file.tap && done > 0 ? d->file.tap(d->file.userdata, to, done, e) : 0;
}

/* Fills the buffer behind what is left in it, unless the file ends before. */
static int fill(struct decompressor *d, struct error *e)
{
        size_t n = 0;
        int r;

        memmove(d->in_buffer, d->in, d->in_size);
        d->in = d->in_buffer;
        r = read_file_into(d, d->in_buffer + d->in_size, BUFFER - d->in_size, &n, e);
        d->in_size += n;
        return r;
}

int decompressor_new(const struct build_tar *file, struct decompressor **ret, struct error *e)
{
        _cleanup_(decompressor_free_ptr) struct decompressor *d = calloc(1, sizeof(*d));
        int r;

        if (!d)
                return -ENOMEM;
        d->file = *file;
        d->in = d->in_buffer;
        r = fill(d, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(formats); i++)
                if (d->in_size >= formats[i].magic_size &&
                    memcmp(d->in, formats[i].magic, formats[i].magic_size) == 0) {
                        d->format = &formats[i];
                        r = open_format(d, d->format->window);
                        if (r < 0)
                                return error_errno(e, r, "%s", d->format->name);
                        break;
                }
        *ret = TAKE_PTR(d);
        return 0;
}

struct decompressor *decompressor_free(struct decompressor *d)
{
        if (d) {
                close_format(d);
                change_window(d, 0);
        }
        free(d);
        return NULL;
}

static int step_failed(const struct decompressor *d, int r, struct error *e)
{
        uint64_t at = d->read - d->in_size;

        if (r == -E2BIG)
                return error_set(e, r,
                                 "byte %" PRIu64
                                 " of the file: a window of at most %zu MiB expected, found more: %s -dc it "
                                 "first",
                                 at, WINDOW_MAX >> 20, d->format->name);
        return error_set(e, r,
                         "byte %" PRIu64
                         " of the file: intact %s data and nothing behind it expected, found something else",
                         at, d->format->name);
}

/* One step forward. Input that leads nowhere is damaged, or ends too early. */
static int step(struct decompressor *d, struct room *room, struct error *e)
{
        size_t left = d->in_size, space = room->out_size;
        bool inside = d->inside;
        int r;

        room->in = d->in;
        room->in_size = d->in_size;
        r = d->format->step(d->state, room, &d->inside);
        if (r == -E2BIG && !inside && d->window < WINDOW_MAX) {
                r = open_format(d, WINDOW_MAX);
                if (r >= 0)
                        r = d->format->step(d->state, room, &d->inside);
        }
        if (r >= 0 && room->in_size == left && room->out_size == space && d->inside == inside) {
                if (left == 0)
                        return error_set(e, -EBADMSG,
                                         "byte %" PRIu64 " of the file: more %s data expected, found its end",
                                         d->read, d->format->name);
                r = -EBADMSG;
        }
        if (r < 0)
                return step_failed(d, r, e);
        d->in = room->in;
        d->in_size = room->in_size;
        return 0;
}

/* Decompresses until there is no more room or the file ends. */
static int decompress(struct decompressor *d, struct room *room, struct error *e)
{
        int r = 0;

        while (r >= 0 && room->out_size > 0) {
                if (d->in_size < (d->inside ? 1 : HEADERS) && !d->end_of_file)
                        r = fill(d, e);
                if (r >= 0 && d->in_size == 0 && !d->inside)
                        break;
                if (r >= 0)
                        r = step(d, room, e);
        }
        return r;
}

/* What is in the buffer, or where that is empty the file itself. */
static int copy(struct decompressor *d, struct room *room, struct error *e)
{
        size_t n = d->in_size < room->out_size ? d->in_size : room->out_size;
        int r = 0;

        if (n > 0) {
                memcpy(room->out, d->in, n);
                d->in += n;
                d->in_size -= n;
        } else {
                r = read_file_into(d, room->out, room->out_size, &n, e);
        }
        room->out_size -= n;
        return r;
}

static int count(struct decompressor *d, size_t size, struct error *e)
{
        if (size > BUILD_INPUT_MAX - d->produced)
                return error_set(e, -E2BIG, "at most %" PRIu64 " bytes expected, found more",
                                 BUILD_INPUT_MAX);
        d->produced += size;
        return 0;
}

int decompressor_read(struct decompressor *d, void *to, size_t size, size_t *ret_size, struct error *e)
{
        struct room room = {.out = to, .out_size = size};
        int r;

        r = d->format ? decompress(d, &room, e) : copy(d, &room, e);
        if (r < 0)
                return r;
        *ret_size = size - room.out_size;
        return count(d, *ret_size, e);
}

int decompressor_next(struct decompressor *d, const void **ret, size_t *ret_size, struct error *e)
{
        int r = 0;

        if (d->format) {
                *ret = d->out_buffer;
                return decompressor_read(d, d->out_buffer, BUFFER, ret_size, e);
        }
        if (d->in_size == 0)
                r = fill(d, e);
        if (r < 0)
                return r;
        *ret = d->in;
        *ret_size = d->in_size;
        d->in_size = 0;
        return count(d, *ret_size, e);
}

uint64_t decompressor_position(const struct decompressor *d)
{
        return d->read;
}
