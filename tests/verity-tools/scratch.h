/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory of its own for each test, and the little that the tests of this room share. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "trust/trust.h"

/* Criterion's init and fini: enters a new directory below /tmp; removes it. */
void scratch_enter(void);
void scratch_leave(void);

/* Writes a file, missing directories included. */
void put(const char *path, const void *data, size_t size);
void put_text(const char *path, const char *text);

/* Runs a shell line; the test ends if its status is not 0. `shell_output` returns what it printed, without
 * the last newline. */
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *shell_output(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reads a whole file. To be freed. */
char *slurp(const char *path, size_t *ret_size);

/* The same bytes for ever. */
void fill_pattern(uint8_t *data, size_t size);

/* Makes NAME.key and NAME.pem, and opens them. */
struct trust_signer *make_signer(const char *name, enum trust_purpose purpose);
