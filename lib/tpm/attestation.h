/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this TPM says about itself, signed (TPM 2.0 Library, Part 3, section 18; TCG EK Credential
 * Profile 2.5).
 *
 * The attestation key is an ECC P-256 primary under the endorsement hierarchy: restricted, fixedTPM, ECDSA
 * with SHA-256, made anew each time from a fixed template, so that it is always the same key and nothing has
 * to be kept. That it lives in the TPM of an EK certificate is shown by credential activation. */
#pragma once

#include "tpm/policy.h"
#include "tpm/tpm.h"

#define TPM_NONCE_MAX 64u        /* bytes */
#define TPM_ATTEST_MAX 1024u     /* bytes of a marshalled TPMS_ATTEST */
#define TPM_CREDENTIAL_MAX 1024u /* bytes of each part of a credential */
#define TPM_CERTIFICATE_MAX 4096u

/* The endorsement key: ECC P-256 (template L-2) where the TPM holds a certificate of it, else RSA-2048 (L-1)
 * where it holds one of that, else L-2. */
struct tpm_ek {
        struct tpm_public public_area; /* its Name identifies the TPM */
        uint8_t *certificate;          /* X.509, DER, or NULL; not verified */
        size_t certificate_size;
};
int tpm_ek_read(struct tpm *tpm, struct tpm_ek *ret, struct error *e);

/* The Name of the key of template L-2, whatever certificates the TPM holds: an owner can put some there. */
int tpm_ek_name(struct tpm *tpm, uint8_t ret[static TPM_NAME_SIZE], struct error *e);
void tpm_ek_done(struct tpm_ek *ek);

/* The public area of the attestation key. */
int tpm_ak_read(struct tpm *tpm, struct tpm_public *ret, struct error *e);

/* Whether a public area is an attestation key as we make it, whatever its point. -EBADMSG if not. No TPM. */
int tpm_ak_check(const struct tpm_public *ak, struct error *e);

/* A statement: TPMS_ATTEST and TPMT_SIGNATURE as the TPM marshals them. */
struct tpm_statement {
        uint8_t attest[TPM_ATTEST_MAX];
        size_t attest_size;
        uint8_t signature[TPM_PUBLIC_MAX];
        size_t signature_size;
};

struct tpm_quote {
        struct tpm_statement statement;
        uint32_t pcrs; /* bit n: PCR n of the SHA-256 bank */
        uint8_t values[TPM_PCRS][32];
};

/* TPM2_Quote of these PCRs with the values that it is over. nonce: 1 to TPM_NONCE_MAX bytes. -EAGAIN if the
 * PCRs changed each time while they were read. */
int tpm_quote(struct tpm *tpm, const void *nonce, size_t nonce_size, uint32_t pcrs, struct tpm_quote *ret,
              struct error *e);

/* TPM2_NV_Certify of a counter: its Name (tpm_nv_counter_name()) and 8 bytes, big endian. -ENOENT, -EBADMSG,
 * -ENODATA as tpm_nv_read_counter(). */
int tpm_certify_counter(struct tpm *tpm, uint32_t index, const void *nonce, size_t nonce_size,
                        struct tpm_statement *ret, struct error *e);

/* A secret for whoever holds both an endorsement key and the object with a Name (Part 1, section 24). */
struct tpm_credential {
        uint8_t blob[TPM_CREDENTIAL_MAX]; /* a marshalled TPM2B_ID_OBJECT */
        size_t blob_size;
        uint8_t seed[TPM_CREDENTIAL_MAX]; /* a marshalled TPM2B_ENCRYPTED_SECRET */
        size_t seed_size;
};

/* The verifier's side, without a TPM: encrypts 1 to 32 bytes to an endorsement key of template L-1 or L-2.
 * -EKEYREJECTED if ek has another template. */
int tpm_make_credential(const struct tpm_public *ek, const uint8_t name[static TPM_NAME_SIZE],
                        const void *secret, size_t size, struct tpm_credential *ret, struct error *e);

/* The machine's side: the secret, if ek is this TPM's (as tpm_ek_read() gave it) and the credential was made
 * for its attestation key. -EKEYREJECTED if not. *ret_size is at most 32. */
int tpm_activate_credential(struct tpm *tpm, const struct tpm_public *ek, const struct tpm_credential *c,
                            uint8_t ret[static 32], size_t *ret_size, struct error *e);
