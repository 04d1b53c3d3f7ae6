/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enrol.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#define DEPTH_MAX 6
#define SECURITY_LEVEL 2                  /* of OpenSSL's: 112 bits */
#define EK_CERTIFICATE_OID "2.23.133.8.1" /* tcg-kp-EKCertificate */

DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)
DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)

/* Every certificate of the PEM text is trusted by itself: an intermediate stands for its maker as a root
 * does. */
static X509_STORE *open_authorities(const char *pem)
{
        X509_STORE *store = X509_STORE_new();
        BIO *bio = BIO_new_mem_buf(pem, -1);
        bool good = store && bio;
        size_t n = 0;
        X509 *x;

        while (good && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
                good = X509_STORE_add_cert(store, x) == 1;
                X509_free(x);
                n++;
        }
        BIO_free(bio);
        if (good && n > 0)
                return store;
        X509_STORE_free(store);
        return NULL;
}

static int path_error(int error)
{
        switch (error) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CERT_NOT_YET_VALID:
                return -EKEYEXPIRED;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
                return -ENOKEY;
        default:
                return -EKEYREJECTED;
        }
}

static int check_path(X509 *leaf, const char *authorities, int64_t at, struct error *e)
{
        _cleanup_(X509_STORE_free_ptr) X509_STORE *store = open_authorities(authorities);
        _cleanup_(X509_STORE_CTX_free_ptr) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
        X509_VERIFY_PARAM *p;
        int error;

        if (!store)
                return error_set(e, -EINVAL, "authorities: PEM certificates expected, found none");
        if (!ctx || X509_STORE_CTX_init(ctx, store, leaf, NULL) != 1)
                return -ENOMEM;
        p = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_depth(p, DEPTH_MAX);
        X509_VERIFY_PARAM_set_auth_level(p, SECURITY_LEVEL);
        X509_VERIFY_PARAM_set_time(p, at);
        (void)X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_USE_CHECK_TIME);
        if (X509_verify_cert(ctx) == 1)
                return 0;
        error = X509_STORE_CTX_get_error(ctx);
        return error_set(e, path_error(error), "EK certificate: a path to a trusted authority expected: %s",
                         X509_verify_cert_error_string(error));
}

/* An extended key usage, where there is one, has to be that of EK certificates; and it is no authority's
 * certificate. */
static int check_usage(X509 *x, struct error *e)
{
        EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
        bool good = !usage;
        char oid[64];

        for (int i = 0; usage && i < sk_ASN1_OBJECT_num(usage); i++)
                if (OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(usage, i), 1) > 0 &&
                    strcmp(oid, EK_CERTIFICATE_OID) == 0)
                        good = true;
        EXTENDED_KEY_USAGE_free(usage);
        if (!good)
                return error_set(e, -EKEYREJECTED,
                                 "EK certificate: key usage " EK_CERTIFICATE_OID " expected");
        if (X509_check_ca(x) > 0)
                return error_set(e, -EKEYREJECTED, "EK certificate: a key's expected, found an authority's");
        return 0;
}

int ek_certificate_verify(const void *der, size_t size, const struct tpm_public *ek, const char *authorities,
                          int64_t at, struct error *e)
{
        _cleanup_(EVP_PKEY_free_ptr) EVP_PKEY *key = NULL;
        _cleanup_(X509_free_ptr) X509 *x = NULL;
        const unsigned char *p = der;
        int r;

        if (size <= TPM_CERTIFICATE_MAX)
                x = d2i_X509(NULL, &p, (long)size);
        if (!x || p != (const unsigned char *)der + size)
                return error_set(e, -EBADMSG, "EK certificate: one X.509 certificate expected");
        r = tpm_public_to_key(ek, &key, e);
        if (r < 0)
                return error_prefix(e, r, "EK");
        if (EVP_PKEY_eq(X509_get0_pubkey(x), key) != 1)
                return error_set(e, -EKEYREJECTED,
                                 "EK certificate: this endorsement key's expected, found another's");
        r = check_usage(x, e);
        return r < 0 ? r : check_path(x, authorities, at, e);
}

int enrol_begin(const struct enrol_request *q, const char *authorities, int64_t at,
                struct tpm_credential *ret, struct enrol_challenge *ret_challenge, struct error *e)
{
        struct enrol_challenge c = {};
        int r;

        r = ek_certificate_verify(q->ek_certificate, q->ek_certificate_size, &q->ek, authorities, at, e);
        if (r >= 0)
                r = tpm_ak_check(&q->ak, e);
        if (r < 0)
                return r;
        if (RAND_bytes(c.secret, sizeof(c.secret)) != 1)
                return error_set(e, -EIO, "no random numbers");
        memcpy(c.ak_name, q->ak.name, sizeof(c.ak_name));
        r = tpm_make_credential(&q->ek, q->ak.name, c.secret, sizeof(c.secret), ret, e);
        if (r >= 0)
                *ret_challenge = c;
        OPENSSL_cleanse(&c, sizeof(c));
        return r;
}

int enrol_finish(struct enrol_challenge *challenge, const void *secret, size_t size, struct error *e)
{
        bool good = !challenge->used && size == sizeof(challenge->secret) &&
                    CRYPTO_memcmp(challenge->secret, secret, size) == 0;

        challenge->used = true;
        OPENSSL_cleanse(challenge->secret, sizeof(challenge->secret));
        return good ? 0 : error_set(e, -EKEYREJECTED, "credential: the secret that was sent expected, once");
}
