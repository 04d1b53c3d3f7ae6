/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of this library share. */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <tss2/tss2_esys.h>

#include "tpm/authorize.h"
#include "tpm/tpm.h"

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

struct tpm {
        TSS2_TCTI_CONTEXT *tcti;
        ESYS_CONTEXT *esys;
        TPMI_ALG_HASH bank[TPM_BANKS_MAX];
        size_t n_banks;
        ESYS_TR session; /* made when first needed; ESYS_TR_NONE: not there */
};

/* The errno of a response code. */
int tpm_rc_to_errno(TSS2_RC rc);

/* Sets the message, drops the session (who knows in which state it is) and returns the errno of rc. */
int tpm_error(struct tpm *tpm, TSS2_RC rc, const char *what, struct error *e);

/* Puts the salted session of tpm.h into *ret, with TPMA_SESSION_… for the next command. */
int tpm_session(struct tpm *tpm, TPMA_SESSION attributes, ESYS_TR *ret, struct error *e);

/* The storage root key; the caller flushes it. */
int tpm_srk(struct tpm *tpm, ESYS_TR *ret, struct error *e);

/* A salted policy session; the caller flushes it. */
int tpm_policy_session(struct tpm *tpm, TPMA_SESSION attributes, ESYS_TR *ret, struct error *e);

/* The same, satisfied with what the authority signed for the PCRs as they are. */
int tpm_authorize(struct tpm *tpm, const struct tpm_authorization *a, TPMA_SESSION attributes, ESYS_TR *ret,
                  struct error *e);

/* Drops a transient object or session; *handle becomes ESYS_TR_NONE. */
void tpm_flush(struct tpm *tpm, ESYS_TR *handle);

/* A primary key from a template; the caller flushes it. ret_public may be NULL. */
int tpm_create_primary(struct tpm *tpm, ESYS_TR hierarchy, const TPM2B_PUBLIC *template, ESYS_TR *ret,
                       struct tpm_public *ret_public, struct error *e);

/* Opens an NV index whose Name is that of `expected` (the attribute TPMA_NV_WRITTEN aside); the caller closes
 * it with Esys_TR_Close(). -ENOENT, -EBADMSG as in nv.h; -ENODATA if it was never written and `written` is
 * set. */
int tpm_nv_open(struct tpm *tpm, const TPMS_NV_PUBLIC *expected, bool written, ESYS_TR *ret, struct error *e);
TPMS_NV_PUBLIC tpm_nv_counter_public(uint32_t index);

/* The attestation key; the caller flushes it. ret_public may be NULL. */
int tpm_ak_create(struct tpm *tpm, ESYS_TR *ret, struct tpm_public *ret_public, struct error *e);

/* The selection of PCRs in the SHA-256 bank (Part 2, 10.6.2). */
TPML_PCR_SELECTION tpm_pcr_selection(uint32_t pcrs);

/* pcrDigest over the PCRs selected, ascending. */
int tpm_pcr_digest(uint32_t pcrs, const uint8_t values[][32], uint8_t ret[static 32], struct error *e);

int tpm_sha256(const void *data, size_t size, uint8_t ret[static 32], struct error *e);

/* --- cryptography --- */

/* For Esys_SetCryptoCallbacks(): sessions with ECC P-256, AES-128-CFB and the hashes of tpm_digest(). */
extern ESYS_CRYPTO_CALLBACKS tpm_crypto;

/* SHA-1, SHA-256, SHA-384 or SHA-512; NULL for any other. */
const EVP_MD *tpm_digest(TPM2_ALG_ID algorithm);

/* A coordinate (OSSL_PKEY_PARAM_EC_PUB_X or _Y) of a point on P-256, 32 bytes. */
bool tpm_coordinate(const EVP_PKEY *key, const char *name, TPM2B_ECC_PARAMETER *ret);

/* ECDH on P-256 with a key made for this once: the x that is shared, and its own point (Part 1, C.6.1). */
bool tpm_ecdh(EVP_PKEY *peer, TPM2B_ECC_PARAMETER *ret_shared, TPMS_ECC_POINT *ret_own);

/* --- templates --- */

extern const TPM2B_PUBLIC tpm_template_srk, tpm_template_ek_ecc, tpm_template_ek_rsa, tpm_template_ak;

/* A sealed object under the authority's policy. */
int tpm_template_sealed(const struct tpm_public *authority, TPM2B_PUBLIC *ret, struct error *e);

/* Whether two public areas agree in all but `unique`, the key itself. */
bool tpm_same_template(const TPM2B_PUBLIC *a, const TPM2B_PUBLIC *b);

int tpm_public_marshal(const TPM2B_PUBLIC *p, struct tpm_public *ret, struct error *e);
int tpm_public_unmarshal(const struct tpm_public *p, TPM2B_PUBLIC *ret, struct error *e);
