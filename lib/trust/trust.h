/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys, certificates, their purposes, and signatures in the one form that the kernel takes.
 *
 * Every signature of this project is PKCS#7 SignedData (RFC 2315, RFC 5652) in DER with one signer, no signed
 * and no unsigned attributes, SHA-256 or stronger, RSA PKCS#1 v1.5 or ECDSA on P-256 or P-384. That is what
 * dm-verity and IPE take; everything else is refused here before the kernel sees it.
 *
 * A certificate is good for one purpose, named by one extended key usage. The trusted certificates of a
 * purpose lie in DIRECTORY/<purpose>.pem. The kernel and the firmware know no purposes, so whoever loads
 * something checks here first. Expiry, chains and revocation are judged where a program asks for it, not at
 * boot, where no clock can be trusted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

enum trust_purpose {
        TRUST_BOOT,     /* UKIs, by the firmware */
        TRUST_ROOTFS,   /* the root's root hash */
        TRUST_LAYER,    /* root hashes of container layers */
        TRUST_POLICY,   /* IPE policies */
        TRUST_MANIFEST, /* image manifests, and the root hash of the store */
        TRUST_TEST,     /* the payload disk of the variants dev and test */
        TRUST_BUILD,    /* build manifests, PCR policies, recovery tokens */
        TRUST_RECOVERY, /* nothing: a volume's recovery key is encrypted to it */
        TRUST_PURPOSES, /* how many there are; as a value: no purpose */
};

/* The arc of the project's object identifiers (a UUID, ITU-T X.667) and the arc of its key purposes. The last
 * component is the enum's value plus one. */
#define TRUST_OID_ARC "2.25.255368040224791522053380220605198328293"
#define TRUST_OID_PURPOSES TRUST_OID_ARC ".1"

/* Sizes that are refused above: a detached signature, and a signature with its content (IPE policies), in
 * bytes. */
#define TRUST_SIGNATURE_MAX ((size_t)64 * 1024)
#define TRUST_ATTACHED_MAX ((size_t)4 * 1024 * 1024)

/* "boot", "rootfs", …; NULL for TRUST_PURPOSES. */
const char *trust_purpose_to_string(enum trust_purpose purpose);

/* TRUST_PURPOSES if there is no such purpose. */
enum trust_purpose trust_purpose_from_string(const char *name);

/* "boot, rootfs, …": for messages and help. */
#define TRUST_PURPOSE_NAMES "boot, rootfs, layer, policy, manifest, test, build, recovery"

/* --- making keys --- */

enum trust_algorithm { TRUST_RSA_2048, TRUST_RSA_4096, TRUST_P256, TRUST_P384 };

struct trust_signer;

struct trust_generate_options {
        enum trust_purpose purpose; /* TRUST_PURPOSES: the certificate names none (for PK and KEK) */
        enum trust_algorithm algorithm;
        const char *common_name;           /* 1 to 64 bytes */
        uint64_t days;                     /* of validity from now; 0: 20 years */
        bool authority;                    /* issues certificates for the purpose instead of signing for it */
        const struct trust_signer *issuer; /* such an authority; NULL: self-signed */
};

/* Makes a key and its certificate, both PEM texts to be freed. -EKEYREJECTED if the issuer may not issue for
 * this purpose. */
int trust_generate(const struct trust_generate_options *o, char **ret_key, char **ret_certificate,
                   struct error *e);

/* --- signing --- */

/* Where a signer's key and certificate are: files, or any URIs that an OpenSSL provider resolves. */
struct trust_signer_options {
        const char *key; /* NULL: it lies elsewhere, see trust_attach() */
        const char
                *certificate; /* the signer's, then those between it and its CA, which go into signatures */
        const char *const *providers; /* to load besides "default"; pkcs11: URIs load theirs themselves */
        size_t n_providers;
};

/* Opens a signer. The two must belong together, and the key must be one that the kernel can check. A PIN
 * comes from the URI (pin-source=file:PATH, pin-value=); only where standard input is a terminal is it asked
 * for. -EACCES: PIN or passphrase missing or wrong; -ENODEV: no such token; -ENOENT: no such key; -ENOPKG: no
 * such provider; -EKEYREJECTED: the two do not belong together, or the kernel cannot check such a key. */
int trust_signer_open(const struct trust_signer_options *o, struct trust_signer **ret, struct error *e);
struct trust_signer *trust_signer_free(struct trust_signer *s);
DEFINE_CLEANUP(struct trust_signer *, trust_signer_free)

/* The purpose that the signer's certificate carries, or TRUST_PURPOSES if it carries none or several. */
enum trust_purpose trust_signer_purpose(const struct trust_signer *s);

/* -EKEYEXPIRED: one of the signer's certificates is not valid at that time, in seconds since 1970. */
int trust_signer_check_time(const struct trust_signer *s, int64_t at, struct error *e);

/* SHA-256 of the certificate's DER form, as in a verity signature partition. */
int trust_signer_fingerprint(const struct trust_signer *s, uint8_t ret[static 32], struct error *e);

/* Signs size bytes for this purpose. The DER result is the caller's to free; it holds the certificates, and
 * with `attached` the data. -EKEYREJECTED if the signer's certificate is not for this purpose. */
int trust_sign(const struct trust_signer *s, enum trust_purpose purpose, const void *data, size_t size,
               bool attached, uint8_t **ret_der, size_t *ret_der_size, struct error *e);

/* The bare ECDSA signature over SHA-256 of the data, r and s of 32 bytes each, as a TPM takes it.
 * -EKEYREJECTED as above, and if the signer's key is not on P-256. */
int trust_sign_ecdsa(const struct trust_signer *s, enum trust_purpose purpose, const void *data, size_t size,
                     uint8_t ret[static 64], struct error *e);

/* What a key that lies elsewhere has to sign, and how. */
struct trust_digest {
        const char *algorithm; /* "sha256", or "sha384" with a P-384 key */
        const char *scheme;    /* "RSASSA-PKCS1-v1_5" or "ECDSA" */
        uint8_t bytes[64];
        size_t size;
};
int trust_signer_digest(const struct trust_signer *s, enum trust_purpose purpose, const void *data,
                        size_t size, struct trust_digest *ret, struct error *e);

/* As trust_sign(), detached, from the raw signature over that digest: RSA's bytes, ECDSA in DER or as r and s
 * one behind the other, either also as Base64 text. -EKEYREJECTED if the certificate's key did not make it.
 */
int trust_attach(const struct trust_signer *s, enum trust_purpose purpose, const void *data, size_t size,
                 const void *raw, size_t raw_size, uint8_t **ret_der, size_t *ret_der_size, struct error *e);

/* A detached signature over a text: trust_sign(), or trust_attach() with the raw signature in the file
 * `attach` where that is not NULL. */
int trust_sign_detached(const struct trust_signer *s, enum trust_purpose purpose, const char *text,
                        const char *attach, uint8_t **ret_der, size_t *ret_der_size, struct error *e);

/* The largest raw signature worth reading, in bytes. */
#define TRUST_RAW_MAX 1024

/* --- verifying --- */

struct trust_store;

/* Reads <purpose>.pem of every purpose below `path` (relative to dirfd). A purpose without a file has no
 * trusted certificates. A certificate that does not carry exactly the purpose of its file, or whose key the
 * kernel cannot use, is -EKEYREJECTED. Each is trusted by itself alone, whatever the time. */
int trust_store_open(int dirfd, const char *path, struct trust_store **ret, struct error *e);

/* The same for programs that have a clock. Certification authorities may stand among the certificates: then
 * the signer's certificate lies inside the signature, carries the purpose, and chains to one of them (RFC
 * 5280, at most 8 between). Certificates have to be valid at the time `at` (seconds since 1970). The
 * revocation lists crl.pem and *.crl.pem of the directory count for the issuers that have one; a list has to
 * be valid now, and what is on it is refused whatever `at` says. At most 32 certificates a file and inside a
 * signature, 32 lists, 4 MiB a list's file. */
int trust_store_open_pki(int dirfd, const char *path, int64_t at, struct trust_store **ret, struct error *e);
struct trust_store *trust_store_free(struct trust_store *s);
DEFINE_CLEANUP(struct trust_store *, trust_store_free)

/* How many certificates are trusted for this purpose. */
size_t trust_store_count(const struct trust_store *s, enum trust_purpose purpose);

/* Checks a detached signature over data. Returns 0, or
 *   -EBADMSG      not a signature in the form described above, or it has content
 *   -ENOKEY       the signer is not in the store
 *   -EKEYREJECTED the signer is trusted for another purpose, or the signature does not match the data
 * and with trust_store_open_pki() also
 *   -EKEYEXPIRED, -EKEYREVOKED. */
int trust_verify_detached(const struct trust_store *s, enum trust_purpose purpose, const void *data,
                          size_t size, const void *der, size_t der_size, struct error *e);

/* One thing that was looked at. */
struct trust_finding {
        const char *check; /* "form", "signer", "chain", "validity", "revocation" or "signature" */
        int result;        /* 0, or what trust_verify_detached() returns for it */
        int kernel; /* what the kernel (measured: 6.12) answers for this reason alone; 0: it does not mind */
        char expected[128], found[256];
};

/* In the order they were looked at; what could not be looked at is missing. */
struct trust_report {
        struct trust_finding findings[8];
        size_t n;
};

/* As trust_verify_detached(), and tells all that it found. */
int trust_report_detached(const struct trust_store *s, enum trust_purpose purpose, const void *data,
                          size_t size, const void *der, size_t der_size, struct trust_report *ret,
                          struct error *e);

/* As trust_verify_detached() for a signature with its content inside. *ret_content points into der. */
int trust_verify_attached(const struct trust_store *s, enum trust_purpose purpose, const void *der,
                          size_t der_size, const void **ret_content, size_t *ret_size, struct error *e);

/* Encrypts size bytes to all certificates of the purpose recovery; each of their keys alone decrypts it. The
 * result is CMS AuthEnvelopedData (RFC 5083) in DER with AES-256-GCM (RFC 5084), the key by RSAES-OAEP or
 * ECDH with SHA-256, and the caller's to free. -ENOKEY: there is no such certificate. */
int trust_encrypt(const struct trust_store *s, const void *data, size_t size, uint8_t **ret_der,
                  size_t *ret_size, struct error *e);

/* SHA-256 of size bytes. -EIO if OpenSSL fails. */
int trust_sha256(const void *data, size_t size, uint8_t ret[static 32]);

/* The same of data that comes in pieces. After trust_hash_end() it can only be freed. */
struct trust_hash;
int trust_hash_new(struct trust_hash **ret);
int trust_hash_add(struct trust_hash *h, const void *data, size_t size);
int trust_hash_end(struct trust_hash *h, uint8_t ret[static 32]);
struct trust_hash *trust_hash_free(struct trust_hash *h);
DEFINE_CLEANUP(struct trust_hash *, trust_hash_free)
