/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signatures that bring their certificates along, and revocation lists. */
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/file.h"
#include "fuzz.h"
#include "trust/trust.h"

static char dir[] = "/tmp/fuzz-trust-path-XXXXXX", ca_key[64], ca[64], leaf_key[64], leaf[64], list_path[64];
static struct trust_store *store;
static uint8_t *good, *good_list;
static size_t good_size, good_list_size;
static const char content[] = "root hash";

/* Fixed names: the fuzzer's own paths are relative to where it was started. */
static void make_names(void)
{
        PROMISE(mkdtemp(dir));
        (void)snprintf(ca_key, sizeof(ca_key), "%s/ca.key", dir);
        (void)snprintf(ca, sizeof(ca), "%s/layer.pem", dir);
        (void)snprintf(leaf_key, sizeof(leaf_key), "%s/leaf.key", dir);
        (void)snprintf(leaf, sizeof(leaf), "%s/leaf", dir);
        (void)snprintf(list_path, sizeof(list_path), "%s/crl.pem", dir);
}

static void clean_up(void)
{
        (void)unlink(ca);
        (void)unlink(list_path);
        (void)rmdir(dir);
}

static struct trust_signer *make(const char *key_path, const char *certificate_path,
                                 const struct trust_signer *issuer)
{
        const struct trust_generate_options o = {.purpose = TRUST_LAYER,
                                                 .algorithm = TRUST_P256,
                                                 .common_name = "fuzz",
                                                 .authority = !issuer,
                                                 .issuer = issuer};
        const struct trust_signer_options at = {.key = key_path, .certificate = certificate_path};
        char *key = NULL, *certificate = NULL;
        struct trust_signer *s = NULL;

        PROMISE(trust_generate(&o, &key, &certificate, NULL) == 0);
        PROMISE(write_file_new(AT_FDCWD, key_path, key, strlen(key), 0600, NULL) == 0);
        PROMISE(write_file_new(AT_FDCWD, certificate_path, certificate, strlen(certificate), 0600, NULL) ==
                0);
        PROMISE(trust_signer_open(&at, &s, NULL) == 0);
        free(key);
        free(certificate);
        return s;
}

/* An empty list of the authority. */
static void make_list(void)
{
        BIO *key_bio = BIO_new_file(ca_key, "r"), *x_bio = BIO_new_file(ca, "r");
        EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
        X509 *x = PEM_read_bio_X509(x_bio, NULL, NULL, NULL);
        ASN1_TIME *now = X509_gmtime_adj(NULL, 0), *later = X509_gmtime_adj(NULL, 86400);
        X509_CRL *list = X509_CRL_new();

        PROMISE(X509_CRL_set_version(list, X509_CRL_VERSION_2) &&
                X509_CRL_set_issuer_name(list, X509_get_subject_name(x)) &&
                X509_CRL_set1_lastUpdate(list, now) && X509_CRL_set1_nextUpdate(list, later) &&
                X509_CRL_sign(list, key, EVP_sha256()));
        good_list_size = (size_t)i2d_X509_CRL(list, &good_list);
        X509_CRL_free(list);
        ASN1_TIME_free(now);
        ASN1_TIME_free(later);
        X509_free(x);
        EVP_PKEY_free(key);
        BIO_free(key_bio);
        BIO_free(x_bio);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        struct trust_signer *authority, *signer;

        make_names();
        authority = make(ca_key, ca, NULL);
        signer = make(leaf_key, leaf, authority);
        make_list();
        PROMISE(trust_sign(signer, TRUST_LAYER, content, sizeof(content), false, &good, &good_size, NULL) ==
                0);
        PROMISE(trust_store_open_pki(AT_FDCWD, dir, time(NULL), &store, NULL) == 0);
        PROMISE(trust_verify_detached(store, TRUST_LAYER, content, sizeof(content), good, good_size, NULL) ==
                0);
        trust_signer_free(authority);
        trust_signer_free(signer);
        PROMISE(unlink(ca_key) == 0 && unlink(leaf_key) == 0 && unlink(leaf) == 0 && atexit(clean_up) == 0);
        return 0;
}

/* `original` with the input written over a part of it. */
static uint8_t *change(const uint8_t *original, size_t size, const uint8_t *data, size_t n)
{
        uint8_t *changed = malloc(size);
        size_t at = (size_t)(data[0] << 8 | data[1]) % size;

        memcpy(changed, original, size);
        memcpy(changed + at, data + 2, n - 2 < size - at ? n - 2 : size - at);
        return changed;
}

static void try_signature(const uint8_t *der, size_t size)
{
        struct trust_report report;

        (void)trust_report_detached(store, TRUST_LAYER, content, sizeof(content), der, size, &report, NULL);
        PROMISE(report.n > 0 && report.n < 8);
        PROMISE(trust_verify_detached(store, TRUST_LAYER, "other", 5, der, size, NULL) < 0);
        PROMISE(trust_verify_detached(store, TRUST_POLICY, content, sizeof(content), der, size, NULL) < 0);
}

static void try_list(const uint8_t *der, size_t size)
{
        struct trust_store *with_list = NULL;
        BIO *bio = BIO_new_file(list_path, "w");

        PROMISE(PEM_write_bio(bio, "X509 CRL", "", der, (long)size) > 0);
        BIO_free(bio);
        if (trust_store_open_pki(AT_FDCWD, dir, time(NULL), &with_list, NULL) == 0)
                (void)trust_verify_detached(with_list, TRUST_LAYER, content, sizeof(content), good, good_size,
                                            NULL);
        trust_store_free(with_list);
}

/* The first byte chooses what the rest is, or what it changes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        bool list = size > 0 && data[0] & 1, whole = size > 0 && data[0] & 2;
        uint8_t *changed;

        if (size < 4)
                return 0;
        if (whole) {
                (list ? try_list : try_signature)(data + 1, size - 1);
                return 0;
        }
        changed = change(list ? good_list : good, list ? good_list_size : good_size, data + 1, size - 1);
        (list ? try_list : try_signature)(changed, list ? good_list_size : good_size);
        free(changed);
        return 0;
}
