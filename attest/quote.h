/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a TPM says and signs (TPM 2.0 Library, Part 2, section 10.12, and Part 3, section 18): quotes and
 * certified NV contents.
 *
 * A verified statement is an opaque type that only the checking functions make: whoever holds one knows that
 * key, magic, type, scheme, nonce, PCR selection and PCR values were checked. Only RSASSA and ECDSA on P-256,
 * P-384 and P-521, with SHA-256 or longer, are taken. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/pcr.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "tpm/public.h"

#define QUOTE_NONCE_MIN 8u
#define QUOTE_NONCE_MAX 64u
#define QUOTE_PART_MAX 2048u /* bytes of a statement, of a signature, of a public area */

/* --- the key --- */

struct attestation_key;

/* From a marshalled TPM2B_PUBLIC as tpm_public_parse() takes it. It has to be what can only sign what the TPM
 * itself made: sign, restricted, fixedTPM, fixedParent, sensitiveDataOrigin, not decrypt. -EBADMSG: not a
 * public area; -EKEYREJECTED: another kind of key. That the key is in a real TPM, and whose, is for the
 * caller to know: its Name was proven by credential activation, or somebody trusted certified it. */
int attestation_key_from_public(const void *public_area, size_t size, struct attestation_key **ret,
                                struct error *e);

/* From a SubjectPublicKeyInfo (DER): nothing says that it is a TPM's, so whoever uses it has to know that it
 * is. It has no Name. */
int attestation_key_from_spki(const void *der, size_t size, struct attestation_key **ret, struct error *e);
struct attestation_key *attestation_key_free(struct attestation_key *key);
DEFINE_CLEANUP(struct attestation_key *, attestation_key_free)

/* The TPM Name, TPM_NAME_SIZE bytes; NULL if there is none. */
const uint8_t *attestation_key_name(const struct attestation_key *key);

/* SHA-256 of the SubjectPublicKeyInfo in DER. */
const uint8_t *attestation_key_fingerprint(const struct attestation_key *key);

/* --- statements --- */

/* As it came: a marshalled TPMS_ATTEST and TPMT_SIGNATURE. */
struct statement {
        const void *attest, *signature;
        size_t attest_size, signature_size;
};

/* The TPM's clock when it signed (TPMS_CLOCK_INFO). */
struct statement_clock {
        uint64_t clock; /* milliseconds that the TPM was powered */
        uint32_t resets, restarts;
        bool safe; /* the clock never showed this or a later time before */
        uint64_t firmware_version;
};

/* What is demanded of a statement. */
struct statement_demand {
        const void *nonce; /* extraData, byte for byte */
        size_t nonce_size; /* QUOTE_NONCE_MIN to QUOTE_NONCE_MAX */
        bool allow_sha1;   /* for old machines alone: SHA-1 signatures are forgeable */
};

struct verified_quote;

/* TPM2_Quote over exactly the PCRs of the bank `algorithm` whose bits are set, with these values
 * (bank->extended is not looked at). -EINVAL: the demand is wrong; -EBADMSG: not a quote, or something stands
 * behind it; -EKEYREJECTED: scheme or signature; -ESTALE: another nonce; -EPERM: another selection, or other
 * values. The message names the binding. */
int quote_verify(const struct statement *s, const struct attestation_key *key,
                 const struct statement_demand *demand, const struct pcr_bank *values, uint32_t pcrs,
                 struct verified_quote **ret, struct error *e);
struct verified_quote *verified_quote_free(struct verified_quote *q);
DEFINE_CLEANUP(struct verified_quote *, verified_quote_free)

/* The quoted value of a PCR; NULL for one that was not quoted. */
const uint8_t *verified_quote_pcr(const struct verified_quote *q, unsigned pcr);
uint16_t verified_quote_algorithm(const struct verified_quote *q);
uint32_t verified_quote_pcrs(const struct verified_quote *q);
const struct statement_clock *verified_quote_clock(const struct verified_quote *q);

/* TPM2_NV_Certify of all 8 bytes of a counter whose index has this Name. Errors as quote_verify(); -EPERM:
 * another index or another part of it. */
int counter_verify(const struct statement *s, const struct attestation_key *key,
                   const struct statement_demand *demand, const void *name, size_t name_size, uint64_t *ret,
                   struct statement_clock *ret_clock, struct error *e);
