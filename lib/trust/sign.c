/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/store.h>
#include <string.h>

#include "trust/internal.h"

struct trust_signer {
        EVP_PKEY *key;
        X509 *certificate;
        char *certificate_path;
};

struct trust_signer *trust_signer_free(struct trust_signer *s)
{
        if (!s)
                return NULL;
        EVP_PKEY_free(s->key);
        X509_free(s->certificate);
        free(s->certificate_path);
        free(s);
        return NULL;
}

/* The first private key that the URI names. */
static int load_key(const char *uri, EVP_PKEY **ret, struct error *e)
{
        OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
        EVP_PKEY *key = NULL;

        if (!store)
                return trust_openssl_error(e, -ENOKEY, "%s", uri);
        (void)OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
        while (!key && !OSSL_STORE_eof(store)) {
                OSSL_STORE_INFO *info = OSSL_STORE_load(store);

                if (!info)
                        break;
                key = OSSL_STORE_INFO_get1_PKEY(info);
                OSSL_STORE_INFO_free(info);
        }
        (void)OSSL_STORE_close(store);
        if (!key)
                return trust_openssl_error(e, -ENOKEY, "%s: private key expected", uri);
        ERR_clear_error();
        *ret = key;
        return 0;
}

static int load_certificate(const char *path, X509 **ret, struct error *e)
{
        struct trust_certificates c;
        int r;

        r = trust_read_certificates(AT_FDCWD, path, &c, e);
        if (r < 0)
                return r;
        if (c.n != 1)
                r = error_set(e, -EBADMSG, "%s: one certificate expected, found %zu", path, c.n);
        else {
                *ret = c.items[0];
                c.n = 0;
        }
        trust_certificates_done(&c);
        return r;
}

int trust_signer_open(const char *key, const char *certificate, struct trust_signer **ret, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->certificate_path = strdup(certificate);
        if (!s->certificate_path)
                return -ENOMEM;
        r = load_key(key, &s->key, e);
        if (r < 0)
                return r;
        r = load_certificate(certificate, &s->certificate, e);
        if (r < 0)
                return r;
        r = trust_check_key(key, s->key, e);
        if (r < 0)
                return r;
        if (X509_check_private_key(s->certificate, s->key) != 1) {
                ERR_clear_error();
                return error_set(e, -EKEYREJECTED,
                                 "%s: the certificate of the key %s expected, found another key's",
                                 certificate, key);
        }
        *ret = TAKE_PTR(s);
        return 0;
}

enum trust_purpose trust_signer_purpose(const struct trust_signer *s)
{
        return trust_certificate_purpose(s->certificate);
}

int trust_signer_fingerprint(const struct trust_signer *s, uint8_t ret[static 32], struct error *e)
{
        if (X509_digest(s->certificate, EVP_sha256(), ret, NULL) != 1)
                return trust_openssl_error(e, -EIO, "%s: fingerprint", s->certificate_path);
        return 0;
}

static CMS_ContentInfo *make_signature(const struct trust_signer *s, BIO *data, unsigned flags)
{
        CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags | CMS_PARTIAL);

        if (cms && CMS_add1_signer(cms, s->certificate, s->key, EVP_sha256(), flags) &&
            CMS_final(cms, data, NULL, flags))
                return cms;
        CMS_ContentInfo_free(cms);
        return NULL;
}

int trust_sign(const struct trust_signer *s, enum trust_purpose purpose, const void *data, size_t size,
               bool attached, uint8_t **ret_der, size_t *ret_der_size, struct error *e)
{
        unsigned flags = CMS_BINARY | CMS_NOATTR | CMS_NOSMIMECAP | (attached ? 0 : CMS_DETACHED);
        const char *found = trust_purpose_to_string(trust_signer_purpose(s));
        _cleanup_(CMS_ContentInfo_free_ptr) CMS_ContentInfo *cms = NULL;
        _cleanup_(BIO_free_all_ptr) BIO *bio = NULL;
        unsigned char *der = NULL;
        int n;

        if (trust_signer_purpose(s) != purpose)
                return error_set(e, -EKEYREJECTED, "%s: certificate for the purpose %s expected, found %s",
                                 s->certificate_path, trust_purpose_to_string(purpose),
                                 found ?: "none of ours");
        if (size > INT_MAX)
                return error_set(e, -EFBIG, "data to sign: at most %d bytes expected, found %zu", INT_MAX,
                                 size);
        bio = BIO_new_mem_buf(size ? data : "", (int)size);
        if (!bio)
                return -ENOMEM;
        cms = make_signature(s, bio, flags);
        if (!cms)
                return trust_openssl_error(e, -EIO, "signing with %s", s->certificate_path);
        n = i2d_CMS_ContentInfo(cms, &der);
        if (n <= 0)
                return trust_openssl_error(e, -EIO, "signature encoding");
        *ret_der = der;
        *ret_der_size = (size_t)n;
        return 0;
}
