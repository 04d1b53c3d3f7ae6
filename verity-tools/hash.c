/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which engine hashes, and what goes around the block: salt before it, padding behind. */
#include "hash.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "hash-engine.h"
#include "internal.h"

#define OPENSSL "openssl"

#define CACHE_LINE 64
#define PREFETCH ((size_t)1024) /* bytes of a block; more gain nothing */

/* FIPS 180-4, 4.2.2 */
const uint32_t sha256_constants[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* FIPS 180-4, 5.3.3 */
static const uint32_t sha256_begin[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const struct hash_engine *const engines[] = {
#ifdef __x86_64__
        &hash_avx512,
        &hash_sha_ni,
        &hash_avx2,
#endif
};

const char *const hasher_engines[] = {
#ifdef __x86_64__
        "avx512", "sha-ni", "avx2",
#endif
        OPENSSL,  NULL,
};

const char *hasher_engine(const struct hasher *h)
{
        return h->engine ? h->engine->name : OPENSSL;
}

bool hasher_owns_nothing(const struct hasher *h)
{
        return h->engine;
}

/* The shortest of a few runs over 64 KiB, in nanoseconds. */
static int64_t measure(const struct hash_engine *engine)
{
        static const uint8_t block[4096];
        uint32_t state[8 * HASH_LANES_MAX] = {};
        const uint8_t *data[HASH_LANES_MAX];
        int64_t shortest = INT64_MAX;

        for (unsigned l = 0; l < engine->lanes; l++)
                data[l] = block;
        for (unsigned run = 0; run < 8; run++) {
                struct timespec from, to;
                int64_t took;

                (void)clock_gettime(CLOCK_MONOTONIC, &from);
                for (unsigned l = 0; l < HASH_LANES_MAX; l += engine->lanes)
                        engine->compress(state, data, sizeof(block) / SHA256_CHUNK);
                (void)clock_gettime(CLOCK_MONOTONIC, &to);
                took = (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
                if (took < shortest)
                        shortest = took;
        }
        return shortest;
}

/* Which engine is faster differs between processors that have the same instructions, so it is measured: once,
 * in half a millisecond. */
static const struct hash_engine *fastest;

static void find_fastest(void)
{
        int64_t shortest = INT64_MAX;

        for (size_t i = 0; i < ELEMENTSOF(engines); i++) {
                int64_t took = engines[i]->available() ? measure(engines[i]) : INT64_MAX;

                if (took < shortest) {
                        shortest = took;
                        fastest = engines[i];
                }
        }
}

/* NULL is OpenSSL. */
static int choose_engine(const char *name, const struct hash_engine **ret)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        if (!name) {
                (void)pthread_once(&once, find_fastest);
                *ret = fastest;
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(engines); i++)
                if (strcmp(name, engines[i]->name) == 0 && engines[i]->available()) {
                        *ret = engines[i];
                        return 0;
                }
        *ret = NULL;
        return strcmp(name, OPENSSL) == 0 ? 0 : -EOPNOTSUPP;
}

/* The state behind the whole chunks of the salt is the same for all blocks. */
static void begin(struct hasher *h)
{
        uint32_t state[8 * HASH_LANES_MAX];
        const uint8_t *data[HASH_LANES_MAX];
        unsigned lanes = h->engine->lanes;

        for (unsigned l = 0; l < lanes; l++) {
                data[l] = h->salt;
                for (unsigned w = 0; w < 8; w++)
                        state[w * lanes + l] = sha256_begin[w];
        }
        h->salt_rest = h->salt_size % SHA256_CHUNK;
        h->engine->compress(state, data, h->salt_size / SHA256_CHUNK);
        for (unsigned w = 0; w < 8; w++)
                h->state[w] = state[w * lanes];
}

int hasher_new(const char *algorithm, const void *salt, size_t salt_size, const char *engine,
               struct hasher **ret, struct error *e)
{
        _cleanup_(hasher_free_ptr) struct hasher *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;
        h->digest = verity_digest_size(algorithm);
        if (h->digest == 0 || salt_size > sizeof(h->salt))
                return error_set(e, -EINVAL,
                                 "hash: sha256, sha384 or sha512 and a salt of at most %zu bytes expected",
                                 sizeof(h->salt));
        if (salt_size > 0)
                memcpy(h->salt, salt, salt_size);
        h->salt_size = salt_size;
        if (strcmp(algorithm, "sha256") == 0)
                r = choose_engine(engine, &h->engine);
        else
                r = !engine || strcmp(engine, OPENSSL) == 0 ? 0 : -EOPNOTSUPP;
        if (r < 0)
                return error_set(e, r, "%s: not with the engine %s on this processor", algorithm, engine);
        if (h->engine)
                begin(h);
        else
                h->md = EVP_MD_fetch(NULL, algorithm, NULL);
        if (!h->engine && !h->md)
                return error_set(e, -EOPNOTSUPP, "hash algorithm %s: not offered by OpenSSL", algorithm);
        *ret = TAKE_PTR(h);
        return 0;
}

struct hasher *hasher_free(struct hasher *h)
{
        if (h)
                EVP_MD_free(h->md);
        free(h);
        return NULL;
}

/* The chunks at the ends of the message of each lane, and how many. */
struct edges {
        uint8_t bytes[HASH_LANES_MAX][2 * SHA256_CHUNK];
        const uint8_t *data[HASH_LANES_MAX];
        size_t chunks;
};

static void make_head(const struct hasher *h, const uint8_t *const *blocks, struct edges *ret)
{
        size_t rest = h->salt_rest;

        ret->chunks = rest > 0 ? 1 : 0;
        for (unsigned l = 0; rest > 0 && l < h->engine->lanes; l++) {
                memcpy(ret->bytes[l], h->salt + h->salt_size - rest, rest);
                memcpy(ret->bytes[l] + rest, blocks[l], SHA256_CHUNK - rest);
                ret->data[l] = ret->bytes[l];
        }
}

/* As much of the block remains as of the salt: a block is whole chunks. */
static void make_tail(const struct hasher *h, const uint8_t *const *blocks, size_t block_size,
                      struct edges *ret)
{
        const uint64_t bits = htobe64(8 * (uint64_t)(h->salt_size + block_size));
        size_t rest = h->salt_rest, size;

        ret->chunks = rest + 1 + sizeof(bits) <= SHA256_CHUNK ? 1 : 2;
        size = ret->chunks * SHA256_CHUNK;
        for (unsigned l = 0; l < h->engine->lanes; l++) {
                uint8_t *to = ret->bytes[l];

                memcpy(to, blocks[l] + block_size - rest, rest);
                to[rest] = 0x80;
                memset(to + rest + 1, 0, size - rest - 1 - sizeof(bits));
                memcpy(to + size - sizeof(bits), &bits, sizeof(bits));
                ret->data[l] = to;
        }
}

/* One block a lane. */
static void hash_lanes(const struct hasher *h, const uint8_t **blocks, size_t block_size, uint32_t *state)
{
        size_t skip = h->salt_rest > 0 ? SHA256_CHUNK - h->salt_rest : 0;
        unsigned lanes = h->engine->lanes;
        struct edges edges;

        for (unsigned l = 0; l < lanes; l++)
                for (unsigned w = 0; w < 8; w++)
                        state[w * lanes + l] = h->state[w];
        make_head(h, blocks, &edges);
        h->engine->compress(state, edges.data, edges.chunks);
        make_tail(h, blocks, block_size, &edges);
        for (unsigned l = 0; l < lanes; l++)
                blocks[l] += skip;
        h->engine->compress(state, blocks, (block_size - skip) / SHA256_CHUNK);
        h->engine->compress(state, edges.data, edges.chunks);
}

/* The processor fetches ahead only inside of a page, and the next blocks begin pages: they are asked for
 * while those before them are hashed. Into the second cache: in the first one the same parts of all blocks
 * have the same few places. */
static void prefetch(const uint8_t *blocks, size_t n, size_t block_size)
{
        for (size_t i = 0; i < n; i++)
                for (size_t at = 0; at < block_size && at < PREFETCH; at += CACHE_LINE)
                        __builtin_prefetch(blocks + i * block_size + at, 0, 2);
}

int hasher_blocks(const struct hasher *h, const void *blocks, size_t n, size_t block_size, uint8_t *digests,
                  size_t slot)
{
        uint32_t state[8 * HASH_LANES_MAX] __attribute__((aligned(64)));
        const uint8_t *lane[HASH_LANES_MAX], *from = blocks;
        unsigned lanes = h->engine ? h->engine->lanes : 0;

        assert(block_size >= SHA256_CHUNK && block_size % SHA256_CHUNK == 0 && slot >= h->digest);
        if (!h->engine)
                return hash_openssl_blocks(h, blocks, n, block_size, digests, slot);
        for (size_t done = 0; done < n; done += lanes) {
                size_t used = n - done < lanes ? n - done : lanes, left = n - done - used;

                /* Lanes that are left over hash the last block once more. */
                for (size_t l = 0; l < lanes; l++)
                        lane[l] = from + (done + (l < used ? l : used - 1)) * block_size;
                prefetch(from + (done + used) * block_size, left < lanes ? left : lanes, block_size);
                hash_lanes(h, lane, block_size, state);
                for (size_t l = 0; l < used; l++) {
                        uint8_t *to = digests + (done + l) * slot;

                        for (size_t w = 0; w < 8; w++, to += 4)
                                memcpy(to, &(uint32_t){htobe32(state[w * lanes + l])}, 4);
                        memset(to, 0, slot - h->digest);
                }
        }
        return 0;
}
