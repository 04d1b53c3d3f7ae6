/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCR banks in memory: what replaying a log gives. Algorithms are TPM_ALG_ID (TCG Algorithm Registry). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PCR_COUNT 24u
#define PCR_DIGEST_MAX 64u

enum {
        PCR_SHA1 = 0x0004,
        PCR_SHA256 = 0x000b,
        PCR_SHA384 = 0x000c,
        PCR_SHA512 = 0x000d,
        PCR_SM3_256 = 0x0012,
};

struct pcr_bank {
        uint16_t algorithm;
        uint16_t size;     /* of each value, in bytes */
        uint32_t extended; /* one bit for each PCR that was extended, or whose start value was set */
        uint8_t value[PCR_COUNT][PCR_DIGEST_MAX];
};

/* The size of the algorithm's digests in bytes; 0 for one that we do not know. */
size_t pcr_digest_size(uint16_t algorithm);

/* "sha256", …; NULL for one that we do not know. The reverse gives 0. */
const char *pcr_algorithm_name(uint16_t algorithm);
uint16_t pcr_algorithm_from_name(const char *name);

/* Hashes size bytes; ret has room for PCR_DIGEST_MAX bytes. -ENOTSUP: unknown algorithm; -EIO: OpenSSL
 * failed. */
int pcr_hash(uint16_t algorithm, const void *data, size_t size, uint8_t *ret);

/* A bank as TPM2_Startup(CLEAR) leaves it: zeros, and ones in 17 to 22 (TCG PC Client Platform TPM Profile,
 * table "PCR Attributes"). -ENOTSUP: unknown algorithm. */
int pcr_bank_start(struct pcr_bank *bank, uint16_t algorithm);

/* TPM2_PCR_Extend: the PCR becomes the hash of its value and the digest, which has the bank's size. -ERANGE:
 * no such PCR. */
int pcr_bank_extend(struct pcr_bank *bank, unsigned pcr, const uint8_t *digest);

/* Sets the value that TPM2_Startup gave PCR 0 from `locality`. */
void pcr_bank_set_locality(struct pcr_bank *bank, uint8_t locality);
