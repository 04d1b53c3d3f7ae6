/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the engines of hash.h share. */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>

#include "verity-tools/hash.h"
#include "verity-tools/verity.h"

#define SHA256_CHUNK 64
#define HASH_LANES_MAX 16

/* Compresses several messages at once, one a lane. */
struct hash_engine {
        const char *name;
        unsigned lanes;
        bool (*available)(void);

        /* Compresses `chunks` times 64 bytes from each data[lane] into the states: word w of a lane is
         * state[w * lanes + lane]. */
        void (*compress)(uint32_t *state, const uint8_t *const *data, size_t chunks);
};

extern const struct hash_engine hash_avx512, hash_avx2, hash_sha_ni;
extern const uint32_t sha256_constants[64];

struct hasher {
        size_t digest; /* bytes */
        uint8_t salt[VERITY_SALT_MAX];
        size_t salt_size;
        const struct hash_engine *engine; /* NULL: OpenSSL */
        EVP_MD *md;                       /* of OpenSSL */
        uint32_t state[8];                /* after the whole chunks of the salt */
        size_t salt_rest;                 /* bytes of salt behind those */
};

int hash_openssl_blocks(const struct hasher *h, const uint8_t *blocks, size_t n, size_t block_size,
                        uint8_t *digests, size_t slot);
