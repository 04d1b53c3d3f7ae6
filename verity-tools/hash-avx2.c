/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <immintrin.h>
#include <string.h>

#include "hash-engine.h"

#define LANES 8
#define TARGET __attribute__((target("avx2")))

typedef __m256i vector;

#define add(a, b) _mm256_add_epi32(a, b)
#define shr(a, n) _mm256_srli_epi32(a, n)
#define ror(a, n) _mm256_or_si256(shr(a, n), _mm256_slli_epi32(a, 32 - (n)))
#define splat(x) _mm256_set1_epi32((int)(x))
#define xor3(a, b, c) _mm256_xor_si256(_mm256_xor_si256(a, b), c)
#define choose(a, b, c) _mm256_xor_si256(c, _mm256_and_si256(a, _mm256_xor_si256(b, c)))
#define majority(a, b, c) _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)))

/* Transposes 8 by 8 words: first inside each 128 bits, four rows at a time, then the halves. */
TARGET static inline void transpose(vector w[static 8])
{
        vector t[8];

#pragma GCC unroll 2
        for (unsigned i = 0; i < 8; i += 4) {
                vector ab_low = _mm256_unpacklo_epi32(w[i], w[i + 1]);
                vector ab_high = _mm256_unpackhi_epi32(w[i], w[i + 1]);
                vector cd_low = _mm256_unpacklo_epi32(w[i + 2], w[i + 3]);
                vector cd_high = _mm256_unpackhi_epi32(w[i + 2], w[i + 3]);

                t[i] = _mm256_unpacklo_epi64(ab_low, cd_low);
                t[i + 1] = _mm256_unpackhi_epi64(ab_low, cd_low);
                t[i + 2] = _mm256_unpacklo_epi64(ab_high, cd_high);
                t[i + 3] = _mm256_unpackhi_epi64(ab_high, cd_high);
        }
#pragma GCC unroll 4
        for (unsigned i = 0; i < 4; i++) {
                w[i] = _mm256_permute2x128_si256(t[i], t[i + 4], 0x20);
                w[i + 4] = _mm256_permute2x128_si256(t[i], t[i + 4], 0x31);
        }
}

TARGET static inline void load_words(const uint8_t *const *data, size_t offset, vector w[static 16])
{
        const vector swap =
                _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));

#pragma GCC unroll 2
        for (unsigned half = 0; half < 2; half++) {
#pragma GCC unroll 8
                for (unsigned i = 0; i < LANES; i++) {
                        const uint8_t *from = data[i] + offset + (size_t)half * sizeof(vector);

                        w[8 * half + i] = _mm256_shuffle_epi8(_mm256_loadu_si256((const void *)from), swap);
                }
                transpose(w + 8 * half);
        }
}

#include "hash-lanes.h"

static bool available(void)
{
        return __builtin_cpu_supports("avx2");
}

const struct hash_engine hash_avx2 = {"avx2", LANES, available, compress};
