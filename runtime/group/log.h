/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a container writes, line by line in a file: "TIME STREAM TAG TEXT\n", TIME in RFC 3339 with
 * nanoseconds, STREAM stdout or stderr, TAG F for a whole line and P for a part of a longer one (the format
 * of the Kubernetes CRI). The file and one predecessor (".1") hold LOG_SIZE_MAX bytes each; what is older is
 * dropped. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

#define LOG_SIZE_MAX ((uint64_t)2 * 1024 * 1024)
#define LOG_LINE_MAX 16384u

enum log_stream { LOG_STDOUT, LOG_STDERR };

/* One stream's end: the line that is not complete yet. */
struct log_line {
        char text[LOG_LINE_MAX];
        size_t n;
};

/* Takes n bytes of the stream and appends what lines they complete to the file at `path`. */
int log_append(const char *path, enum log_stream stream, struct log_line *line, const char *data, size_t n);

/* Writes what is left without an end of line. */
int log_finish(const char *path, enum log_stream stream, struct log_line *line);

/* Where a reader stands: in which file, how far. All zero: at the beginning of what is kept. */
struct log_position {
        ino_t file;
        uint64_t offset;
};

/* The position before the last `lines` lines of what is kept. */
int log_seek_tail(const char *path, uint64_t lines, struct log_position *ret);

/* Which lines a reader wants, by CLOCK_REALTIME in microseconds: those written at since_us or later, and,
 * until_us not 0, before until_us. */
struct log_filter {
        uint64_t since_us, until_us;
};

/* Reads on from the position: an array of {"time","stream","text"} (text is UTF-8, other bytes replaced), at
 * most about max bytes of the file. filter may be NULL. An empty array: there is no more yet. */
int log_read(const char *path, struct log_position *position, const struct log_filter *filter, size_t max,
             sd_json_variant **ret);
