/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public areas of the keys that we have made, as templates. */
#include <string.h>

#include "tpm/internal.h"

/* PolicySecret(TPM_RH_ENDORSEMENT): PolicyA of the TCG EK Credential Profile. */
#define EK_POLICY                                                                                            \
        {.size = 32, .buffer = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,            \
                                0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,            \
                                0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa}}

#define MADE_HERE (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN)
#define STORAGE (TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)
#define AES_128_CFB {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB}
#define P256_STORAGE                                                                                         \
        {.symmetric = AES_128_CFB,                                                                           \
         .scheme.scheme = TPM2_ALG_NULL,                                                                     \
         .curveID = TPM2_ECC_NIST_P256,                                                                      \
         .kdf.scheme = TPM2_ALG_NULL}

/* TCG TPM v2.0 Provisioning Guidance, 7.5.1: as L-2, with userWithAuth and noDA and without a policy. */
const TPM2B_PUBLIC tpm_template_srk = {
        .publicArea = {.type = TPM2_ALG_ECC,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = MADE_HERE | STORAGE | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
                       .parameters.eccDetail = P256_STORAGE,
                       .unique.ecc = {.x.size = 32, .y.size = 32}}};

/* Template L-2 (TCG EK Credential Profile 2.5, B.3.4). */
const TPM2B_PUBLIC tpm_template_ek_ecc = {
        .publicArea = {.type = TPM2_ALG_ECC,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = MADE_HERE | STORAGE | TPMA_OBJECT_ADMINWITHPOLICY,
                       .authPolicy = EK_POLICY,
                       .parameters.eccDetail = P256_STORAGE,
                       .unique.ecc = {.x.size = 32, .y.size = 32}}};

/* Template L-1 (TCG EK Credential Profile 2.5, B.3.3). */
const TPM2B_PUBLIC tpm_template_ek_rsa = {
        .publicArea = {.type = TPM2_ALG_RSA,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = MADE_HERE | STORAGE | TPMA_OBJECT_ADMINWITHPOLICY,
                       .authPolicy = EK_POLICY,
                       .parameters.rsaDetail = {.symmetric = AES_128_CFB,
                                                .scheme.scheme = TPM2_ALG_NULL,
                                                .keyBits = 2048},
                       .unique.rsa.size = 256}};

/* `unique` tells our key from those that others make from the same attributes. */
const TPM2B_PUBLIC tpm_template_ak = {
        .publicArea = {
                .type = TPM2_ALG_ECC,
                .nameAlg = TPM2_ALG_SHA256,
                .objectAttributes = MADE_HERE | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT |
                                    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
                .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                         .scheme = {.scheme = TPM2_ALG_ECDSA,
                                                    .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
                                         .curveID = TPM2_ECC_NIST_P256,
                                         .kdf.scheme = TPM2_ALG_NULL},
                .unique.ecc = {.x = {.size = 32, .buffer = "holdfast attestation key"}, .y.size = 32}}};

int tpm_template_sealed(const struct tpm_public *authority, TPM2B_PUBLIC *ret, struct error *e)
{
        TPM2B_PUBLIC p = {.publicArea = {.type = TPM2_ALG_KEYEDHASH,
                                         .nameAlg = TPM2_ALG_SHA256,
                                         .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                                             TPMA_OBJECT_NODA,
                                         .authPolicy.size = TPM_POLICY_SIZE,
                                         .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
        int r;

        r = tpm_policy_authorize(authority, p.publicArea.authPolicy.buffer, e);
        if (r < 0)
                return r;
        *ret = p;
        return 0;
}

bool tpm_same_template(const TPM2B_PUBLIC *a, const TPM2B_PUBLIC *b)
{
        TPM2B_PUBLIC x = *a, y = *b;
        struct tpm_public p, q;

        if (x.publicArea.type != y.publicArea.type)
                return false;
        memset(&x.publicArea.unique, 0, sizeof(x.publicArea.unique));
        memset(&y.publicArea.unique, 0, sizeof(y.publicArea.unique));
        return tpm_public_marshal(&x, &p, NULL) == 0 && tpm_public_marshal(&y, &q, NULL) == 0 &&
               p.size == q.size && memcmp(p.bytes, q.bytes, p.size) == 0;
}
