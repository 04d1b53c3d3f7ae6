/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Digests of many blocks at once, as dm-verity takes them: of the salt, then the block (hash type 1). SHA-256
 * goes through the fastest engine of this processor, the other algorithms through OpenSSL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Does not change once made; threads may share it. */
struct hasher;

/* algorithm: "sha256", "sha384" or "sha512". salt: at most VERITY_SALT_MAX bytes, copied. engine: the name of
 * one of hasher_engines, or NULL for the fastest. -EOPNOTSUPP: this processor, or OpenSSL, does not have it.
 */
int hasher_new(const char *algorithm, const void *salt, size_t salt_size, const char *engine,
               struct hasher **ret, struct error *e);
struct hasher *hasher_free(struct hasher *h);
DEFINE_CLEANUP(struct hasher *, hasher_free)

/* Digests of n blocks of block_size bytes (a multiple of 64) that lie one behind the other. They are written
 * one every `slot` bytes; what a digest leaves of its slot is set to zero. -ENOMEM or -EIO if OpenSSL fails.
 */
int hasher_blocks(const struct hasher *h, const void *blocks, size_t n, size_t block_size, uint8_t *digests,
                  size_t slot);

/* Whether hasher_blocks() holds nothing that would be lost if a signal ended it. */
bool hasher_owns_nothing(const struct hasher *h);

/* The name of the engine in use. */
const char *hasher_engine(const struct hasher *h);

/* The names of all engines for SHA-256, NULL-terminated. Not each of them runs on every
 * processor. */
extern const char *const hasher_engines[];
