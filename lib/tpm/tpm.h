/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TPM through ESYS (TCG TSS 2.0 Enhanced System API).
 *
 * Every command that carries a secret or a decision, also each PCR_Extend and PCR_Read, runs in an HMAC
 * session salted with the storage root key (ECC P-256, TCG's template, made anew as a primary), with
 * AES-128-CFB over the first parameter where that is one that can be encrypted. So who listens on the bus
 * learns no secret, and who changes a command or the answer to it is noticed (-EPROTO). Not protected are: an
 * error, which carries no HMAC; and against somebody who has stood between since power-on and answers with a
 * storage root key of his own.
 *
 * After an error the next call may be tried at once; after -ENODEV, -EPROTO and -ENOMEM the TPM has to be
 * opened anew. A TPM that does not answer blocks the caller: who must go on sets a timer. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct tpm;

#define TPM_DIGEST_MAX 64u
#define TPM_BANKS_MAX 4u

/* One digest of an event for one PCR bank. */
struct tpm_digest {
        uint16_t algorithm; /* TPM_ALG_ID */
        uint16_t size;      /* bytes */
        uint8_t bytes[TPM_DIGEST_MAX];
};

struct tpm_digests {
        struct tpm_digest digest[TPM_BANKS_MAX];
        size_t n;
};

/* Opens the TPM behind a TCTI configuration such as "device:/dev/tpmrm0" or "swtpm:path=/…". The caller frees
 * *ret. -ENOTSUP when no PCR bank with SHA-256 is active. */
int tpm_open(const char *tcti, struct tpm **ret, struct error *e);
struct tpm *tpm_free(struct tpm *tpm);
DEFINE_CLEANUP(struct tpm *, tpm_free)

/* Hashes data of size bytes once for every active PCR bank that we know (SHA-1, SHA-256, SHA-384, SHA-512).
 */
int tpm_hash(struct tpm *tpm, const void *data, size_t size, struct tpm_digests *ret, struct error *e);

/* TPM2_PCR_Extend of one PCR in all those banks. */
int tpm_pcr_extend(struct tpm *tpm, unsigned pcr, const struct tpm_digests *digests, struct error *e);

/* TPM2_PCR_Read of the SHA-256 bank: one PCR, or those in a mask (bit n: PCR n, up to 23), each to ret[n]. */
int tpm_pcrs_read(struct tpm *tpm, uint32_t pcrs, uint8_t ret[][32], struct error *e);
int tpm_pcr_read(struct tpm *tpm, unsigned pcr, uint8_t ret[static 32], struct error *e);
