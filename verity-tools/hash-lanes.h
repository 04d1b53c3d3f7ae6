/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SHA-256 (FIPS 180-4) of one message a lane of a vector. Included by an engine that has defined: LANES; the
 * vector type `vector`; TARGET, the attribute of its functions; add(), ror(), shr(), choose(), majority(),
 * xor3(), splat(); and load_words(), which gives word i of each lane's next chunk in w[i]. */
#pragma once

#define SIGMA(x, a, b, c) xor3(ror(x, a), ror(x, b), ror(x, c))
#define sigma(x, a, b, c) xor3(ror(x, a), ror(x, b), shr(x, c))

/* The working variables do not move: in round i variable number n (0 is a) is v[(n - i) mod 8]. */
#define V(n, i) v[((n) - (i)) & 7]

#define ROUND(i)                                                                                             \
        do {                                                                                                 \
                vector t1_ = add(add(V(7, i), SIGMA(V(4, i), 6, 11, 25)),                                    \
                                 add(choose(V(4, i), V(5, i), V(6, i)), add(splat(k[i]), w[i])));            \
                V(3, i) = add(V(3, i), t1_);                                                                 \
                V(7, i) = add(t1_, add(SIGMA(V(0, i), 2, 13, 22), majority(V(0, i), V(1, i), V(2, i))));     \
        } while (0)

#define EXPAND(i)                                                                                            \
        w[i] = add(add(w[i], sigma(w[((i) + 1) & 15], 7, 18, 3)),                                            \
                   add(w[((i) + 9) & 15], sigma(w[((i) + 14) & 15], 17, 19, 10)))

#define EXPAND_AND_ROUND(i)                                                                                  \
        do {                                                                                                 \
                EXPAND(i);                                                                                   \
                ROUND(i);                                                                                    \
        } while (0)

#define FOR_16(M)                                                                                            \
        M(0);                                                                                                \
        M(1);                                                                                                \
        M(2);                                                                                                \
        M(3);                                                                                                \
        M(4);                                                                                                \
        M(5);                                                                                                \
        M(6);                                                                                                \
        M(7);                                                                                                \
        M(8);                                                                                                \
        M(9);                                                                                                \
        M(10);                                                                                               \
        M(11);                                                                                               \
        M(12);                                                                                               \
        M(13);                                                                                               \
        M(14);                                                                                               \
        M(15)

TARGET static void compress(uint32_t *state, const uint8_t *const *data, size_t chunks)
{
        vector v[8], before[8], w[16];

        memcpy(v, state, sizeof(v));
        for (size_t chunk = 0; chunk < chunks; chunk++) {
                const uint32_t *k = sha256_constants;

                memcpy(before, v, sizeof(v));
                load_words(data, chunk * SHA256_CHUNK, w);
                FOR_16(ROUND);
                for (k += 16; k < sha256_constants + 64; k += 16) {
                        FOR_16(EXPAND_AND_ROUND);
                }
                for (unsigned i = 0; i < 8; i++)
                        v[i] = add(v[i], before[i]);
        }
        memcpy(state, v, sizeof(v));
}
