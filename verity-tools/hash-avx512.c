/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <immintrin.h>
#include <string.h>

#include "hash-engine.h"

#define LANES 16
#define TARGET __attribute__((target("avx512f,avx512bw")))

typedef __m512i vector;

#define add(a, b) _mm512_add_epi32(a, b)
#define ror(a, n) _mm512_ror_epi32(a, n)
#define shr(a, n) _mm512_srli_epi32(a, n)
#define splat(x) _mm512_set1_epi32((int)(x))
/* The truth tables of the functions of three variables. */
#define choose(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0xca)
#define majority(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0xe8)
#define xor3(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0x96)

/* Transposes 16 by 16 words: first inside each 128 bits, four rows at a time, then the 128-bit pieces. */
TARGET static inline void transpose(vector w[static 16])
{
        vector t[16];

#pragma GCC unroll 4
        for (unsigned i = 0; i < 16; i += 4) {
                vector ab_low = _mm512_unpacklo_epi32(w[i], w[i + 1]);
                vector ab_high = _mm512_unpackhi_epi32(w[i], w[i + 1]);
                vector cd_low = _mm512_unpacklo_epi32(w[i + 2], w[i + 3]);
                vector cd_high = _mm512_unpackhi_epi32(w[i + 2], w[i + 3]);

                t[i] = _mm512_unpacklo_epi64(ab_low, cd_low);
                t[i + 1] = _mm512_unpackhi_epi64(ab_low, cd_low);
                t[i + 2] = _mm512_unpacklo_epi64(ab_high, cd_high);
                t[i + 3] = _mm512_unpackhi_epi64(ab_high, cd_high);
        }
#pragma GCC unroll 4
        for (unsigned i = 0; i < 4; i++) {
                vector even_low = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88);
                vector odd_low = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xdd);
                vector even_high = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88);
                vector odd_high = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xdd);

                w[i] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
                w[i + 4] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
                w[i + 8] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
                w[i + 12] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
        }
}

TARGET static inline void load_words(const uint8_t *const *data, size_t offset, vector w[static 16])
{
        const vector swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));

#pragma GCC unroll 16
        for (unsigned i = 0; i < LANES; i++)
                w[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(data[i] + offset), swap);
        transpose(w);
}

#include "hash-lanes.h"

static bool available(void)
{
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

const struct hash_engine hash_avx512 = {"avx512", LANES, available, compress};
