/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of this library share. */
#pragma once

#include <openssl/cms.h>
#include <openssl/evp.h>
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
