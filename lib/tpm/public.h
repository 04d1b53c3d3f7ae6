/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Public areas of TPM objects and their Names, without a TPM (TPM 2.0 Library, Part 1, section 16). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TPM_NAME_SIZE 34u /* bytes of a Name: the algorithm, then SHA-256 of a public area */
#define TPM_PUBLIC_MAX 512u

/* A public area as a marshalled TPM2B_PUBLIC, and its Name. */
struct tpm_public {
        uint8_t bytes[TPM_PUBLIC_MAX];
        size_t size;
        uint8_t name[TPM_NAME_SIZE];
};

/* The public area under which a TPM checks signatures of a key, from the one certificate or public key in a
 * PEM text: ECC P-256, nameAlg SHA-256, sign, decrypt and userWithAuth, no scheme; tpm2_loadexternal and
 * systemd make the same of a key. -EBADMSG: not one PEM certificate or key; -EKEYREJECTED: not on P-256. */
int tpm_public_from_pem(const char *pem, struct tpm_public *ret, struct error *e);

/* Takes a marshalled TPM2B_PUBLIC with nameAlg SHA-256, in the one encoding that it has, and nothing behind
 * it. -EBADMSG for anything else. */
int tpm_public_parse(const void *bytes, size_t size, struct tpm_public *ret, struct error *e);

/* The key as OpenSSL takes it: ECC P-256 or RSA-2048. The caller frees *ret. -EKEYREJECTED: another key, or a
 * point that is not on the curve. */
struct evp_pkey_st;
int tpm_public_to_key(const struct tpm_public *p, struct evp_pkey_st **ret, struct error *e);
