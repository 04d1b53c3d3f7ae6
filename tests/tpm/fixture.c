/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <string.h>

void authority_make(struct authority *a)
{
        BIO *bio = BIO_new(BIO_s_mem());
        struct error e = {};
        char *text = NULL;
        long size;

        a->key = EVP_EC_gen("P-256");
        cr_assert(a->key && bio);
        cr_assert_eq(PEM_write_bio_PUBKEY(bio, a->key), 1);
        size = BIO_get_mem_data(bio, &text);
        a->pem = strndup(text, (size_t)size);
        BIO_free(bio);
        cr_assert_eq(tpm_public_from_pem(a->pem, &a->public_area, &e), 0, "%s", e.message);
}

void authority_done(struct authority *a)
{
        EVP_PKEY_free(a->key);
        free(a->pem);
}

void authority_sign(const struct authority *a, struct tpm_pcr_policy *p)
{
        uint8_t message[TPM_POLICY_TO_SIGN_SIZE], der[80];
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        size_t size = sizeof(der);
        const uint8_t *at = der;
        struct error e = {};
        ECDSA_SIG *pair;

        cr_assert_eq(tpm_policy_to_sign(p, message, &e), 0, "%s", e.message);
        cr_assert_eq(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, a->key), 1);
        cr_assert_eq(EVP_DigestSign(context, der, &size, message, sizeof(message)), 1);
        pair = d2i_ECDSA_SIG(NULL, &at, (long)size);
        cr_assert(pair);
        cr_assert_eq(BN_bn2binpad(ECDSA_SIG_get0_r(pair), p->signature, 32), 32);
        cr_assert_eq(BN_bn2binpad(ECDSA_SIG_get0_s(pair), p->signature + 32, 32), 32);
        ECDSA_SIG_free(pair);
        EVP_MD_CTX_free(context);
}

void authority_approve(const struct authority *a, struct tpm *tpm, struct tpm_pcr_policy *ret)
{
        struct error e = {};

        *ret = (struct tpm_pcr_policy){.pcrs = 1u << 7 | 1u << 11 | 1u << 12 | 1u << 14};
        cr_assert_eq(tpm_pcrs_read(tpm, ret->pcrs, ret->values, &e), 0, "%s", e.message);
        authority_sign(a, ret);
}

void extend(struct tpm *tpm, unsigned pcr, const char *text)
{
        struct tpm_digests digests;
        struct error e = {};

        cr_assert_eq(tpm_hash(tpm, text, strlen(text), &digests, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_pcr_extend(tpm, pcr, &digests, &e), 0, "%s", e.message);
}
