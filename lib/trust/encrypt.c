/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <openssl/rsa.h>

#include "trust/internal.h"

/* OpenSSL's defaults, PKCS#1 v1.5 and a key derivation with SHA-1, are there for old readers. */
static bool choose_parameters(CMS_RecipientInfo *recipient, bool rsa)
{
        EVP_PKEY_CTX *context = CMS_RecipientInfo_get0_pkey_ctx(recipient);

        if (!rsa)
                return EVP_PKEY_CTX_set_ecdh_kdf_md(context, EVP_sha256()) == 1;
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1;
}

static CMS_ContentInfo *encrypt(const struct trust_certificates *to, BIO *in)
{
        _cleanup_(CMS_ContentInfo_free_ptr) CMS_ContentInfo *cms =
                CMS_AuthEnvelopedData_create(EVP_aes_256_gcm());

        if (!cms || CMS_set_detached(cms, 0) != 1)
                return NULL;
        for (size_t i = 0; i < to->n; i++) {
                X509 *x = to->items[i];
                CMS_RecipientInfo *recipient = CMS_add1_recipient_cert(cms, x, CMS_KEY_PARAM);

                if (!recipient || !choose_parameters(recipient, EVP_PKEY_is_a(X509_get0_pubkey(x), "RSA")))
                        return NULL;
        }
        return CMS_final(cms, in, NULL, CMS_BINARY) == 1 ? TAKE_PTR(cms) : NULL;
}

int trust_encrypt(const struct trust_store *s, const void *data, size_t size, uint8_t **ret_der,
                  size_t *ret_size, struct error *e)
{
        const struct trust_certificates *to = &s->certificates[TRUST_RECOVERY];
        _cleanup_(CMS_ContentInfo_free_ptr) CMS_ContentInfo *cms = NULL;
        _cleanup_(BIO_free_all_ptr) BIO *in = NULL;
        unsigned char *der = NULL;
        int n;

        if (to->n == 0)
                return error_set(e, -ENOKEY,
                                 "%s/recovery.pem: a certificate to encrypt to expected, found none",
                                 s->path);
        if (size > INT_MAX)
                return error_set(e, -EFBIG, "data to encrypt: at most %d bytes expected, found %zu", INT_MAX,
                                 size);
        in = BIO_new_mem_buf(data, (int)size);
        if (!in)
                return -ENOMEM;
        cms = encrypt(to, in);
        n = cms ? i2d_CMS_ContentInfo(cms, &der) : -1;
        if (n <= 0)
                return trust_openssl_error(e, -EIO, "%s/recovery.pem: encryption", s->path);
        *ret_der = der;
        *ret_size = (size_t)n;
        return 0;
}
