/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How fast each engine hashes blocks of the project's profile from a buffer that stays in the cache.
 *
 *   bench-hash [SECONDS]      as JSON: {"ENGINE": BYTES_A_SECOND, …}; engines that the processor lacks are
 * not in it bench-hash ENGINE BYTES   hashes so many, on all processors that it may use; how long that takes
 * is the caller's to measure */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verity-tools/hash.h"
#include "verity-tools/internal.h"

#define BLOCK 4096
#define BLOCKS 64
#define THREADS_MAX 64

static const uint8_t salt[32];

static double now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint8_t *make_blocks(void)
{
        uint8_t *blocks;

        if (posix_memalign((void **)&blocks, BLOCK, BLOCKS * BLOCK) != 0)
                exit(2);
        memset(blocks, 0x5a, BLOCKS * BLOCK);
        return blocks;
}

/* The best of many short rounds: what others on the machine take away does not count. */
static double measure(const struct hasher *h, const uint8_t *blocks, double seconds)
{
        static uint8_t digests[BLOCKS * 32];
        double best = 0, end = now() + seconds;

        while (now() < end) {
                double start = now(), speed;

                for (int i = 0; i < 16; i++)
                        if (hasher_blocks(h, blocks, BLOCKS, BLOCK, digests, 32) < 0)
                                return 0;
                speed = 16.0 * BLOCKS * BLOCK / (now() - start);
                if (speed > best)
                        best = speed;
        }
        return best;
}

static int show_speeds(double seconds)
{
        const char *comma = "{";
        uint8_t *blocks = make_blocks();

        for (const char *const *engine = hasher_engines; *engine; engine++) {
                struct hasher *h = NULL;

                if (hasher_new("sha256", salt, sizeof(salt), *engine, &h, NULL) < 0)
                        continue;
                (void)printf("%s\"%s\": %.0f", comma, *engine, measure(h, blocks, seconds));
                comma = ", ";
                (void)hasher_free(h);
        }
        (void)puts("}");
        free(blocks);
        return 0;
}

struct share {
        const struct hasher *hasher;
        uint64_t rounds;
        int result;
};

static void *hash_share(void *userdata)
{
        struct share *s = userdata;
        uint8_t *blocks = make_blocks(), digests[BLOCKS * 32];

        for (uint64_t i = 0; i < s->rounds && s->result >= 0; i++)
                s->result = hasher_blocks(s->hasher, blocks, BLOCKS, BLOCK, digests, 32);
        free(blocks);
        return NULL;
}

static int hash_bytes(const char *engine, uint64_t bytes)
{
        unsigned n = verity_threads(0) < THREADS_MAX ? verity_threads(0) : THREADS_MAX;
        struct share shares[THREADS_MAX];
        pthread_t threads[THREADS_MAX];
        struct hasher *h = NULL;
        int r = 0;

        if (hasher_new("sha256", salt, sizeof(salt), engine, &h, NULL) < 0)
                return 2;
        for (unsigned i = 0; i < n; i++) {
                shares[i] = (struct share){.hasher = h, .rounds = bytes / n / (BLOCKS * BLOCK)};
                if (pthread_create(&threads[i], NULL, hash_share, &shares[i]) != 0)
                        exit(2);
        }
        for (unsigned i = 0; i < n; i++) {
                (void)pthread_join(threads[i], NULL);
                if (shares[i].result < 0)
                        r = 2;
        }
        (void)hasher_free(h);
        return r;
}

int main(int argc, char **argv)
{
        if (argc == 3)
                return hash_bytes(argv[1], strtoull(argv[2], NULL, 10));
        return show_speeds(argc > 1 ? strtod(argv[1], NULL) : 0.5);
}
