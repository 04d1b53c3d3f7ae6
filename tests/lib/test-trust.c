/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel was seen to take and to refuse is the table here; OpenSSL makes the forms that trust_sign()
 * cannot make. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/process.h"
#include "trust/trust.h"

static const char data[] = "b1f70444dd50abab40255db49cf605164124b9c8152ffe9ed810eada35ea2ca5";
#define SIZE (sizeof(data) - 1)

static char dir[] = "/tmp/test-trust-XXXXXX";

static void make_pair(const char *name, enum trust_purpose purpose, enum trust_algorithm algorithm)
{
        const struct trust_generate_options o = {
                .purpose = purpose, .algorithm = algorithm, .common_name = name};
        char *key = NULL, *certificate = NULL, path[64];
        struct error e = {};

        cr_assert_eq(trust_generate(&o, &key, &certificate, &e), 0, "%s", e.message);
        (void)snprintf(path, sizeof(path), "%s.key", name);
        cr_assert_eq(write_file_new(AT_FDCWD, path, key, strlen(key), 0600, NULL), 0);
        (void)snprintf(path, sizeof(path), "%s.pem", name);
        cr_assert_eq(write_file_new(AT_FDCWD, path, certificate, strlen(certificate), 0644, NULL), 0);
        free(key);
        free(certificate);
}

static void copy(const char *from, const char *to)
{
        char *text = NULL;
        size_t n = 0;

        cr_assert_eq(read_file(AT_FDCWD, from, 100000, &text, &n, NULL), 0);
        cr_assert_eq(write_file_atomic(AT_FDCWD, to, text, n, 0644, NULL), 0);
        free(text);
}

/* layer and policy are trusted; foreign is a layer key that is not. */
static void set_up(void)
{
        cr_assert_not_null(mkdtemp(dir));
        cr_assert_eq(chdir(dir), 0);
        make_pair("layer", TRUST_LAYER, TRUST_RSA_2048);
        make_pair("policy", TRUST_POLICY, TRUST_P256);
        make_pair("foreign", TRUST_LAYER, TRUST_P256);
        make_pair("plain", TRUST_PURPOSES, TRUST_P256);
        cr_assert_eq(mkdir("trust", 0755), 0);
        copy("layer.pem", "trust/layer.pem");
        copy("policy.pem", "trust/policy.pem");
}

static void tear_down(void)
{
        char *argv[] = {(char *)"rm", (char *)"-rf", dir, NULL};

        cr_assert_eq(process_check(argv, NULL, NULL), 0);
}

TestSuite(trust, .init = set_up, .fini = tear_down);

static struct trust_signer *open_signer(const char *name)
{
        struct trust_signer *s = NULL;
        char key[64], certificate[64];
        struct error e = {};

        (void)snprintf(key, sizeof(key), "%s.key", name);
        (void)snprintf(certificate, sizeof(certificate), "%s.pem", name);
        cr_assert_eq(trust_signer_open(&(struct trust_signer_options){.key = key, .certificate = certificate},
                                       &s, &e),
                     0, "%s", e.message);
        return s;
}

/* What opening says; the signer itself is not kept. */
static int try_signer(const char *key, const char *certificate, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *s = NULL;

        return trust_signer_open(&(struct trust_signer_options){.key = key, .certificate = certificate}, &s,
                                 e);
}

static struct trust_store *open_store(void)
{
        struct trust_store *s = NULL;
        struct error e = {};

        cr_assert_eq(trust_store_open(AT_FDCWD, "trust", &s, &e), 0, "%s", e.message);
        return s;
}

/* Signs with OpenSSL, any flags, any digest. */
static size_t sign_with(const char *name, const EVP_MD *md, unsigned flags, bool pss, uint8_t **ret)
{
        char path[64];
        EVP_PKEY *key;
        X509 *certificate;
        CMS_ContentInfo *cms;
        CMS_SignerInfo *si;
        BIO *bio;
        int n;

        (void)snprintf(path, sizeof(path), "%s.key", name);
        bio = BIO_new_file(path, "r");
        key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        BIO_free(bio);
        (void)snprintf(path, sizeof(path), "%s.pem", name);
        bio = BIO_new_file(path, "r");
        certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        BIO_free(bio);
        bio = BIO_new_mem_buf(data, SIZE);
        cms = CMS_sign(NULL, NULL, NULL, NULL, flags | CMS_PARTIAL);
        cr_assert_not_null(cms);
        si = CMS_add1_signer(cms, certificate, key, md, flags | (pss ? CMS_KEY_PARAM : 0));
        cr_assert_not_null(si);
        if (pss)
                cr_assert_eq(
                        EVP_PKEY_CTX_set_rsa_padding(CMS_SignerInfo_get0_pkey_ctx(si), RSA_PKCS1_PSS_PADDING),
                        1);
        cr_assert_eq(CMS_final(cms, bio, NULL, flags), 1);
        *ret = NULL;
        n = i2d_CMS_ContentInfo(cms, ret);
        cr_assert_gt(n, 0);
        BIO_free(bio);
        CMS_ContentInfo_free(cms);
        X509_free(certificate);
        EVP_PKEY_free(key);
        return (size_t)n;
}

static int verify(enum trust_purpose purpose, const void *der, size_t size, struct error *e)
{
        struct trust_store *store = open_store();
        int r = trust_verify_detached(store, purpose, data, SIZE, der, size, e);

        trust_store_free(store);
        return r;
}

/* --- purposes --- */

Test(purpose, names_come_back)
{
        for (enum trust_purpose p = 0; p < TRUST_PURPOSES; p++)
                cr_expect_eq(trust_purpose_from_string(trust_purpose_to_string(p)), p);
        cr_expect_eq(trust_purpose_from_string("Layer"), TRUST_PURPOSES);
        cr_expect_eq(trust_purpose_from_string(""), TRUST_PURPOSES);
        cr_expect_null(trust_purpose_to_string(TRUST_PURPOSES));
}

static uint32_t key_usage_of_new(enum trust_purpose purpose, enum trust_algorithm algorithm)
{
        const struct trust_generate_options o = {
                .purpose = purpose, .algorithm = algorithm, .common_name = "usage"};
        _cleanup_free_ char *key = NULL, *certificate = NULL;
        uint32_t usage;
        BIO *bio;
        X509 *x;

        cr_assert_eq(trust_generate(&o, &key, &certificate, NULL), 0);
        bio = BIO_new_mem_buf(certificate, -1);
        x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        cr_assert_not_null(x);
        usage = X509_get_key_usage(x);
        X509_free(x);
        BIO_free(bio);
        return usage;
}

Test(purpose, recovery_certificates_are_encrypted_to)
{
        cr_expect_eq(key_usage_of_new(TRUST_BUILD, TRUST_P256), KU_DIGITAL_SIGNATURE);
        cr_expect_eq(key_usage_of_new(TRUST_RECOVERY, TRUST_RSA_2048), KU_KEY_ENCIPHERMENT);
        cr_expect_eq(key_usage_of_new(TRUST_RECOVERY, TRUST_P256), KU_KEY_AGREEMENT);
}

Test(trust, certificates_carry_their_purpose)
{
        struct trust_signer *layer = open_signer("layer"), *plain = open_signer("plain");

        cr_expect_eq(trust_signer_purpose(layer), TRUST_LAYER);
        cr_expect_eq(trust_signer_purpose(plain), TRUST_PURPOSES);
        trust_signer_free(layer);
        trust_signer_free(plain);
}

Test(trust, generate_refuses_bad_names)
{
        char *key = NULL, *certificate = NULL, long_name[66];

        memset(long_name, 'x', 65);
        long_name[65] = '\0';
        cr_expect_eq(
                trust_generate(&(struct trust_generate_options){.common_name = ""}, &key, &certificate, NULL),
                -EINVAL);
        cr_expect_eq(trust_generate(&(struct trust_generate_options){.common_name = long_name}, &key,
                                    &certificate, NULL),
                     -EINVAL);
        cr_expect_null(key);
}

/* --- signing and verifying --- */

static void round_trip(const char *name, enum trust_purpose purpose)
{
        struct trust_signer *s = open_signer(name);
        uint8_t *der = NULL;
        size_t size = 0;
        struct error e = {};

        cr_assert_eq(trust_sign(s, purpose, data, SIZE, false, &der, &size, &e), 0, "%s", e.message);
        cr_expect_eq(verify(purpose, der, size, &e), 0, "%s", e.message);
        free(der);
        trust_signer_free(s);
}

Test(trust, rsa_round_trip)
{
        round_trip("layer", TRUST_LAYER);
}

Test(trust, ecdsa_round_trip)
{
        round_trip("policy", TRUST_POLICY);
}

Test(trust, openssl_verifies_what_we_sign)
{
        struct trust_signer *s = open_signer("layer");
        char *argv[] = {(char *)"openssl",
                        (char *)"cms",
                        (char *)"-verify",
                        (char *)"-binary",
                        (char *)"-inform",
                        (char *)"der",
                        (char *)"-in",
                        (char *)"sig",
                        (char *)"-content",
                        (char *)"data",
                        (char *)"-certfile",
                        (char *)"layer.pem",
                        (char *)"-CAfile",
                        (char *)"layer.pem",
                        (char *)"-purpose",
                        (char *)"any",
                        (char *)"-out",
                        (char *)"/dev/null",
                        NULL};
        uint8_t *der = NULL;
        size_t size = 0;
        struct error e = {};

        cr_assert_eq(trust_sign(s, TRUST_LAYER, data, SIZE, false, &der, &size, NULL), 0);
        cr_assert_eq(write_file_new(AT_FDCWD, "sig", der, size, 0644, NULL), 0);
        cr_assert_eq(write_file_new(AT_FDCWD, "data", data, SIZE, 0644, NULL), 0);
        cr_expect_eq(process_check(argv, NULL, &e), 0, "%s", e.message);
        free(der);
        trust_signer_free(s);
}

Test(trust, signing_twice_gives_the_same_bytes)
{
        struct trust_signer *s = open_signer("layer");
        uint8_t *a = NULL, *b = NULL;
        size_t n = 0, m = 0;

        cr_assert_eq(trust_sign(s, TRUST_LAYER, data, SIZE, false, &a, &n, NULL), 0);
        cr_assert_eq(trust_sign(s, TRUST_LAYER, data, SIZE, false, &b, &m, NULL), 0);
        cr_expect(n == m && memcmp(a, b, n) == 0);
        free(a);
        free(b);
        trust_signer_free(s);
}

Test(trust, attached_content_comes_back)
{
        struct trust_signer *s = open_signer("policy");
        struct trust_store *store = open_store();
        const void *content = NULL;
        uint8_t *der = NULL;
        size_t size = 0, n = 0;
        struct error e = {};

        cr_assert_eq(trust_sign(s, TRUST_POLICY, data, SIZE, true, &der, &size, &e), 0);
        cr_assert_eq(trust_verify_attached(store, TRUST_POLICY, der, size, &content, &n, &e), 0, "%s",
                     e.message);
        cr_expect_eq(n, SIZE);
        cr_expect_eq(memcmp(content, data, SIZE), 0);
        cr_expect((const uint8_t *)content > der && (const uint8_t *)content < der + size);
        cr_expect_eq(trust_verify_detached(store, TRUST_POLICY, data, SIZE, der, size, &e), -EBADMSG);
        cr_expect_eq(trust_verify_attached(store, TRUST_LAYER, der, size, &content, &n, &e), -EKEYREJECTED);
        trust_store_free(store);
        trust_signer_free(s);
        free(der);
}

Test(trust, detached_is_not_attached)
{
        struct trust_store *store = open_store();
        const void *content = NULL;
        uint8_t *der = NULL;
        size_t n = 0,
               size = sign_with("layer", EVP_sha256(), CMS_BINARY | CMS_NOATTR | CMS_DETACHED, false, &der);

        cr_expect_eq(trust_verify_attached(store, TRUST_LAYER, der, size, &content, &n, NULL), -EBADMSG);
        cr_expect_null(content);
        trust_store_free(store);
        OPENSSL_free(der);
}

Test(trust, signer_of_another_purpose)
{
        struct trust_signer *s = open_signer("policy");
        struct error e = {};
        uint8_t *der = NULL;
        size_t size = 0;

        cr_expect_eq(trust_sign(s, TRUST_LAYER, data, SIZE, false, &der, &size, &e), -EKEYREJECTED,
                     "signing asks for the purpose");
        cr_assert_eq(trust_sign(s, TRUST_POLICY, data, SIZE, false, &der, &size, NULL), 0);
        cr_expect_eq(verify(TRUST_LAYER, der, size, &e), -EKEYREJECTED);
        cr_expect_not_null(strstr(e.message, "purpose layer expected, found policy"), "%s", e.message);
        free(der);
        trust_signer_free(s);
}

Test(trust, foreign_signer)
{
        struct trust_signer *s = open_signer("foreign");
        struct error e = {};
        uint8_t *der = NULL;
        size_t size = 0;

        cr_assert_eq(trust_sign(s, TRUST_LAYER, data, SIZE, false, &der, &size, NULL), 0);
        cr_expect_eq(verify(TRUST_LAYER, der, size, &e), -ENOKEY, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "of CN=foreign"), "%s", e.message);
        free(der);
        trust_signer_free(s);
}

Test(trust, other_data)
{
        struct trust_store *store = open_store();
        uint8_t *der = NULL;
        size_t size = sign_with("layer", EVP_sha256(), CMS_BINARY | CMS_NOATTR | CMS_DETACHED, false, &der);
        char upper[] = "B1f70444dd50abab40255db49cf605164124b9c8152ffe9ed810eada35ea2ca5";

        cr_expect_eq(trust_verify_detached(store, TRUST_LAYER, upper, SIZE, der, size, NULL), -EKEYREJECTED);
        cr_expect_eq(trust_verify_detached(store, TRUST_LAYER, data, SIZE - 1, der, size, NULL),
                     -EKEYREJECTED);
        cr_expect_eq(trust_verify_detached(store, TRUST_LAYER, data, 0, der, size, NULL), -EKEYREJECTED);
        cr_expect_eq(trust_verify_detached(store, TRUST_LAYER, data, SIZE, der, size, NULL), 0);
        trust_store_free(store);
        OPENSSL_free(der);
}

#define PLAIN (CMS_BINARY | CMS_NOATTR | CMS_DETACHED)

Test(trust, forms_the_kernel_takes)
{
        static const struct {
                const char *what, *name;
                const char *md;
                unsigned flags;
        } forms[] = {
                {"certificate inside", "layer", "SHA256", PLAIN},
                {"no certificate inside", "layer", "SHA256", PLAIN | CMS_NOCERTS},
                {"SHA-384", "layer", "SHA384", PLAIN},
                {"SHA-512", "layer", "SHA512", PLAIN},
                {"signer named by key identifier", "layer", "SHA256", PLAIN | CMS_USE_KEYID},
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                struct error e = {};
                uint8_t *der;
                size_t size = sign_with(forms[i].name, EVP_get_digestbyname(forms[i].md), forms[i].flags,
                                        false, &der);

                cr_expect_eq(verify(TRUST_LAYER, der, size, &e), 0, "%s: %s", forms[i].what, e.message);
                OPENSSL_free(der);
        }
}

Test(trust, forms_refused)
{
        static const struct {
                const char *what, *md;
                unsigned flags;
                bool pss;
        } forms[] = {
                {"SHA-1", "SHA1", PLAIN, false},
                {"attributes", "SHA256", CMS_BINARY | CMS_DETACHED | CMS_NOSMIMECAP, false},
                {"S/MIME capabilities", "SHA256", CMS_BINARY | CMS_DETACHED, false},
                {"content inside", "SHA256", CMS_BINARY | CMS_NOATTR, false},
                {"RSA-PSS", "SHA256", PLAIN, true},
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                struct error e = {};
                uint8_t *der;
                size_t size = sign_with("layer", EVP_get_digestbyname(forms[i].md), forms[i].flags,
                                        forms[i].pss, &der);

                cr_expect_eq(verify(TRUST_LAYER, der, size, &e), -EBADMSG, "%s: %s", forms[i].what,
                             e.message);
                OPENSSL_free(der);
        }
}

Test(trust, two_signers)
{
        BIO *bio = BIO_new_mem_buf(data, SIZE), *file;
        CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, PLAIN | CMS_PARTIAL);
        static const char *const names[] = {"layer", "foreign"};
        unsigned char *der = NULL;
        int n;

        for (size_t i = 0; i < 2; i++) {
                char path[64];
                EVP_PKEY *key;
                X509 *x;

                (void)snprintf(path, sizeof(path), "%s.key", names[i]);
                file = BIO_new_file(path, "r");
                key = PEM_read_bio_PrivateKey(file, NULL, NULL, NULL);
                BIO_free(file);
                (void)snprintf(path, sizeof(path), "%s.pem", names[i]);
                file = BIO_new_file(path, "r");
                x = PEM_read_bio_X509(file, NULL, NULL, NULL);
                BIO_free(file);
                cr_assert_not_null(CMS_add1_signer(cms, x, key, EVP_sha256(), PLAIN));
                EVP_PKEY_free(key);
                X509_free(x);
        }
        cr_assert_eq(CMS_final(cms, bio, NULL, PLAIN), 1);
        n = i2d_CMS_ContentInfo(cms, &der);
        cr_expect_eq(verify(TRUST_LAYER, der, (size_t)n, NULL), -EBADMSG);
        OPENSSL_free(der);
        CMS_ContentInfo_free(cms);
        BIO_free(bio);
}

Test(trust, every_truncation_and_every_flipped_byte)
{
        struct trust_store *store = open_store();
        uint8_t *der = NULL, *longer;
        const uint8_t *list, *signer;
        size_t size = sign_with("layer", EVP_sha256(), PLAIN | CMS_NOCERTS, false, &der);

        for (size_t n = 0; n < size; n++)
                cr_expect_eq(trust_verify_detached(store, TRUST_LAYER, data, SIZE, der, n, NULL), -EBADMSG,
                             "%zu bytes", n);
        /* What carries no meaning here: the two version numbers, which the kernel compares itself, and
         * SignedData's list of digests, which nobody reads because the signer names its own. */
        list = memmem(der, size, "\x02\x01\x01\x31", 4);
        cr_assert_not_null(list);
        signer = memmem(list + 5, size - (size_t)(list + 5 - der), "\x02\x01\x01", 3);
        cr_assert_not_null(signer);
        for (size_t i = 0; i < size; i++) {
                if ((der + i >= list + 2 && der + i < list + 5 + list[4]) || der + i == signer + 2)
                        continue;
                der[i] ^= 0x01;
                cr_expect_lt(trust_verify_detached(store, TRUST_LAYER, data, SIZE, der, size, NULL), 0,
                             "byte %zu", i);
                der[i] ^= 0x01;
        }
        longer = calloc(1, size + 4);
        memcpy(longer, der, size);
        cr_expect_eq(trust_verify_detached(store, TRUST_LAYER, data, SIZE, longer, size + 4, NULL), -EBADMSG,
                     "trailing bytes");
        free(longer);
        trust_store_free(store);
        OPENSSL_free(der);
}

/* --- stores --- */

Test(trust, store_refuses_a_certificate_under_another_purpose)
{
        struct trust_store *store = NULL;
        struct error e = {};

        copy("layer.pem", "trust/policy.pem");
        cr_expect_eq(trust_store_open(AT_FDCWD, "trust", &store, &e), -EKEYREJECTED);
        cr_expect_not_null(strstr(e.message, "trust/policy.pem"), "%s", e.message);
        copy("plain.pem", "trust/policy.pem");
        cr_expect_eq(trust_store_open(AT_FDCWD, "trust", &store, &e), -EKEYREJECTED);
        cr_expect_null(store);
}

Test(trust, store_refuses_what_is_no_certificate)
{
        static const char *const bad[] = {"", "hello",
                                          "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
        struct trust_store *store = NULL;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cr_assert_eq(
                        write_file_atomic(AT_FDCWD, "trust/test.pem", bad[i], strlen(bad[i]), 0644, NULL), 0);
                cr_expect_eq(trust_store_open(AT_FDCWD, "trust", &store, NULL), -EBADMSG, "%s", bad[i]);
        }
        cr_expect_eq(trust_store_open(AT_FDCWD, "nowhere", &store, NULL), -ENOENT);
}

Test(trust, several_certificates_in_a_file)
{
        char *argv[] = {(char *)"sh", (char *)"-c", (char *)"cat foreign.pem layer.pem >trust/layer.pem",
                        NULL};
        struct trust_store *store;

        cr_assert_eq(process_check(argv, NULL, NULL), 0);
        store = open_store();
        cr_expect_eq(trust_store_count(store, TRUST_LAYER), 2);
        cr_expect_eq(trust_store_count(store, TRUST_BOOT), 0);
        trust_store_free(store);
        round_trip("layer", TRUST_LAYER);
        round_trip("foreign", TRUST_LAYER);
}

/* --- signers --- */

Test(trust, signer_refuses_what_does_not_belong_together)
{
        struct error e = {};

        cr_expect_eq(try_signer("layer.key", "policy.pem", &e), -EKEYREJECTED);
        cr_expect_not_null(strstr(e.message, "policy.pem"));
        cr_expect_lt(try_signer("absent.key", "layer.pem", &e), 0);
        cr_expect_lt(try_signer("layer.pem", "layer.pem", &e), 0, "a certificate is no key");
        cr_expect_eq(try_signer("layer.key", "absent.pem", &e), -ENOENT);
}

Test(trust, signer_refuses_keys_the_kernel_cannot_use)
{
        char *argv[] = {
                (char *)"sh", (char *)"-c",
                (char *)"openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=small -keyout small.key -out "
                        "small.pem && "
                        "openssl req -x509 -newkey ed25519 -nodes -subj /CN=ed -keyout ed.key -out ed.pem",
                NULL};

        cr_assert_eq(process_check(argv, NULL, NULL), 0);
        cr_expect_eq(try_signer("small.key", "small.pem", NULL), -EKEYREJECTED);
        cr_expect_eq(try_signer("ed.key", "ed.pem", NULL), -EKEYREJECTED);
}

/* r and s, as a TPM takes them, are a signature like any other. */
Test(trust, bare_ecdsa)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *policy = open_signer("policy"),
                                                             *rsa = open_signer("layer");
        _cleanup_(trust_store_free_ptr) struct trust_store *store = open_store();
        _cleanup_free_ uint8_t *der = NULL;
        uint8_t pair[64] = {};
        struct error e = {};
        size_t n = 0;

        cr_assert_eq(trust_sign_ecdsa(policy, TRUST_POLICY, data, SIZE, pair, &e), 0, "%s", e.message);
        cr_assert_eq(trust_attach(policy, TRUST_POLICY, data, SIZE, pair, sizeof(pair), &der, &n, &e), 0,
                     "%s", e.message);
        cr_expect_eq(trust_verify_detached(store, TRUST_POLICY, data, SIZE, der, n, &e), 0, "%s", e.message);
        cr_expect_eq(trust_sign_ecdsa(policy, TRUST_BUILD, data, SIZE, pair, NULL), -EKEYREJECTED);
        cr_expect_eq(trust_sign_ecdsa(rsa, TRUST_LAYER, data, SIZE, pair, NULL), -EKEYREJECTED);
}
