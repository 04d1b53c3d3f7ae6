/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of this library share. */
#pragma once

#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/x509v3.h>

#include "trust/trust.h"

DEFINE_CLEANUP(ASN1_OBJECT *, ASN1_OBJECT_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)
DEFINE_CLEANUP(CMS_ContentInfo *, CMS_ContentInfo_free)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(X509 *, X509_free)

/* The object identifier of a purpose; NULL when memory ends. To be freed. */
ASN1_OBJECT *trust_purpose_oid(enum trust_purpose purpose);

/* The one purpose of ours that the certificate names; TRUST_PURPOSES for none or several. */
enum trust_purpose trust_certificate_purpose(X509 *certificate);

/* 0 if the kernel's PKCS#7 code can use this key: RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384.
 * Otherwise -EKEYREJECTED; `name` stands in the message. */
int trust_check_key(const char *name, EVP_PKEY *key, struct error *e);

/* Sets the message to TEXT and OpenSSL's reason, and empties OpenSSL's error queue. Returns r. */
int trust_openssl_error(struct error *e, int r, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Reads all certificates of a PEM file into a new array. -EBADMSG for anything that is not a certificate, and
 * for none. */
#define TRUST_CERTIFICATES_MAX 32
struct trust_certificates {
        X509 *items[TRUST_CERTIFICATES_MAX];
        size_t n;
};
int trust_read_certificates(int dirfd, const char *path, struct trust_certificates *ret, struct error *e);
void trust_certificates_done(struct trust_certificates *c);

/* --- where keys come from --- */

/* A library context of OpenSSL's with the providers that a signer needs. */
struct trust_providers {
        OSSL_LIB_CTX *context;
        OSSL_PROVIDER *items[16];
        size_t n;
};
int trust_providers_load(const struct trust_signer_options *o, struct trust_providers *ret, struct error *e);
void trust_providers_done(struct trust_providers *p);

/* The private key, or the certificates, that a file or a URI names. */
int trust_load_key(const struct trust_providers *p, const char *name, EVP_PKEY **ret, struct error *e);
int trust_load_certificates(const struct trust_providers *p, const char *name, struct trust_certificates *ret,
                            struct error *e);

/* What a URI gave: the first private key, all certificates, how many objects in all, and whether somebody was
 * needed to give a PIN. */
struct trust_objects {
        EVP_PKEY *key;
        struct trust_certificates certificates;
        size_t n;
        bool asked;
};

/* Loads all objects of an OSSL_STORE_INFO type (0: any). With `ask` a PIN is asked for where standard input
 * is a terminal. */
int trust_load_objects(const struct trust_providers *p, const char *uri, int type, bool ask,
                       struct trust_objects *ret);
void trust_objects_done(struct trust_objects *o);

bool trust_is_pkcs11(const char *name);

/* The value of an attribute in the query of a pkcs11: URI, to be freed; NULL if it has none. */
char *trust_pkcs11_attribute(const char *uri, const char *attribute);

/* A file that a pkcs11: URI names for its PIN can be read; nothing is asked of other names. */
int trust_pkcs11_check_pin(const char *uri, struct error *e);

/* A name with a scheme in front that is no file's; it may be longer than any file's. */
bool trust_is_uri(const char *name);

/* How much of a name to show: without the query of a URI, which may hold a PIN. For "%.*s". */
int trust_shown(const char *name);

/* Finds out why a pkcs11: URI gave no object of an OSSL_STORE_INFO type, and says so. `what` is the type in
 * words; `reason` is OpenSSL's. */
int trust_pkcs11_explain(const struct trust_providers *p, const char *uri, int type, const char *what,
                         const char *reason, struct error *e);

/* --- signers --- */

struct trust_signer {
        struct trust_providers providers;
        EVP_PKEY *key;                          /* NULL if it lies elsewhere */
        struct trust_certificates certificates; /* the signer's, then those on the way to the CA */
        char *name;                             /* of the certificate, for messages */
};

X509 *trust_signer_certificate(const struct trust_signer *s);
EVP_PKEY *trust_signer_public_key(const struct trust_signer *s);

/* The digest that goes with a key, as ECDSA's curves and the services that hold keys pair them. */
const EVP_MD *trust_digest_of(const EVP_PKEY *key);
const EVP_MD *trust_signer_md(const struct trust_signer *s);

/* -EKEYREJECTED unless the signer may issue certificates for this purpose. */
int trust_signer_check_authority(const struct trust_signer *s, enum trust_purpose purpose, struct error *e);

/* A certification authority that restricts its purposes names this one. */
bool trust_may_issue(X509 *ca, enum trust_purpose purpose);

/* --- raw signatures --- */

bool trust_raw_verifies(EVP_PKEY *key, const EVP_MD *digest, const void *data, size_t size, const void *raw,
                        size_t raw_size);

/* Finds the form in which this key made `raw` over the data. The result is as PKCS#7 wants it, to be freed.
 * -EKEYREJECTED if there is none. */
int trust_raw_find(EVP_PKEY *key, const EVP_MD *digest, const void *data, size_t size, const void *raw,
                   size_t raw_size, uint8_t **ret, size_t *ret_size);

/* An ECDSA signature on P-256, in DER, as r and s of 32 bytes each. False if it is none. */
bool trust_raw_to_pair(const uint8_t *raw, size_t size, uint8_t ret[static 64]);

/* --- verifying --- */

struct trust_store {
        char *path;
        struct trust_certificates certificates[TRUST_PURPOSES];
        bool pki;   /* authorities, lists and time count; otherwise a signer is trusted by itself alone */
        int64_t at; /* the time that certificates have to be valid at, in seconds since 1970 */
        X509_CRL *crls[32];
        size_t n_crls;
};

/* One signature while it is looked at. Whatever looks puts what it finds into the report. */
struct trust_verification {
        const struct trust_store *store;
        enum trust_purpose purpose;
        const void *data; /* that should be signed */
        size_t size;
        struct trust_report *report;
        CMS_ContentInfo *cms;
        CMS_SignerInfo *si;      /* its one signer, borrowed */
        const EVP_MD *digest;    /* the signer's */
        bool rsa;                /* not ECDSA */
        STACK_OF(X509) * inside; /* the certificates inside the signature */
        X509 *signer;            /* borrowed */
};

/* Parses the signature and checks its form; sets cms, si, digest and rsa. */
int trust_check_form(struct trust_verification *v, const void *der, size_t size, bool attached);

/* Checks the way from v->signer to a trusted certificate, validity and revocation. */
void trust_check_path(struct trust_verification *v);

/* What a path's check finds about revocation lists. */
struct trust_revocation {
        const struct trust_store *store;
        int error;        /* the first X509_V_ERR_…, 0 for none */
        size_t consulted; /* certificates whose issuer has a list */
        char found[192];
};

/* OpenSSL's verify callback; the context's data is a struct trust_revocation. Whether a failure stands in the
 * way of the path itself: times are judged apart, for the time asked for; what is wrong with a revocation
 * list is noted; a certificate whose issuer has no list is not looked up. */
int trust_judge_failure(int ok, X509_STORE_CTX *context);

/* Whether there is a list of the certificate's issuer. */
bool trust_has_list(const struct trust_store *s, X509 *x);
void trust_report_revocation(struct trust_verification *v, const struct trust_revocation *r);

/* A name; a certificate's subject and fingerprint: both fit for a terminal. RFC 3339. */
void trust_format_name(const X509_NAME *x, size_t size, char *ret);
void trust_describe(X509 *x, size_t size, char *ret);
void trust_format_time(const ASN1_TIME *t, size_t size, char *ret);

/* "certificates valid at …", and whether one is at that time; if not, ret says when it is. */
void trust_format_validity(int64_t at, char ret[static 64]);
bool trust_is_valid(X509 *x, int64_t at, char ret[static 160]);

/* Adds a finding. trust_refuse() returns `result`. kernel: the negative errno with which the kernel answers
 * to this alone, 0 if it takes it. */
void trust_accept(struct trust_report *report, const char *check, const char *expected, const char *found,
                  ...) __attribute__((format(printf, 4, 5)));
int trust_refuse(struct trust_report *report, const char *check, int result, int kernel, const char *expected,
                 const char *found, ...) __attribute__((format(printf, 6, 7)));

/* 0, or the first refusal as an error. */
int trust_report_result(const struct trust_report *report, struct error *e);
