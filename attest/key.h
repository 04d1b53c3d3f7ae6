/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What quote.c needs to know of a key. */
#pragma once

#include <openssl/evp.h>

#include "attest/quote.h"

struct attestation_key {
        EVP_PKEY *pkey;
        uint16_t scheme; /* TPM2_ALG_RSASSA or TPM2_ALG_ECDSA */
        uint16_t hash;   /* of the scheme; 0: any, which no restricted key has */
        uint8_t name[TPM_NAME_SIZE];
        bool has_name;
        uint8_t fingerprint[32];
};
