/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of lib/tpm begin with: an authority with its key, and PCR policies that it signs. */
#pragma once

#include <openssl/evp.h>

#include "tpm/authorize.h"

struct authority {
        EVP_PKEY *key;
        char *pem; /* its public key */
        struct tpm_public public_area;
};

/* A new P-256 key. */
void authority_make(struct authority *a);
void authority_done(struct authority *a);

/* Signs p->values of p->pcrs. */
void authority_sign(const struct authority *a, struct tpm_pcr_policy *p);

/* Reads PCRs 7, 11, 12 and 14 of the TPM into a policy and signs it. */
void authority_approve(const struct authority *a, struct tpm *tpm, struct tpm_pcr_policy *ret);

/* Extends a PCR with some digest. */
void extend(struct tpm *tpm, unsigned pcr, const char *text);
