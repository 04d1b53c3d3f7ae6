/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TPM2_MakeCredential without a TPM (TPM 2.0 Library, Part 1, section 24 and annexes B.10.3 and C.6.1). All
 * keys here are one block of SHA-256 long, so KDFa and KDFe (Part 1, 11.4.10) are one round. */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm/attestation.h"
#include "tpm/internal.h"

DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)

#define SEED_SIZE 32u
#define SECRET_MAX 32u

static int crypto_error(const char *what, struct error *e)
{
        ERR_clear_error();
        return error_set(e, -EIO, "credential: %s failed", what);
}

static void put_be32(uint8_t *p, uint32_t value)
{
        for (unsigned i = 0; i < 4; i++)
                p[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* KDFa with SHA-256, up to 256 bits: HMAC over counter, label with its NUL, context and number of bits. */
static int kdfa(const uint8_t seed[static SEED_SIZE], const char *label, const void *context,
                size_t context_size, uint32_t bits, uint8_t ret[static 32], struct error *e)
{
        size_t label_size = strlen(label) + 1, n = 4;
        uint8_t message[128];

        put_be32(message, 1);
        memcpy(message + n, label, label_size);
        n += label_size;
        if (context_size > 0)
                memcpy(message + n, context, context_size);
        n += context_size;
        put_be32(message + n, bits);
        n += 4;
        return HMAC(EVP_sha256(), seed, SEED_SIZE, message, n, ret, NULL) ? 0 : crypto_error("HMAC", e);
}

/* --- the seed --- */

static int encrypt_rsa(EVP_PKEY *ek, const uint8_t seed[static SEED_SIZE], TPM2B_ENCRYPTED_SECRET *ret,
                       struct error *e)
{
        _cleanup_(EVP_PKEY_CTX_free_ptr) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(ek, NULL);
        char *label = OPENSSL_strdup("IDENTITY");
        size_t size = sizeof(ret->secret);
        bool ok;

        if (!context || !label || EVP_PKEY_encrypt_init(context) != 1 ||
            EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) != 1 ||
            EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) != 1 ||
            EVP_PKEY_CTX_set0_rsa_oaep_label(context, label, sizeof("IDENTITY")) != 1) {
                OPENSSL_free(label);
                return crypto_error("RSAES-OAEP", e);
        }
        ok = EVP_PKEY_encrypt(context, ret->secret, &size, seed, SEED_SIZE) ==
             1; /* the label is the context's */
        if (!ok)
                return crypto_error("RSAES-OAEP", e);
        ret->size = (uint16_t)size;
        return 0;
}

/* ECDH with a key of one use: KDFe over counter, shared x, label with its NUL, and both keys' x. */
static int agree_ec(EVP_PKEY *ek, uint8_t seed[static SEED_SIZE], TPM2B_ENCRYPTED_SECRET *ret,
                    struct error *e)
{
        uint8_t message[4 + 32 + sizeof("IDENTITY") + 64], *both_x = message + 36 + sizeof("IDENTITY");
        TPM2B_ECC_PARAMETER shared, ek_x;
        TPMS_ECC_POINT own;
        size_t size = 0;
        int r;

        if (!tpm_ecdh(ek, &shared, &own) || !tpm_coordinate(ek, OSSL_PKEY_PARAM_EC_PUB_X, &ek_x))
                return crypto_error("ECDH", e);
        put_be32(message, 1);
        memcpy(message + 4, shared.buffer, 32);
        memcpy(message + 36, "IDENTITY", sizeof("IDENTITY"));
        memcpy(both_x, own.x.buffer, 32);
        memcpy(both_x + 32, ek_x.buffer, 32);
        r = tpm_sha256(message, sizeof(message), seed, e);
        OPENSSL_cleanse(message, sizeof(message));
        OPENSSL_cleanse(&shared, sizeof(shared));
        if (r < 0)
                return r;
        if (Tss2_MU_TPMS_ECC_POINT_Marshal(&own, ret->secret, sizeof(ret->secret), &size) != TSS2_RC_SUCCESS)
                return crypto_error("encoding of a point", e);
        ret->size = (uint16_t)size;
        return 0;
}

static int make_seed(const struct tpm_public *ek, uint8_t seed[static SEED_SIZE], TPM2B_ENCRYPTED_SECRET *ret,
                     struct error *e)
{
        _cleanup_(EVP_PKEY_free_ptr) EVP_PKEY *key = NULL;
        TPM2B_PUBLIC p;
        int r;

        r = tpm_public_unmarshal(ek, &p, e);
        if (r >= 0 && !tpm_same_template(&p, &tpm_template_ek_ecc) &&
            !tpm_same_template(&p, &tpm_template_ek_rsa))
                r = error_set(e, -EKEYREJECTED,
                              "endorsement key: template L-1 or L-2 expected, found another");
        if (r >= 0)
                r = tpm_public_to_key(ek, &key, e);
        if (r < 0)
                return r;
        if (p.publicArea.type == TPM2_ALG_ECC)
                return agree_ec(key, seed, ret, e);
        if (RAND_bytes(seed, SEED_SIZE) != 1)
                return crypto_error("random number", e);
        return encrypt_rsa(key, seed, ret, e);
}

/* --- the blob --- */

/* AES-128-CFB with an IV of zeros, in place. */
static int encrypt(const uint8_t key[static 16], uint8_t *bytes, size_t size, struct error *e)
{
        _cleanup_(EVP_CIPHER_CTX_free_ptr) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
        const uint8_t iv[16] = {};
        int n = 0;

        if (context && EVP_EncryptInit_ex2(context, EVP_aes_128_cfb128(), key, iv, NULL) == 1 &&
            EVP_EncryptUpdate(context, bytes, &n, bytes, (int)size) == 1 && (size_t)n == size)
                return 0;
        return crypto_error("AES-128-CFB", e);
}

/* TPM2B_DIGEST of the HMAC, then the encrypted TPM2B_DIGEST of the secret (Part 1, 24.5). */
static int make_blob(const uint8_t seed[static SEED_SIZE], const uint8_t name[static TPM_NAME_SIZE],
                     const void *secret, size_t size, TPM2B_ID_OBJECT *ret, struct error *e)
{
        uint8_t key[32], message[2 + SECRET_MAX + TPM_NAME_SIZE] = {0, (uint8_t)size},
                                                  *mac = ret->credential + 2;
        int r;

        memcpy(message + 2, secret, size);
        r = kdfa(seed, "STORAGE", name, TPM_NAME_SIZE, 128, key, e);
        if (r >= 0)
                r = encrypt(key, message, 2 + size, e);
        if (r >= 0)
                r = kdfa(seed, "INTEGRITY", NULL, 0, 256, key, e);
        if (r < 0)
                goto finish;
        memcpy(message + 2 + size, name, TPM_NAME_SIZE);
        if (!HMAC(EVP_sha256(), key, sizeof(key), message, 2 + size + TPM_NAME_SIZE, mac, NULL)) {
                r = crypto_error("HMAC", e);
                goto finish;
        }
        ret->credential[0] = 0;
        ret->credential[1] = 32;
        memcpy(mac + 32, message, 2 + size);
        ret->size = (uint16_t)(2 + 32 + 2 + size);
finish:
        OPENSSL_cleanse(key, sizeof(key));
        OPENSSL_cleanse(message, sizeof(message));
        return r;
}

int tpm_make_credential(const struct tpm_public *ek, const uint8_t name[static TPM_NAME_SIZE],
                        const void *secret, size_t size, struct tpm_credential *ret, struct error *e)
{
        TPM2B_ENCRYPTED_SECRET encrypted = {};
        struct tpm_credential c = {};
        TPM2B_ID_OBJECT blob = {};
        uint8_t seed[SEED_SIZE];
        int r;

        if (size == 0 || size > SECRET_MAX)
                return error_set(e, -EINVAL, "credential: 1 to %u bytes expected, found %zu", SECRET_MAX,
                                 size);
        r = make_seed(ek, seed, &encrypted, e);
        if (r >= 0)
                r = make_blob(seed, name, secret, size, &blob, e);
        OPENSSL_cleanse(seed, sizeof(seed));
        if (r < 0)
                return r;
        if (Tss2_MU_TPM2B_ID_OBJECT_Marshal(&blob, c.blob, sizeof(c.blob), &c.blob_size) != TSS2_RC_SUCCESS ||
            Tss2_MU_TPM2B_ENCRYPTED_SECRET_Marshal(&encrypted, c.seed, sizeof(c.seed), &c.seed_size) !=
                    TSS2_RC_SUCCESS)
                return crypto_error("encoding", e);
        *ret = c;
        return 0;
}
