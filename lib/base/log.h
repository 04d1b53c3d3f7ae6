/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages of programs. Libraries do not include this header. One line each, on standard error, with the
 * program's name in front, or with a journal level prefix ("<3>") when journald reads it. */
#pragma once

#include "base/error.h"

/* Remembers the name that stands in front of every message; call first in main(). */
void log_setup(const char *program);

/* Prints an error and returns r. */
int log_error(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the message that a library left in e, or the errno's text where it left none. Returns r. */
int log_failure(int r, const struct error *e);

void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Exit status for a program that ends with the negative errno r: 2, "could not be tried". */
#define EXIT_ANSWER_IS_NO 1
#define EXIT_COULD_NOT_TRY 2
