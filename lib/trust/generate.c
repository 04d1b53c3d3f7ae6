/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>

#include "trust/internal.h"

#define VALID_DAYS (20 * 365)
#define DAYS_MAX (100 * 365)

static EVP_PKEY *make_key(enum trust_algorithm algorithm)
{
        switch (algorithm) {
        case TRUST_RSA_2048:
                return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
        case TRUST_RSA_4096:
                return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)4096);
        case TRUST_P256:
                return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        case TRUST_P384:
                return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
        }
        return NULL;
}

/* A random positive serial number of 16 bytes: two certificates with one name stay distinguishable, because
 * signatures name their signer by issuer and serial number. */
static int set_serial(X509 *x)
{
        unsigned char bytes[16];
        BIGNUM *n;
        int ok;

        if (RAND_bytes(bytes, sizeof(bytes)) != 1)
                return 0;
        bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
        n = BN_bin2bn(bytes, sizeof(bytes), NULL);
        ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
        BN_free(n);
        return ok;
}

static int add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
        X509V3_CTX context;
        X509_EXTENSION *extension;
        int ok;

        X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
        extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
        ok = extension && X509_add_ext(x, extension, -1);
        X509_EXTENSION_free(extension);
        return ok;
}

/* Critical for signers, so that whoever does not know our purposes takes them for nothing. Authorities must
 * not pass for signers. */
static int add_purpose(X509 *x, enum trust_purpose purpose, bool critical)
{
        EXTENDED_KEY_USAGE *usage;
        ASN1_OBJECT *oid;
        int ok;

        if (purpose == TRUST_PURPOSES)
                return 1;
        usage = sk_ASN1_OBJECT_new_null();
        oid = trust_purpose_oid(purpose);
        ok = usage && oid && sk_ASN1_OBJECT_push(usage, oid) > 0;
        if (!ok)
                ASN1_OBJECT_free(oid);
        ok = ok && X509_add1_ext_i2d(x, NID_ext_key_usage, usage, critical, 0) == 1;
        EXTENDED_KEY_USAGE_free(usage);
        return ok;
}

/* RFC 5280, 4.2.1.3: what is encrypted to a certificate wants another bit than what it signs. */
static const char *key_usage(const struct trust_generate_options *o)
{
        bool rsa = o->algorithm == TRUST_RSA_2048 || o->algorithm == TRUST_RSA_4096;

        if (o->authority)
                return "critical,keyCertSign,cRLSign";
        if (o->purpose == TRUST_RECOVERY)
                return rsa ? "critical,keyEncipherment" : "critical,keyAgreement";
        return "critical,digitalSignature";
}

static int add_extensions(X509 *x, X509 *issuer, const struct trust_generate_options *o)
{
        return add_extension(x, issuer, NID_basic_constraints,
                             o->authority ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") &&
               add_extension(x, issuer, NID_key_usage, key_usage(o)) &&
               add_purpose(x, o->purpose, !o->authority) &&
               add_extension(x, issuer, NID_subject_key_identifier, "hash") &&
               (issuer == x || add_extension(x, issuer, NID_authority_key_identifier, "keyid:always"));
}

static int fill_certificate(X509 *x, EVP_PKEY *key, X509 *issuer, const struct trust_generate_options *o)
{
        X509_NAME *name = X509_get_subject_name(x);
        int days = o->days ? (int)o->days : VALID_DAYS;

        return X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
               X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)o->common_name,
                                          -1, -1, 0) &&
               X509_set_issuer_name(x, X509_get_subject_name(issuer)) &&
               X509_gmtime_adj(X509_getm_notBefore(x), 0) &&
               X509_time_adj_ex(X509_getm_notAfter(x), days, 0, NULL) && X509_set_pubkey(x, key) &&
               add_extensions(x, issuer, o);
}

static int check_options(const struct trust_generate_options *o, struct error *e)
{
        size_t n = strlen(o->common_name);

        if (n < 1 || n > 64)
                return error_set(e, -EINVAL, "common name: 1 to 64 bytes expected, found %zu", n);
        if (o->days > DAYS_MAX)
                return error_set(e, -EINVAL, "days: at most %d expected, found %" PRIu64, DAYS_MAX, o->days);
        return o->issuer ? trust_signer_check_authority(o->issuer, o->purpose, e) : 0;
}

static char *text_of(BIO *bio)
{
        char *data;
        long n = BIO_get_mem_data(bio, &data);

        return n > 0 ? strndup(data, (size_t)n) : NULL;
}

int trust_generate(const struct trust_generate_options *o, char **ret_key, char **ret_certificate,
                   struct error *e)
{
        _cleanup_(EVP_PKEY_free_ptr) EVP_PKEY *key = NULL;
        _cleanup_(X509_free_ptr) X509 *x = X509_new();
        _cleanup_(BIO_free_all_ptr) BIO *key_bio = BIO_new(BIO_s_secmem()), *x_bio = BIO_new(BIO_s_mem());
        _cleanup_free_ char *key_text = NULL, *x_text = NULL;
        EVP_PKEY *issuer_key;
        int r = check_options(o, e);

        if (r < 0)
                return r;
        if (!x || !key_bio || !x_bio)
                return -ENOMEM;
        key = make_key(o->algorithm);
        if (!key)
                return trust_openssl_error(e, -EIO, "key generation");
        issuer_key = o->issuer ? o->issuer->key : key;
        if (!fill_certificate(x, key, o->issuer ? trust_signer_certificate(o->issuer) : x, o) ||
            X509_sign(x, issuer_key, trust_digest_of(issuer_key)) <= 0)
                return trust_openssl_error(e, -EIO, "certificate \"%s\"", o->common_name);
        if (!PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) ||
            !PEM_write_bio_X509(x_bio, x))
                return trust_openssl_error(e, -EIO, "PEM");
        key_text = text_of(key_bio);
        x_text = text_of(x_bio);
        if (!key_text || !x_text)
                return -ENOMEM;
        *ret_key = TAKE_PTR(key_text);
        *ret_certificate = TAKE_PTR(x_text);
        return 0;
}
