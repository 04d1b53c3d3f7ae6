/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench-hash [SECONDS]: how fast each engine hashes blocks of the project's profile from a buffer that stays
 * in the cache, as JSON: {"ENGINE": BYTES_A_SECOND, …}. Engines that the processor lacks
 * are not in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verity-tools/hash.h"

#define BLOCK 4096
#define BLOCKS 64

static double now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
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

int main(int argc, char **argv)
{
        static const uint8_t salt[32];
        double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.5;
        const char *comma = "{";
        uint8_t *blocks;

        if (posix_memalign((void **)&blocks, BLOCK, BLOCKS * BLOCK) != 0)
                return 2;
        memset(blocks, 0x5a, BLOCKS * BLOCK);
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
