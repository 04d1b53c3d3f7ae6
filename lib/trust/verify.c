/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "base/file.h"
#include "trust/internal.h"

struct trust_store {
        char *path;
        struct trust_certificates certificates[TRUST_PURPOSES];
};

struct trust_store *trust_store_free(struct trust_store *s)
{
        if (!s)
                return NULL;
        for (size_t p = 0; p < TRUST_PURPOSES; p++)
                trust_certificates_done(&s->certificates[p]);
        free(s->path);
        free(s);
        return NULL;
}

size_t trust_store_count(const struct trust_store *s, enum trust_purpose purpose)
{
        return s->certificates[purpose].n;
}

static int check_certificate(const char *path, X509 *x, enum trust_purpose purpose, struct error *e)
{
        enum trust_purpose found = trust_certificate_purpose(x);
        EVP_PKEY *key = X509_get0_pubkey(x);

        if (found != purpose)
                return error_set(e, -EKEYREJECTED, "%s: certificate for the purpose %s expected, found %s",
                                 path, trust_purpose_to_string(purpose),
                                 trust_purpose_to_string(found) ?: "none or several");
        if (!key)
                return trust_openssl_error(e, -EKEYREJECTED, "%s: public key", path);
        return trust_check_key(path, key, e);
}

static int load_purpose(int dirfd, const char *path, enum trust_purpose purpose, struct trust_certificates *c,
                        struct error *e)
{
        _cleanup_free_ char *file = NULL;
        int r;

        if (asprintf(&file, "%s/%s.pem", path, trust_purpose_to_string(purpose)) < 0) {
                file = NULL;
                return -ENOMEM;
        }
        r = file_exists(dirfd, file);
        if (r <= 0)
                return r < 0 ? error_errno(e, r, "%s", file) : 0;
        r = trust_read_certificates(dirfd, file, c, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < c->n; i++) {
                r = check_certificate(file, c->items[i], purpose, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

int trust_store_open(int dirfd, const char *path, struct trust_store **ret, struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->path = strdup(path);
        if (!s->path)
                return -ENOMEM;
        r = file_exists(dirfd, path);
        if (r <= 0)
                return error_errno(e, r < 0 ? r : -ENOENT, "%s: directory of trusted certificates", path);
        for (enum trust_purpose p = 0; p < TRUST_PURPOSES; p++) {
                r = load_purpose(dirfd, path, p, &s->certificates[p], e);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(s);
        return 0;
}

/* DER has one encoding for one value: what does not come out again as it went in is another encoding or has
 * bytes behind. */
static int parse(const void *der, size_t size, size_t max, CMS_ContentInfo **ret, struct error *e)
{
        _cleanup_(CMS_ContentInfo_free_ptr) CMS_ContentInfo *cms = NULL;
        const unsigned char *p = der;
        unsigned char *again = NULL;
        bool same;
        int n;

        if (size > max)
                return error_set(e, -EBADMSG, "signature: at most %zu bytes expected, found %zu", max, size);
        cms = d2i_CMS_ContentInfo(NULL, &p, (long)size);
        if (!cms)
                return trust_openssl_error(e, -EBADMSG, "signature: PKCS#7 in DER expected");
        n = i2d_CMS_ContentInfo(cms, &again);
        same = n > 0 && (size_t)n == size && memcmp(again, der, size) == 0;
        OPENSSL_free(again);
        if (!same)
                return error_set(e, -EBADMSG,
                                 "signature: DER expected, found another encoding or trailing bytes");
        if (OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)
                return error_set(e, -EBADMSG,
                                 "signature: PKCS#7 SignedData expected, found another content type");
        if (OBJ_obj2nid(CMS_get0_eContentType(cms)) != NID_pkcs7_data)
                return error_set(e, -EBADMSG, "signature: content of type data expected, found another type");
        *ret = TAKE_PTR(cms);
        return 0;
}

/* The one signer. Attributes would be what is signed in the content's place, and the kernel refuses some of
 * them. */
static int only_signer(CMS_ContentInfo *cms, CMS_SignerInfo **ret, struct error *e)
{
        STACK_OF(CMS_SignerInfo) *signers = CMS_get0_SignerInfos(cms);
        CMS_SignerInfo *si;

        if (sk_CMS_SignerInfo_num(signers) != 1)
                return error_set(e, -EBADMSG, "signature: one signer expected, found %d",
                                 sk_CMS_SignerInfo_num(signers));
        si = sk_CMS_SignerInfo_value(signers, 0);
        if (CMS_signed_get_attr_count(si) >= 0)
                return error_set(e, -EBADMSG, "signature: no signed attributes expected, found %d",
                                 CMS_signed_get_attr_count(si));
        if (CMS_unsigned_get_attr_count(si) >= 0)
                return error_set(e, -EBADMSG, "signature: no unsigned attributes expected, found %d",
                                 CMS_unsigned_get_attr_count(si));
        *ret = si;
        return 0;
}

/* The digest to use, if both algorithm fields are of the kernel's and agree with each other and with the key.
 */
static int check_algorithms(CMS_SignerInfo *si, EVP_PKEY *key, const EVP_MD **ret, struct error *e)
{
        X509_ALGOR *digest_alg, *signature_alg;
        int digest, signature, of_signature;
        char found[80];

        CMS_SignerInfo_get0_algs(si, NULL, NULL, &digest_alg, &signature_alg);
        if ((digest_alg->parameter && digest_alg->parameter->type != V_ASN1_NULL) ||
            (signature_alg->parameter && signature_alg->parameter->type != V_ASN1_NULL))
                return error_set(e, -EBADMSG,
                                 "signature: algorithms without parameters expected, found some");
        digest = OBJ_obj2nid(digest_alg->algorithm);
        signature = OBJ_obj2nid(signature_alg->algorithm);
        if (digest != NID_sha256 && digest != NID_sha384 && digest != NID_sha512) {
                (void)OBJ_obj2txt(found, sizeof(found), digest_alg->algorithm, 0);
                return error_set(e, -EBADMSG,
                                 "signature: digest SHA-256, SHA-384 or SHA-512 expected, found %s", found);
        }
        if (EVP_PKEY_is_a(key, "RSA"))
                of_signature = signature == NID_rsaEncryption ? digest : NID_undef;
        else if (OBJ_find_sigid_algs(signature, &of_signature, NULL) != 1 ||
                 (signature != NID_ecdsa_with_SHA256 && signature != NID_ecdsa_with_SHA384 &&
                  signature != NID_ecdsa_with_SHA512))
                of_signature = NID_undef;
        if (of_signature != digest) {
                (void)OBJ_obj2txt(found, sizeof(found), signature_alg->algorithm, 0);
                return error_set(e, -EBADMSG, "signature: algorithm %s expected, found %s",
                                 EVP_PKEY_is_a(key, "RSA") ? "rsaEncryption"
                                                           : "ECDSA with the signer's digest",
                                 found);
        }
        *ret = EVP_get_digestbynid(digest);
        return *ret ? 0 : -EBADMSG;
}

/* Names are compared byte for byte, as the kernel does; OpenSSL alone would take another spelling for the
 * same. */
static bool same_name(const X509_NAME *a, const X509_NAME *b)
{
        const unsigned char *p, *q;
        size_t n, m;

        return X509_NAME_get0_der(a, &p, &n) == 1 && X509_NAME_get0_der(b, &q, &m) == 1 && n == m &&
               memcmp(p, q, n) == 0;
}

static bool is_signer(CMS_SignerInfo *si, X509 *certificate)
{
        X509_NAME *issuer = NULL;

        if (CMS_SignerInfo_cert_cmp(si, certificate) != 0 ||
            CMS_SignerInfo_get0_signer_id(si, NULL, &issuer, NULL) != 1)
                return false;
        return !issuer || same_name(issuer, X509_get_issuer_name(certificate));
}

/* The trusted certificate that the signer names. One copied into the signature plays no part. */
static int find_signer(const struct trust_store *s, enum trust_purpose purpose, CMS_SignerInfo *si,
                       X509 **ret, struct error *e)
{
        const char *expected = trust_purpose_to_string(purpose);

        for (enum trust_purpose p = 0; p < TRUST_PURPOSES; p++) {
                for (size_t i = 0; i < s->certificates[p].n; i++) {
                        if (!is_signer(si, s->certificates[p].items[i]))
                                continue;
                        if (p != purpose)
                                return error_set(e, -EKEYREJECTED,
                                                 "signature: signer with the purpose %s expected, found %s",
                                                 expected, trust_purpose_to_string(p));
                        *ret = s->certificates[p].items[i];
                        return 0;
                }
        }
        return error_set(e, -ENOKEY,
                         "signature: signer among the %zu certificates of %s/%s.pem expected, found another",
                         s->certificates[purpose].n, s->path, expected);
}

static int check_signature(const struct trust_store *s, enum trust_purpose purpose, CMS_ContentInfo *cms,
                           const void *data, size_t size, struct error *e)
{
        _cleanup_(EVP_MD_CTX_free_ptr) EVP_MD_CTX *context = EVP_MD_CTX_new();
        const ASN1_OCTET_STRING *signature;
        const EVP_MD *digest = NULL;
        CMS_SignerInfo *si = NULL;
        X509 *signer = NULL;
        int r;

        if (!context)
                return -ENOMEM;
        r = only_signer(cms, &si, e);
        if (r < 0)
                return r;
        r = find_signer(s, purpose, si, &signer, e);
        if (r < 0)
                return r;
        r = check_algorithms(si, X509_get0_pubkey(signer), &digest, e);
        if (r < 0)
                return r;
        signature = CMS_SignerInfo_get0_signature(si);
        if (EVP_DigestVerifyInit(context, NULL, digest, NULL, X509_get0_pubkey(signer)) != 1)
                return trust_openssl_error(e, -EIO, "signature");
        r = EVP_DigestVerify(context, ASN1_STRING_get0_data(signature), (size_t)ASN1_STRING_length(signature),
                             data, size);
        ERR_clear_error();
        if (r != 1)
                return error_set(
                        e, -EKEYREJECTED,
                        "signature: a signature over this data expected, found one over something else");
        return 0;
}

int trust_verify_detached(const struct trust_store *s, enum trust_purpose purpose, const void *data,
                          size_t size, const void *der, size_t der_size, struct error *e)
{
        _cleanup_(CMS_ContentInfo_free_ptr) CMS_ContentInfo *cms = NULL;
        ASN1_OCTET_STRING **content;
        int r;

        r = parse(der, der_size, TRUST_SIGNATURE_MAX, &cms, e);
        if (r < 0)
                return r;
        content = CMS_get0_content(cms);
        if (content && *content)
                return error_set(e, -EBADMSG,
                                 "signature: detached signature expected, found one with content");
        return check_signature(s, purpose, cms, data, size, e);
}

int trust_verify_attached(const struct trust_store *s, enum trust_purpose purpose, const void *der,
                          size_t der_size, const void **ret_content, size_t *ret_size, struct error *e)
{
        _cleanup_(CMS_ContentInfo_free_ptr) CMS_ContentInfo *cms = NULL;
        ASN1_OCTET_STRING **content;
        const void *inside;
        size_t size;
        int r;

        r = parse(der, der_size, TRUST_ATTACHED_MAX, &cms, e);
        if (r < 0)
                return r;
        content = CMS_get0_content(cms);
        if (!content || !*content)
                return error_set(e, -EBADMSG,
                                 "signature: signature with content expected, found a detached one");
        size = (size_t)ASN1_STRING_length(*content);
        r = check_signature(s, purpose, cms, ASN1_STRING_get0_data(*content), size, e);
        if (r < 0)
                return r;
        /* What was parsed is byte for byte what der holds, so the content is found in it as it stands. */
        inside = memmem(der, der_size, ASN1_STRING_get0_data(*content), size);
        if (!inside)
                return error_set(e, -EBADMSG, "signature: contiguous content expected, found pieces");
        *ret_content = inside;
        *ret_size = size;
        return 0;
}
