/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes at random that are the same in every run. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The next number of a sequence that is the same in every run (xorshift64*); the state is any number but 0.
 */
uint64_t random_next(uint64_t *state);

/* Changes n bytes of data at random: one to four bits, bytes or 32-bit numbers. */
void mutate(uint8_t *data, size_t n, uint64_t *state);
