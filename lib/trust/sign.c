/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "trust/internal.h"

static int check_purpose(const struct trust_signer *s, enum trust_purpose purpose, struct error *e)
{
        enum trust_purpose found = trust_signer_purpose(s);

        if (found == purpose)
                return 0;
        return error_set(e, -EKEYREJECTED, "%s: certificate for the purpose %s expected, found %s", s->name,
                         trust_purpose_to_string(purpose), trust_purpose_to_string(found) ?: "none of ours");
}

static int sign_raw(const struct trust_signer *s, const void *data, size_t size, uint8_t **ret,
                    size_t *ret_size, struct error *e)
{
        _cleanup_(EVP_MD_CTX_free_ptr) EVP_MD_CTX *context = EVP_MD_CTX_new();
        _cleanup_free_ uint8_t *raw = NULL;
        size_t n = 0;

        if (!context)
                return -ENOMEM;
        if (EVP_DigestSignInit_ex(context, NULL, EVP_MD_get0_name(trust_signer_md(s)), s->providers.context,
                                  NULL, s->key, NULL) != 1 ||
            EVP_DigestSign(context, NULL, &n, data, size) != 1)
                return trust_openssl_error(e, -EIO, "signing with the key of %s", s->name);
        raw = malloc(n);
        if (!raw)
                return -ENOMEM;
        if (EVP_DigestSign(context, raw, &n, data, size) != 1)
                return trust_openssl_error(e, -EIO, "signing with the key of %s", s->name);
        *ret = TAKE_PTR(raw);
        *ret_size = n;
        return 0;
}

/* PKCS#7 around a raw signature. The content goes in as one piece. */
static CMS_ContentInfo *wrap(const struct trust_signer *s, const void *content, size_t size,
                             const uint8_t *raw, size_t raw_size)
{
        const unsigned flags = CMS_BINARY | CMS_NOATTR | CMS_DETACHED | CMS_PARTIAL;
        _cleanup_(CMS_ContentInfo_free_ptr) CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags);
        CMS_SignerInfo *si;

        if (!cms)
                return NULL;
        si = CMS_add1_signer(cms, trust_signer_certificate(s), trust_signer_public_key(s), trust_signer_md(s),
                             flags);
        if (!si || ASN1_STRING_set(CMS_SignerInfo_get0_signature(si), raw, (int)raw_size) != 1)
                return NULL;
        for (size_t i = 1; i < s->certificates.n; i++)
                if (CMS_add1_cert(cms, s->certificates.items[i]) != 1)
                        return NULL;
        if (content) {
                ASN1_OCTET_STRING **inside = CMS_get0_content(cms);

                *inside = ASN1_OCTET_STRING_new();
                if (!*inside || ASN1_STRING_set(*inside, content, (int)size) != 1)
                        return NULL;
        }
        return TAKE_PTR(cms);
}

static int encode(const struct trust_signer *s, const void *content, size_t size, const uint8_t *raw,
                  size_t raw_size, uint8_t **ret_der, size_t *ret_der_size, struct error *e)
{
        _cleanup_(CMS_ContentInfo_free_ptr) CMS_ContentInfo *cms = wrap(s, content, size, raw, raw_size);
        unsigned char *der = NULL;
        int n = cms ? i2d_CMS_ContentInfo(cms, &der) : -1;

        if (n <= 0)
                return trust_openssl_error(e, -EIO, "%s: signature encoding", s->name);
        *ret_der = der;
        *ret_der_size = (size_t)n;
        return 0;
}

/* The raw signature, known to verify. */
static int make_raw(const struct trust_signer *s, enum trust_purpose purpose, const void *data, size_t size,
                    uint8_t **ret, size_t *ret_size, struct error *e)
{
        _cleanup_free_ uint8_t *raw = NULL;
        size_t raw_size = 0;
        int r;

        r = check_purpose(s, purpose, e);
        if (r < 0)
                return r;
        if (!s->key)
                return error_set(e, -EINVAL, "%s: its private key expected, found none", s->name);
        if (size > INT_MAX)
                return error_set(e, -EFBIG, "data to sign: at most %d bytes expected, found %zu", INT_MAX,
                                 size);
        r = sign_raw(s, data, size, &raw, &raw_size, e);
        if (r < 0)
                return r;
        /* A token or a provider that computed something else is found out here, not on the machine. */
        if (!trust_raw_verifies(trust_signer_public_key(s), trust_signer_md(s), data, size, raw, raw_size))
                return error_set(e, -EIO, "%s: the key's provider made a signature that does not verify",
                                 s->name);
        *ret = TAKE_PTR(raw);
        *ret_size = raw_size;
        return 0;
}

int trust_sign(const struct trust_signer *s, enum trust_purpose purpose, const void *data, size_t size,
               bool attached, uint8_t **ret_der, size_t *ret_der_size, struct error *e)
{
        _cleanup_free_ uint8_t *raw = NULL;
        size_t raw_size = 0;
        int r;

        r = make_raw(s, purpose, data, size, &raw, &raw_size, e);
        if (r < 0)
                return r;
        return encode(s, attached ? data : NULL, size, raw, raw_size, ret_der, ret_der_size, e);
}

int trust_sign_ecdsa(const struct trust_signer *s, enum trust_purpose purpose, const void *data, size_t size,
                     uint8_t ret[static 64], struct error *e)
{
        EVP_PKEY *key = trust_signer_public_key(s);
        _cleanup_free_ uint8_t *raw = NULL;
        size_t raw_size = 0;
        int r;

        if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_bits(key) != 256)
                return error_set(e, -EKEYREJECTED, "%s: a key on P-256 expected, found %s of %d bits",
                                 s->name, EVP_PKEY_get0_type_name(key) ?: "an unknown type",
                                 EVP_PKEY_get_bits(key));
        r = make_raw(s, purpose, data, size, &raw, &raw_size, e);
        if (r < 0)
                return r;
        if (!trust_raw_to_pair(raw, raw_size, ret))
                return error_set(e, -EIO, "%s: the key's provider made no ECDSA signature in DER", s->name);
        return 0;
}

/* --- signing elsewhere --- */

int trust_signer_digest(const struct trust_signer *s, enum trust_purpose purpose, const void *data,
                        size_t size, struct trust_digest *ret, struct error *e)
{
        const EVP_MD *md = trust_signer_md(s);
        unsigned n = 0;
        int r;

        r = check_purpose(s, purpose, e);
        if (r < 0)
                return r;
        *ret = (struct trust_digest){
                .algorithm = md == EVP_sha384() ? "sha384" : "sha256",
                .scheme = EVP_PKEY_is_a(trust_signer_public_key(s), "RSA") ? "RSASSA-PKCS1-v1_5" : "ECDSA",
        };
        if (EVP_Digest(data, size, ret->bytes, &n, md, NULL) != 1)
                return trust_openssl_error(e, -EIO, "%s", ret->algorithm);
        ret->size = n;
        return 0;
}

int trust_attach(const struct trust_signer *s, enum trust_purpose purpose, const void *data, size_t size,
                 const void *raw, size_t raw_size, uint8_t **ret_der, size_t *ret_der_size, struct error *e)
{
        _cleanup_free_ uint8_t *usable = NULL;
        struct trust_digest digest;
        size_t n = 0;
        int r;

        r = trust_signer_digest(s, purpose, data, size, &digest, e);
        if (r < 0)
                return r;
        r = trust_raw_find(trust_signer_public_key(s), trust_signer_md(s), data, size, raw, raw_size, &usable,
                           &n);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return error_set(
                        e, -EKEYREJECTED,
                        "raw signature: %s with %s over the digest that --digest-out wrote, by the key "
                        "of %s, expected; found %zu bytes of something else",
                        digest.scheme, digest.algorithm, s->name, raw_size);
        return encode(s, NULL, 0, usable, n, ret_der, ret_der_size, e);
}

int trust_sign_detached(const struct trust_signer *s, enum trust_purpose purpose, const char *text,
                        const char *attach, uint8_t **ret_der, size_t *ret_der_size, struct error *e)
{
        _cleanup_free_ char *raw = NULL;
        size_t size = 0;
        int r;

        if (!attach)
                return trust_sign(s, purpose, text, strlen(text), false, ret_der, ret_der_size, e);
        r = read_file(AT_FDCWD, attach, TRUST_RAW_MAX, &raw, &size, e);
        if (r < 0)
                return r;
        r = trust_attach(s, purpose, text, strlen(text), raw, size, ret_der, ret_der_size, e);
        return r < 0 ? error_prefix(e, r, "%s", attach) : 0;
}
