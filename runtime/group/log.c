/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

/* So much is written at once. */
#define BATCH_MAX ((size_t)128 * 1024)

/* A reader takes at least this much, so that the longest line fits. */
#define READ_MIN ((size_t)4 * LOG_LINE_MAX)

static const char *const streams[] = {[LOG_STDOUT] = "stdout", [LOG_STDERR] = "stderr"};

static int previous_name(const char *path, char ret[static PATH_MAX])
{
        return snprintf(ret, PATH_MAX, "%s.1", path) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Lines that go to the file with one write. */
struct batch {
        const char *path;
        enum log_stream stream;
        char stamp[40];
        char *text;
        size_t n, room;
};

/* Of one length up to the year 9999, so that stamps sort as times do. */
static void format_stamp(const struct timespec *t, char ret[static 40])
{
        struct tm tm;
        size_t n = strftime(ret, 40, "%Y-%m-%dT%H:%M:%S", gmtime_r(&t->tv_sec, &tm));

        (void)snprintf(ret + n, 40 - n, ".%09ldZ", t->tv_nsec);
}

static void batch_begin(struct batch *b, const char *path, enum log_stream stream)
{
        struct timespec now;

        *b = (struct batch){.path = path, .stream = stream};
        (void)clock_gettime(CLOCK_REALTIME, &now);
        format_stamp(&now, b->stamp);
}

static void batch_done(struct batch *b)
{
        free(b->text);
}

/* Appends what there is; the file that would grow beyond its bound becomes the previous one. */
static int batch_write(struct batch *b)
{
        char previous[PATH_MAX];
        size_t n = b->n;

        b->n = 0;
        for (int attempt = 0; n > 0; attempt++) {
                _cleanup_close_ int fd = open(b->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
                struct stat st;
                int r;

                if (fd < 0 || fstat(fd, &st) < 0)
                        return -errno;
                if (attempt > 0 || (uint64_t)st.st_size + n <= LOG_SIZE_MAX)
                        return write_full(fd, b->text, n);
                r = previous_name(b->path, previous);
                if (r < 0 || rename(b->path, previous) < 0)
                        return r < 0 ? r : -errno;
        }
        return 0;
}

static int batch_add(struct batch *b, char tag, const char *text, size_t n)
{
        size_t needed = sizeof(b->stamp) + 16 + n;

        if (b->n + needed > BATCH_MAX) {
                int r = batch_write(b);

                if (r < 0)
                        return r;
        }
        if (b->n + needed > b->room) {
                char *bigger = realloc(b->text, BATCH_MAX);

                if (!bigger)
                        return -ENOMEM;
                b->text = bigger;
                b->room = BATCH_MAX;
        }
        b->n += (size_t)snprintf(b->text + b->n, needed, "%s %s %c ", b->stamp, streams[b->stream], tag);
        memcpy(b->text + b->n, text, n);
        b->n += n;
        b->text[b->n++] = '\n';
        return 0;
}

int log_append(const char *path, enum log_stream stream, struct log_line *line, const char *data, size_t n)
{
        _cleanup_(batch_done) struct batch b;

        batch_begin(&b, path, stream);
        for (size_t i = 0; i < n; i++) {
                int r = 0;

                if (data[i] == '\n') {
                        r = batch_add(&b, 'F', line->text, line->n);
                        line->n = 0;
                } else {
                        line->text[line->n++] = data[i];
                        if (line->n == sizeof(line->text)) {
                                r = batch_add(&b, 'P', line->text, line->n);
                                line->n = 0;
                        }
                }
                if (r < 0)
                        return r;
        }
        return batch_write(&b);
}

int log_finish(const char *path, enum log_stream stream, struct log_line *line)
{
        _cleanup_(batch_done) struct batch b;
        int r;

        if (line->n == 0)
                return 0;
        batch_begin(&b, path, stream);
        r = batch_add(&b, 'F', line->text, line->n);
        line->n = 0;
        return r < 0 ? r : batch_write(&b);
}

/* Length of the UTF-8 sequence at p (RFC 3629), 0 if there is none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
        size_t k = p[0] < 0x80                   ? 1
                   : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                   : (p[0] & 0xf0) == 0xe0       ? 3
                   : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                                 : 0;

        if (k == 0 || k > n)
                return 0;
        for (size_t i = 1; i < k; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
            (p[0] == 0xf4 && p[1] > 0x8f))
                return 0;
        return k;
}

/* Replaces what is not UTF-8, and NUL, by U+FFFD. */
static char *to_utf8(const char *text, size_t n)
{
        char *out = malloc(3 * n + 1), *q = out;

        for (size_t i = 0; out && i < n;) {
                size_t k = text[i] ? utf8_length((const unsigned char *)text + i, n - i) : 0;

                if (k == 0) {
                        memcpy(q, "\xef\xbf\xbd", 3);
                        q += 3;
                        i++;
                } else {
                        memcpy(q, text + i, k);
                        q += k;
                        i += k;
                }
        }
        if (out)
                *q = '\0';
        return out;
}

/* A filter as stamps to compare with; "" where it has no bound. */
struct bounds {
        char since[40], until[40];
};

static void make_stamp(uint64_t us, char ret[static 40])
{
        struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

        ret[0] = '\0';
        if (us > 0)
                format_stamp(&t, ret);
}

static bool is_within(const struct bounds *b, const char *stamp)
{
        return strcmp(stamp, b->since) >= 0 && (!b->until[0] || strcmp(stamp, b->until) < 0);
}

/* One line of the file. Lines that are not ours, after a crash in the middle of one, are passed over. */
static int append_entry(sd_json_variant **list, const struct bounds *bounds, const char *line, size_t n)
{
        const char *stamp_end = memchr(line, ' ', n), *stream_end, *text;
        _cleanup_free_ char *utf8 = NULL, *stamp = NULL, *stream = NULL;

        stream_end = stamp_end ? memchr(stamp_end + 1, ' ', n - (size_t)(stamp_end + 1 - line)) : NULL;
        if (!stream_end || stream_end + 3 > line + n || stream_end[2] != ' ')
                return 0;
        text = stream_end + 3;
        stamp = strndup(line, (size_t)(stamp_end - line));
        if (stamp && !is_within(bounds, stamp))
                return 0;
        stream = strndup(stamp_end + 1, (size_t)(stream_end - stamp_end - 1));
        utf8 = to_utf8(text, n - (size_t)(text - line));
        if (!stamp || !stream || !utf8)
                return -ENOMEM;
        return sd_json_variant_append_arraybo(list, SD_JSON_BUILD_PAIR_STRING("time", stamp),
                                              SD_JSON_BUILD_PAIR_STRING("stream", stream),
                                              SD_JSON_BUILD_PAIR_STRING("text", utf8));
}

/* Opens the file that the position is in, or the oldest that there is. 0: none. */
static int open_at(const char *path, struct log_position *position, int *ret_fd, bool *ret_previous)
{
        char previous[PATH_MAX];
        struct stat st;
        int r;

        r = previous_name(path, previous);
        if (r < 0)
                return r;
        for (int oldest = 0; oldest < 2; oldest++)
                for (int i = 0; i < 2; i++) {
                        const char *name = i == 0 ? previous : path;
                        _cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC);

                        if (fd < 0 && errno == ENOENT)
                                continue;
                        if (fd < 0 || fstat(fd, &st) < 0)
                                return -errno;
                        if (!oldest && st.st_ino != position->file)
                                continue;
                        if (oldest)
                                *position = (struct log_position){.file = st.st_ino};
                        *ret_fd = TAKE_FD(fd);
                        *ret_previous = i == 0;
                        return 1;
                }
        return 0;
}

static int read_lines(int fd, struct log_position *position, const struct bounds *bounds, size_t max,
                      sd_json_variant **list)
{
        _cleanup_free_ char *buffer = malloc(max);
        ssize_t n;
        char *p, *end;

        if (!buffer)
                return -ENOMEM;
        n = pread(fd, buffer, max, (off_t)position->offset);
        if (n < 0)
                return -errno;
        for (p = buffer; (end = memchr(p, '\n', (size_t)(buffer + n - p))); p = end + 1) {
                int r = append_entry(list, bounds, p, (size_t)(end - p));

                if (r < 0)
                        return r;
        }
        position->offset += (uint64_t)(p - buffer);
        return p > buffer;
}

int log_read(const char *path, struct log_position *position, const struct log_filter *filter, size_t max,
             sd_json_variant **ret)
{
        struct bounds bounds = {};
        _cleanup_json_ sd_json_variant *list = NULL;
        int r;

        if (filter) {
                make_stamp(filter->since_us, bounds.since);
                make_stamp(filter->until_us, bounds.until);
        }
        if (max < READ_MIN)
                max = READ_MIN;
        r = sd_json_variant_new_array(&list, NULL, 0);
        while (r >= 0) {
                _cleanup_close_ int fd = -EBADF;
                bool previous;
                struct stat st;

                r = open_at(path, position, &fd, &previous);
                if (r <= 0)
                        break;
                r = read_lines(fd, position, &bounds, max, &list);
                /* what the filter left out must not look like the end */
                if (r > 0 && sd_json_variant_elements(list) == 0)
                        continue;
                if (r != 0 || !previous)
                        break;
                /* the older file is read to its end: on with the newer, once it is there */
                if (stat(path, &st) < 0)
                        break;
                *position = (struct log_position){.file = st.st_ino};
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        return 0;
}

/* Where the last lines of one file begin: *lines counts down to 0, or the whole file belongs to them. */
static int seek_in(const char *path, uint64_t *lines, struct log_position *position)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t n;
        int r;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        n = (size_t)st.st_size;
        text = malloc(n + 1);
        if (!text)
                return -ENOMEM;
        r = pread_full(fd, text, n, 0);
        if (r < 0)
                return r;
        *position = (struct log_position){.file = st.st_ino};
        for (; n > 0; n--)
                if (text[n - 1] == '\n' && (*lines)-- == 0) {
                        position->offset = n;
                        return 1;
                }
        return 0;
}

int log_seek_tail(const char *path, uint64_t lines, struct log_position *ret)
{
        char previous[PATH_MAX];
        int r = previous_name(path, previous);

        *ret = (struct log_position){};
        if (r >= 0)
                r = seek_in(path, &lines, ret);
        if (r == 0)
                r = seek_in(previous, &lines, ret);
        return r < 0 ? r : 0;
}
