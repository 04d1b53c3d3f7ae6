/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Public areas and policies, as they are reckoned without a TPM. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"

static struct authority owner;

static void start(void)
{
        authority_make(&owner);
}

static void stop(void)
{
        authority_done(&owner);
}

TestSuite(public_area, .init = start, .fini = stop);

static char *pem_of(EVP_PKEY *key)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *text = NULL, *copy;
        long size;

        cr_assert(key && PEM_write_bio_PUBKEY(bio, key) == 1);
        size = BIO_get_mem_data(bio, &text);
        copy = strndup(text, (size_t)size);
        BIO_free(bio);
        EVP_PKEY_free(key);
        return copy;
}

static char *certificate_of(EVP_PKEY *key)
{
        X509 *certificate = X509_new();
        BIO *bio = BIO_new(BIO_s_mem());
        char *text = NULL, *copy;
        long size;

        cr_assert(X509_set_pubkey(certificate, key) == 1 &&
                  X509_gmtime_adj(X509_getm_notBefore(certificate), 0) &&
                  X509_gmtime_adj(X509_getm_notAfter(certificate), 60) &&
                  X509_sign(certificate, key, EVP_sha256()) > 0);
        cr_assert_eq(PEM_write_bio_X509(bio, certificate), 1);
        size = BIO_get_mem_data(bio, &text);
        copy = strndup(text, (size_t)size);
        BIO_free(bio);
        X509_free(certificate);
        return copy;
}

Test(public_area, a_certificate_is_its_key)
{
        char *certificate = certificate_of(owner.key);
        struct tpm_public found;
        EVP_PKEY *key = NULL;
        struct error e = {};

        cr_assert_eq(tpm_public_from_pem(certificate, &found, &e), 0, "%s", e.message);
        cr_expect_arr_eq(found.name, owner.public_area.name, TPM_NAME_SIZE);
        cr_assert_eq(tpm_public_to_key(&found, &key, &e), 0, "%s", e.message);
        cr_expect_eq(EVP_PKEY_eq(key, owner.key), 1);
        EVP_PKEY_free(key);
        free(certificate);
}

static void expect_refused(const char *pem, int expected)
{
        struct tpm_public found;
        struct error e = {};

        cr_expect_eq(tpm_public_from_pem(pem, &found, &e), expected, "%s", e.message);
        cr_expect(e.message[0]);
}

Test(public_area, other_keys_and_texts)
{
        char *p384 = pem_of(EVP_EC_gen("P-384")), *rsa = pem_of(EVP_RSA_gen(2048)),
             *ed = pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
        char *two = NULL;

        expect_refused(p384, -EKEYREJECTED);
        expect_refused(rsa, -EKEYREJECTED);
        expect_refused(ed, -EKEYREJECTED);
        expect_refused("", -EBADMSG);
        expect_refused("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", -EBADMSG);
        cr_assert_gt(asprintf(&two, "%s%s", owner.pem, owner.pem), 0);
        expect_refused(two, -EBADMSG);
        free(two);
        free(p384);
        free(rsa);
        free(ed);
}

/* No prefix, nothing behind it, and no other encoding is taken. */
Test(public_area, parse)
{
        const struct tpm_public *good = &owner.public_area;
        uint8_t bytes[TPM_PUBLIC_MAX + 1] = {};
        struct tpm_public found;
        EVP_PKEY *key = NULL;

        memcpy(bytes, good->bytes, good->size);
        cr_assert_eq(tpm_public_parse(bytes, good->size, &found, NULL), 0);
        cr_expect_arr_eq(found.name, good->name, TPM_NAME_SIZE);
        for (size_t n = 0; n <= sizeof(bytes); n++)
                if (n != good->size)
                        cr_assert_eq(tpm_public_parse(bytes, n, &found, NULL), -EBADMSG, "%zu bytes", n);
        for (size_t i = 0; i < good->size; i++) {
                bytes[i] ^= 1;
                if (tpm_public_parse(bytes, good->size, &found, NULL) == 0)
                        cr_assert(memcmp(found.name, good->name, TPM_NAME_SIZE) != 0, "byte %zu", i);
                bytes[i] ^= 1;
        }
        found = *good;
        found.bytes[found.size - 1] ^= 1;
        cr_expect_eq(tpm_public_to_key(&found, &key, NULL), -EKEYREJECTED,
                     "a point that is not on the curve");
}

Test(public_area, policies)
{
        struct tpm_pcr_policy p = {.pcrs = 1u << 14}, other;
        uint8_t digest[TPM_POLICY_SIZE], second[TPM_POLICY_SIZE];
        struct authority stranger;
        struct error e = {};

        authority_make(&stranger);
        authority_sign(&owner, &p);
        cr_expect_eq(tpm_policy_verify(&owner.public_area, &p, &e), 0, "%s", e.message);
        cr_expect_eq(tpm_policy_verify(&stranger.public_area, &p, NULL), -EKEYREJECTED);
        cr_assert_eq(tpm_policy_pcr(&p, digest, NULL), 0);
        for (size_t i = 0; i < TPM_SIGNATURE_SIZE; i++) {
                other = p;
                other.signature[i] ^= 1;
                cr_assert_eq(tpm_policy_verify(&owner.public_area, &other, NULL), -EKEYREJECTED, "byte %zu",
                             i);
        }
        other = p;
        other.values[14][0] ^= 1;
        cr_expect_eq(tpm_policy_verify(&owner.public_area, &other, NULL), -EKEYREJECTED);
        other = p;
        other.pcrs = 1u << 15;
        cr_assert_eq(tpm_policy_pcr(&other, second, NULL), 0);
        cr_expect_arr_neq(digest, second, sizeof(digest));
        other.pcrs = 0;
        cr_expect_eq(tpm_policy_pcr(&other, digest, NULL), -EINVAL);
        other.pcrs = 1u << TPM_PCRS;
        cr_expect_eq(tpm_policy_pcr(&other, digest, NULL), -EINVAL);
        authority_done(&stranger);
}
