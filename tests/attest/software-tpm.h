/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A key that signs statements as a TPM's attestation key does, and any others: what a verifier has to refuse
 * cannot be had from a real TPM. */
#pragma once

#include <openssl/evp.h>
#include <tss2/tss2_tpm2_types.h>

#include "attest/quote.h"

struct software_key {
        EVP_PKEY *pkey;
        TPM2B_PUBLIC area;
        uint8_t public_area[QUOTE_PART_MAX]; /* `area`, marshalled */
        size_t public_size;
};

/* ECC P-256 with ECDSA and SHA-256, or RSA-2048 with RSASSA and SHA-256: an attestation key. */
void software_key_make(struct software_key *key, bool rsa);

/* Marshals `area` again after a test changed it. */
void software_key_update(struct software_key *key);
void software_key_done(struct software_key *key);

struct software_statement {
        TPMS_ATTEST attest;
        uint8_t bytes[QUOTE_PART_MAX], signature[QUOTE_PART_MAX];
        struct statement s; /* points to these */
};

/* A quote over these PCRs with the nonce, unsigned. */
void software_quote(struct software_statement *s, const struct pcr_bank *values, uint32_t pcrs,
                    const void *nonce, size_t nonce_size);

/* A certified counter, unsigned. */
void software_counter(struct software_statement *s, const void *name, size_t name_size, uint64_t value,
                      const void *nonce, size_t nonce_size);

/* Marshals s->attest and signs it. */
void software_sign(struct software_statement *s, const struct software_key *key);

/* Signs s->bytes as they are with this hash (a TPM_ALG_ID). */
void software_sign_bytes(struct software_statement *s, const struct software_key *key, uint16_t hash);
