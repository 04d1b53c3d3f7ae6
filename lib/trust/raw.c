/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Raw signatures as the services and tools that hold keys hand them out: RSA as it is, ECDSA in DER or as r
 * and s one behind the other, each as bytes or as Base64 text. Which form it is shows in that it verifies. */
#include <errno.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <string.h>

#include "trust/internal.h"

bool trust_raw_verifies(EVP_PKEY *key, const EVP_MD *digest, const void *data, size_t size, const void *raw,
                        size_t raw_size)
{
        _cleanup_(EVP_MD_CTX_free_ptr) EVP_MD_CTX *context = EVP_MD_CTX_new();
        bool ok = context && EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1 &&
                  EVP_DigestVerify(context, raw, raw_size, data, size) == 1;

        ERR_clear_error();
        return ok;
}

/* r and s, each as long as the curve's order, as DER; 0 bytes if that is not what it is. */
static size_t pair_to_der(EVP_PKEY *key, const uint8_t *raw, size_t size, uint8_t ret[static 128])
{
        size_t half = (size_t)EVP_PKEY_get_bits(key) / 8;
        ECDSA_SIG *pair;
        uint8_t *p = ret;
        BIGNUM *r, *s;
        int n = 0;

        if (!EVP_PKEY_is_a(key, "EC") || size != 2 * half)
                return 0;
        pair = ECDSA_SIG_new();
        r = BN_bin2bn(raw, (int)half, NULL);
        s = BN_bin2bn(raw + half, (int)half, NULL);
        if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
                r = s = NULL;
                n = i2d_ECDSA_SIG(pair, NULL) <= 128 ? i2d_ECDSA_SIG(pair, &p) : 0;
        }
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(pair);
        return n > 0 ? (size_t)n : 0;
}

bool trust_raw_to_pair(const uint8_t *raw, size_t size, uint8_t ret[static 64])
{
        const uint8_t *end = raw;
        ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &end, (long)size);
        bool ok = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), ret, 32) == 32 &&
                  BN_bn2binpad(ECDSA_SIG_get0_s(pair), ret + 32, 32) == 32;

        ECDSA_SIG_free(pair);
        ERR_clear_error();
        return ok;
}

/* Base64 of either alphabet, with or without padding and white space. 0 bytes if it is none. */
static size_t decode_base64(const char *text, size_t size, uint8_t ret[static TRUST_RAW_MAX])
{
        unsigned char clean[TRUST_RAW_MAX / 3 * 4 + 4], decoded[TRUST_RAW_MAX + 3];
        size_t n = 0, padding;
        int decoded_size;

        memset(clean, '=', sizeof(clean));
        for (size_t i = 0; i < size && text[i] != '='; i++) {
                if (strchr(" \t\r\n", text[i]))
                        continue;
                if (n == TRUST_RAW_MAX / 3 * 4)
                        return 0;
                clean[n++] = (unsigned char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
        }
        padding = (4 - n % 4) % 4;
        decoded_size = EVP_DecodeBlock(decoded, clean, (int)(n + padding));
        if (padding > 2 || decoded_size <= (int)padding)
                return 0;
        memcpy(ret, decoded, (size_t)decoded_size - padding);
        return (size_t)decoded_size - padding;
}

static int take(const void *raw, size_t size, uint8_t **ret, size_t *ret_size)
{
        *ret = malloc(size);
        if (!*ret)
                return -ENOMEM;
        memcpy(*ret, raw, size);
        *ret_size = size;
        return 0;
}

int trust_raw_find(EVP_PKEY *key, const EVP_MD *digest, const void *data, size_t size, const void *raw,
                   size_t raw_size, uint8_t **ret, size_t *ret_size)
{
        uint8_t decoded[TRUST_RAW_MAX], der[128];
        const void *forms[2] = {raw, decoded};
        size_t sizes[2] = {raw_size, decode_base64(raw, raw_size, decoded)};

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                size_t n = pair_to_der(key, forms[i], sizes[i], der);

                if (trust_raw_verifies(key, digest, data, size, forms[i], sizes[i]))
                        return take(forms[i], sizes[i], ret, ret_size);
                if (n > 0 && trust_raw_verifies(key, digest, data, size, der, n))
                        return take(der, n, ret, ret_size);
        }
        return -EKEYREJECTED;
}
