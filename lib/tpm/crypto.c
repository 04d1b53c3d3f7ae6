/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cryptography of sessions, for ESYS. Its own does the same with OpenSSL, but in a new library context
 * each time: 2 ms a command, where this takes a fiftieth, and a boot sends some sixty. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm/internal.h"

DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)

#define FAILED TSS2_ESYS_RC_GENERAL_FAILURE

/* One of the two. */
struct ESYS_CRYPTO_CONTEXT_BLOB {
        EVP_MD_CTX *hash;
        EVP_MAC_CTX *mac;
};

const EVP_MD *tpm_digest(TPM2_ALG_ID algorithm)
{
        switch (algorithm) {
        case TPM2_ALG_SHA1:
                return EVP_sha1();
        case TPM2_ALG_SHA256:
                return EVP_sha256();
        case TPM2_ALG_SHA384:
                return EVP_sha384();
        case TPM2_ALG_SHA512:
                return EVP_sha512();
        default:
                return NULL;
        }
}

static void blob_free(ESYS_CRYPTO_CONTEXT_BLOB **blob, void *data)
{
        if (!blob || !*blob)
                return;
        EVP_MD_CTX_free((*blob)->hash);
        EVP_MAC_CTX_free((*blob)->mac);
        free(*blob);
        *blob = NULL;
}

static TSS2_RC take(bool ok, ESYS_CRYPTO_CONTEXT_BLOB *blob, ESYS_CRYPTO_CONTEXT_BLOB **ret)
{
        if (!ok) {
                blob_free(&blob, NULL);
                return FAILED;
        }
        *ret = blob;
        return TSS2_RC_SUCCESS;
}

static TSS2_RC hash_start(ESYS_CRYPTO_CONTEXT_BLOB **ret, TPM2_ALG_ID algorithm, void *data)
{
        ESYS_CRYPTO_CONTEXT_BLOB *blob = calloc(1, sizeof(*blob));
        const EVP_MD *md = tpm_digest(algorithm);

        if (blob)
                blob->hash = EVP_MD_CTX_new();
        return take(blob && blob->hash && md && EVP_DigestInit_ex(blob->hash, md, NULL) == 1, blob, ret);
}

static TSS2_RC hash_update(ESYS_CRYPTO_CONTEXT_BLOB *blob, const uint8_t *bytes, size_t size, void *data)
{
        return EVP_DigestUpdate(blob->hash, bytes, size) == 1 ? TSS2_RC_SUCCESS : FAILED;
}

static TSS2_RC hash_finish(ESYS_CRYPTO_CONTEXT_BLOB **blob, uint8_t *ret, size_t *ret_size, void *data)
{
        unsigned size = 0;
        bool ok = EVP_DigestFinal_ex((*blob)->hash, ret, &size) == 1;

        *ret_size = size;
        blob_free(blob, NULL);
        return ok ? TSS2_RC_SUCCESS : FAILED;
}

static TSS2_RC hmac_start(ESYS_CRYPTO_CONTEXT_BLOB **ret, TPM2_ALG_ID algorithm, const uint8_t *key,
                          size_t size, void *data)
{
        ESYS_CRYPTO_CONTEXT_BLOB *blob = calloc(1, sizeof(*blob));
        EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
        const EVP_MD *md = tpm_digest(algorithm);
        char name[16] = "";
        const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                                     OSSL_PARAM_construct_end()};

        if (md)
                (void)snprintf(name, sizeof(name), "%s", EVP_MD_get0_name(md));
        if (blob && mac)
                blob->mac = EVP_MAC_CTX_new(mac);
        EVP_MAC_free(mac);
        return take(blob && blob->mac && md && EVP_MAC_init(blob->mac, key, size, params) == 1, blob, ret);
}

static TSS2_RC hmac_update(ESYS_CRYPTO_CONTEXT_BLOB *blob, const uint8_t *bytes, size_t size, void *data)
{
        return EVP_MAC_update(blob->mac, bytes, size) == 1 ? TSS2_RC_SUCCESS : FAILED;
}

static TSS2_RC hmac_finish(ESYS_CRYPTO_CONTEXT_BLOB **blob, uint8_t *ret, size_t *ret_size, void *data)
{
        bool ok = EVP_MAC_final((*blob)->mac, ret, ret_size, TPM_DIGEST_MAX) == 1;

        blob_free(blob, NULL);
        return ok ? TSS2_RC_SUCCESS : FAILED;
}

static TSS2_RC get_random(TPM2B_NONCE *ret, size_t size, void *data)
{
        if (size > sizeof(ret->buffer) || RAND_bytes(ret->buffer, (int)size) != 1)
                return FAILED;
        ret->size = (uint16_t)size;
        return TSS2_RC_SUCCESS;
}

/* --- ECDH --- */

bool tpm_ecdh(EVP_PKEY *peer, TPM2B_ECC_PARAMETER *ret_shared, TPMS_ECC_POINT *ret_own)
{
        _cleanup_(EVP_PKEY_free_ptr) EVP_PKEY *own = EVP_EC_gen("P-256");
        _cleanup_(EVP_PKEY_CTX_free_ptr) EVP_PKEY_CTX *context = own ? EVP_PKEY_CTX_new(own, NULL) : NULL;
        size_t size = 32;

        ret_shared->size = 32;
        return context && EVP_PKEY_derive_init(context) == 1 &&
               EVP_PKEY_derive_set_peer(context, peer) == 1 &&
               EVP_PKEY_derive(context, ret_shared->buffer, &size) == 1 && size == 32 &&
               tpm_coordinate(own, OSSL_PKEY_PARAM_EC_PUB_X, &ret_own->x) &&
               tpm_coordinate(own, OSSL_PKEY_PARAM_EC_PUB_Y, &ret_own->y);
}

static TSS2_RC get_ecdh_point(TPM2B_PUBLIC *key, size_t max, TPM2B_ECC_PARAMETER *ret_shared,
                              TPMS_ECC_POINT *ret_own, BYTE *ret, size_t *ret_size, void *data)
{
        _cleanup_(EVP_PKEY_free_ptr) EVP_PKEY *peer = NULL;
        struct tpm_public p;

        if (tpm_public_marshal(key, &p, NULL) < 0 || key->publicArea.type != TPM2_ALG_ECC ||
            tpm_public_to_key(&p, &peer, NULL) < 0 || !tpm_ecdh(peer, ret_shared, ret_own))
                return FAILED;
        *ret_size = 0;
        return Tss2_MU_TPMS_ECC_POINT_Marshal(ret_own, ret, max, ret_size);
}

/* --- AES --- */

static TSS2_RC aes(bool encrypt, const uint8_t *key, TPM2_ALG_ID algorithm, TPMI_AES_KEY_BITS bits,
                   TPM2_ALG_ID mode, uint8_t *bytes, size_t size, const uint8_t *iv)
{
        _cleanup_(EVP_CIPHER_CTX_free_ptr) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
        int n = 0;

        if (algorithm != TPM2_ALG_AES || bits != 128 || mode != TPM2_ALG_CFB)
                return TSS2_ESYS_RC_NOT_IMPLEMENTED;
        if (context && EVP_CipherInit_ex2(context, EVP_aes_128_cfb128(), key, iv, encrypt, NULL) == 1 &&
            EVP_CipherUpdate(context, bytes, &n, bytes, (int)size) == 1 && (size_t)n == size)
                return TSS2_RC_SUCCESS;
        return FAILED;
}

static TSS2_RC aes_encrypt(uint8_t *key, TPM2_ALG_ID algorithm, TPMI_AES_KEY_BITS bits, TPM2_ALG_ID mode,
                           uint8_t *bytes, size_t size, uint8_t *iv, void *data)
{
        return aes(true, key, algorithm, bits, mode, bytes, size, iv);
}

static TSS2_RC aes_decrypt(uint8_t *key, TPM2_ALG_ID algorithm, TPMI_AES_KEY_BITS bits, TPM2_ALG_ID mode,
                           uint8_t *bytes, size_t size, uint8_t *iv, void *data)
{
        return aes(false, key, algorithm, bits, mode, bytes, size, iv);
}

/* --- what our sessions do not use, but ESYS wants a function for --- */

static TSS2_RC no_rsa(TPM2B_PUBLIC *key, size_t size, BYTE *bytes, size_t max, BYTE *ret, size_t *ret_size,
                      const char *label, void *data)
{
        return TSS2_ESYS_RC_NOT_IMPLEMENTED;
}

static TSS2_RC no_sm4(uint8_t *key, TPM2_ALG_ID algorithm, TPMI_SM4_KEY_BITS bits, TPM2_ALG_ID mode,
                      uint8_t *bytes, size_t size, uint8_t *iv, void *data)
{
        return TSS2_ESYS_RC_NOT_IMPLEMENTED;
}

static TSS2_RC init(void *data)
{
        return TSS2_RC_SUCCESS;
}

ESYS_CRYPTO_CALLBACKS tpm_crypto = {
        .rsa_pk_encrypt = no_rsa,
        .hash_start = hash_start,
        .hash_update = hash_update,
        .hash_finish = hash_finish,
        .hash_abort = blob_free,
        .hmac_start = hmac_start,
        .hmac_update = hmac_update,
        .hmac_finish = hmac_finish,
        .hmac_abort = blob_free,
        .get_random2b = get_random,
        .get_ecdh_point = get_ecdh_point,
        .aes_encrypt = aes_encrypt,
        .aes_decrypt = aes_decrypt,
        .sm4_encrypt = no_sm4,
        .sm4_decrypt = no_sm4,
        .init = init,
};
