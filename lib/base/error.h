/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What went wrong, in one line: file, field, expected and found. Libraries fill it, the program prints it
 * once.
 *
 * Convention: a function that can fail returns a negative errno and takes a `struct error *e` last. It sets
 * the message at the place that knows the most; callers add context in front with error_prefix(). `e` may be
 * NULL. On success `e` is untouched. */
#pragma once

#include <stdarg.h>

struct error {
        char message[768];
};

/* Sets the message (truncated if longer) and returns r, so that a caller writes `return error_set(e, -EINVAL,
 * …)`. */
int error_set(struct error *e, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As error_set(), and appends ": " and the text of the errno r stands for. */
int error_errno(struct error *e, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "TEXT: " in front of the message that is there. Returns r. */
int error_prefix(struct error *e, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The analyzer sees one file at a time: here it learns that these return r. */
#ifdef __clang_analyzer__
#define error_set(e, r, ...) ((void)error_set((e), (r), __VA_ARGS__), (r))
#define error_errno(e, r, ...) ((void)error_errno((e), (r), __VA_ARGS__), (r))
#define error_prefix(e, r, ...) ((void)error_prefix((e), (r), __VA_ARGS__), (r))
#endif
