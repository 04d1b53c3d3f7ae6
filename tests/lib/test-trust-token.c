/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys in a token (SoftHSM) through OpenSSL's PKCS#11 provider, other providers, and raw signatures. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../verity-tools/scratch.h"
#include "base/file.h"
#include "trust/trust.h"

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"

/* Longer than any file's name may be. */
#define PADDING "x-padding-padding-padding-padding-padding-padding-padding-padding-padding"
#define LONG_URI                                                                                             \
        "pkcs11:token=t;object=rsa;type=private?pin-value=5678&" PADDING "=1&" PADDING "=2&" PADDING         \
        "=3&" PADDING "=4"

static const char data[] = "b1f70444dd50abab40255db49cf605164124b9c8152ffe9ed810eada35ea2ca5";
#define SIZE (sizeof(data) - 1)

#ifdef __SANITIZE_ADDRESS__
/* The provider loads the module with RTLD_DEEPBIND, which AddressSanitizer ends the program for. */
__attribute__((visibility("default"))) void *dlopen(const char *path, int flags)
{
        void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");

        return next(path, flags & ~RTLD_DEEPBIND);
}
#endif

static void make_pair(const char *name, enum trust_algorithm algorithm)
{
        char *key = NULL, *certificate = NULL, path[64];

        cr_assert_eq(trust_generate(&(struct trust_generate_options){.purpose = TRUST_LAYER,
                                                                     .algorithm = algorithm,
                                                                     .common_name = name},
                                    &key, &certificate, NULL),
                     0);
        (void)snprintf(path, sizeof(path), "%s.key", name);
        put_text(path, key);
        (void)snprintf(path, sizeof(path), "%s.pem", name);
        put_text(path, certificate);
        free(key);
        free(certificate);
}

/* Nobody is at a terminal, also where a developer runs the tests. */
static void set_up_files(void)
{
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        cr_assert_geq(dup2(fd, STDIN_FILENO), 0);
        scratch_enter();
        make_pair("rsa", TRUST_RSA_2048);
        make_pair("p256", TRUST_P256);
        shell("mkdir trust && cat rsa.pem p256.pem >trust/layer.pem");
}

/* The token "t" with the PIN 5678 holds both keys and their certificates. */
static void set_up_token(void)
{
        set_up_files();
        cr_assert_eq(setenv("SOFTHSM2_CONF", "softhsm2.conf", 1), 0);
        cr_assert_eq(setenv("PKCS11_PROVIDER_MODULE", MODULE, 1), 0);
        shell("mkdir tokens && echo directories.tokendir=tokens >softhsm2.conf && echo 5678 >pin && "
              "softhsm2-util --init-token --free --label t --so-pin 1234 --pin 5678 && "
              "id=10; for k in rsa p256; do id=$((id + 1)); "
              "softhsm2-util --import $k.key --token t --label $k --id $id --pin 5678 && "
              "openssl x509 -in $k.pem -outform DER -out $k.der && "
              "pkcs11-tool --module " MODULE " --login --pin 5678 --token-label t --write-object $k.der "
              "--type cert --label $k --id $id || exit 1; done");
}

TestSuite(token, .init = set_up_token, .fini = scratch_leave);
TestSuite(raw, .init = set_up_files, .fini = scratch_leave);

/* Signs with key and certificate; the DER, or NULL and an error. */
static uint8_t *sign(const char *key, const char *certificate, size_t *ret_size, int *ret, struct error *e)
{
        const struct trust_signer_options o = {.key = key, .certificate = certificate};
        _cleanup_(trust_signer_free_ptr) struct trust_signer *s = NULL;
        uint8_t *der = NULL;

        *ret_size = 0;
        *ret = trust_signer_open(&o, &s, e);
        if (*ret >= 0)
                *ret = trust_sign(s, TRUST_LAYER, data, SIZE, false, &der, ret_size, e);
        return der;
}

static void expect_good(const uint8_t *der, size_t size)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *store = NULL;
        struct error e = {};

        cr_assert_not_null(der);
        cr_assert_eq(trust_store_open(AT_FDCWD, "trust", &store, NULL), 0);
        cr_expect_eq(trust_verify_detached(store, TRUST_LAYER, data, SIZE, der, size, &e), 0, "%s",
                     e.message);
}

/* --- tokens --- */

Test(token, a_key_in_a_token_signs_as_its_file_does)
{
        static const char *const uris[][2] = {
                {"pkcs11:token=t;object=rsa;type=private?pin-value=5678", "rsa.pem"},
                {"pkcs11:token=t;object=rsa?pin-source=file:pin", "rsa.pem"},
                {"pkcs11:token=t;object=rsa?pin-source=pin", "pkcs11:token=t;object=rsa;type=cert"},
                {"rsa.key", "pkcs11:token=t;object=rsa"},
                {LONG_URI, "rsa.pem"},
        };
        struct error e = {};
        size_t n, size;
        int r;
        _cleanup_free_ uint8_t *expected = sign("rsa.key", "rsa.pem", &size, &r, &e);

        expect_good(expected, size);
        for (size_t i = 0; i < ELEMENTSOF(uris); i++) {
                _cleanup_free_ uint8_t *der = sign(uris[i][0], uris[i][1], &n, &r, &e);

                cr_assert_eq(r, 0, "%s: %s", uris[i][0], e.message);
                cr_expect(n == size && memcmp(der, expected, n) == 0, "%s", uris[i][0]);
        }
}

Test(token, ecdsa)
{
        struct error e = {};
        size_t size;
        int r;
        _cleanup_free_ uint8_t *der =
                sign("pkcs11:token=t;object=p256?pin-value=5678", "p256.pem", &size, &r, &e);

        cr_assert_eq(r, 0, "%s", e.message);
        expect_good(der, size);
        put("s", der, size);
        put("d", data, SIZE);
        shell("openssl cms -verify -binary -inform DER -in s -content d -CAfile p256.pem -purpose any -out "
              "o");
}

Test(token, an_authority_in_a_token_issues)
{
        struct trust_generate_options o = {
                .purpose = TRUST_LAYER, .algorithm = TRUST_P384, .common_name = "ca", .authority = true};
        const struct trust_signer_options at = {.key = "pkcs11:token=t;object=ca?pin-value=5678",
                                                .certificate = "ca.pem"};
        _cleanup_free_ char *key = NULL, *ca = NULL, *leaf_key = NULL, *leaf = NULL;
        _cleanup_(trust_signer_free_ptr) struct trust_signer *issuer = NULL;
        struct error e = {};

        cr_assert_eq(trust_generate(&o, &key, &ca, &e), 0, "%s", e.message);
        put_text("ca.key", key);
        put_text("ca.pem", ca);
        shell("softhsm2-util --import ca.key --token t --label ca --id 20 --pin 5678 && rm ca.key");
        cr_assert_eq(trust_signer_open(&at, &issuer, &e), 0, "%s", e.message);
        o.issuer = issuer;
        o.authority = false;
        cr_assert_eq(trust_generate(&o, &leaf_key, &leaf, &e), 0, "%s", e.message);
        put_text("leaf.pem", leaf);
        shell("openssl verify -x509_strict -CAfile ca.pem -purpose any leaf.pem");
}

Test(token, the_uri_may_name_the_module)
{
        struct error e = {};
        size_t size;
        int r;
        _cleanup_free_ uint8_t *der = NULL;

        cr_assert_eq(unsetenv("PKCS11_PROVIDER_MODULE"), 0);
        der = sign("pkcs11:token=t;object=rsa?pin-value=5678&module-path=" MODULE, "rsa.pem", &size, &r, &e);
        cr_assert_eq(r, 0, "%s", e.message);
        expect_good(der, size);
        cr_expect_null(sign("pkcs11:object=rsa?module-path=/absent.so", "rsa.pem", &size, &r, &e));
        cr_expect_eq(r, -ENODEV);
        cr_expect_not_null(strstr(e.message, "initialization failed"), "%s", e.message);
}

Test(token, what_is_wrong_is_said)
{
        static const struct {
                const char *key, *certificate;
                int result;
                const char *says;
        } cases[] = {
                {"pkcs11:token=t;object=rsa?pin-value=9876", "rsa.pem", -EACCES, "refused the PIN"},
                {"pkcs11:token=t;object=rsa", "rsa.pem", -EACCES, "pin-source=file:"},
                {"pkcs11:token=t;object=rsa?pin-source=file:absent", "rsa.pem", -ENOENT, "pin-source absent"},
                {"pkcs11:token=t;object=other?pin-value=5678", "rsa.pem", -ENOENT,
                 "none of that name among 2"},
                {"rsa.key", "pkcs11:token=t;object=other;type=cert", -ENOENT,
                 "certificate expected, found none of that name among 2"},
                {"pkcs11:token=u;object=rsa?pin-value=5678", "rsa.pem", -ENODEV, "a token that holds"},
                {"pkcs11:token=t;object=rsa?pin-value=5678", "p256.pem", -EKEYREJECTED, "another key's"},
                {"PKCS11:token=u;object=rsa?pin-value=5678", "rsa.pem", -ENODEV, "a token that holds"},
                {"handle:0x81000001?pin=5678", "rsa.pem", -ENOENT, "--provider"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct error e = {};
                size_t size;
                int r;
                _cleanup_free_ uint8_t *der = sign(cases[i].key, cases[i].certificate, &size, &r, &e);

                cr_expect_eq(r, cases[i].result, "%s: %d: %s", cases[i].key, r, e.message);
                cr_expect_not_null(strstr(e.message, cases[i].says), "%s: %s", cases[i].key, e.message);
                cr_expect_null(strstr(e.message, "5678"), "a PIN is not shown: %s", e.message);
                cr_expect_null(der);
        }
}

/* --- providers --- */

Test(raw, providers)
{
        static const char *const good[] = {"base"}, *const bad[] = {"base", "absent"};
        struct trust_signer_options o = {"rsa.key", "rsa.pem", good, 1};
        struct trust_signer *s = NULL;
        struct error e = {};
        uint8_t *der = NULL;
        size_t size = 0;

        cr_assert_eq(trust_signer_open(&o, &s, &e), 0, "%s", e.message);
        cr_assert_eq(trust_sign(s, TRUST_LAYER, data, SIZE, false, &der, &size, &e), 0, "%s", e.message);
        expect_good(der, size);
        free(der);
        s = trust_signer_free(s);
        o.providers = bad;
        o.n_providers = 2;
        cr_expect_eq(trust_signer_open(&o, &s, &e), -ENOPKG);
        cr_expect_not_null(strstr(e.message, "\"absent\""), "%s", e.message);
        cr_expect_null(s);
}

Test(raw, nobody_is_asked_for_a_passphrase)
{
        struct error e = {};
        size_t size;
        int r;

        shell("openssl pkey -in rsa.key -aes256 -passout pass:x -out closed.key");
        cr_expect_null(sign("closed.key", "rsa.pem", &size, &r, &e));
        cr_expect_eq(r, -EACCES, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "passphrase"), "%s", e.message);
}

/* --- raw signatures --- */

static int attach(const char *certificate, const char *path, uint8_t **ret, size_t *ret_size, struct error *e)
{
        const struct trust_signer_options o = {.certificate = certificate};
        _cleanup_(trust_signer_free_ptr) struct trust_signer *s = NULL;
        size_t n;
        _cleanup_free_ char *raw = slurp(path, &n);

        cr_assert_eq(trust_signer_open(&o, &s, e), 0, "%s", e->message);
        return trust_attach(s, TRUST_LAYER, data, SIZE, raw, n, ret, ret_size, e);
}

static void write_digest(const char *certificate, const char *algorithm, const char *scheme)
{
        const struct trust_signer_options o = {.certificate = certificate};
        struct trust_signer *s = NULL;
        struct trust_digest digest;
        uint8_t *der = NULL;
        struct error e = {};
        size_t size;

        cr_assert_eq(trust_signer_open(&o, &s, &e), 0, "%s", e.message);
        cr_assert_eq(trust_signer_digest(s, TRUST_LAYER, data, SIZE, &digest, &e), 0, "%s", e.message);
        cr_expect_str_eq(digest.algorithm, algorithm);
        cr_expect_str_eq(digest.scheme, scheme);
        cr_expect_eq(trust_signer_digest(s, TRUST_POLICY, data, SIZE, &digest, &e), -EKEYREJECTED);
        cr_expect_eq(trust_sign(s, TRUST_LAYER, data, SIZE, false, &der, &size, &e), -EINVAL, "no key");
        cr_assert_eq(trust_signer_digest(s, TRUST_LAYER, data, SIZE, &digest, &e), 0);
        put("digest", digest.bytes, digest.size);
        trust_signer_free(s);
}

Test(raw, every_form_a_signer_hands_out)
{
        static const char *const forms[] = {
                "cp raw form",
                "base64 raw >form",
                "base64 -w0 raw | tr -d = | tr +/ -_ >form",
        };

        for (size_t k = 0; k < 2; k++) {
                const char *name = k == 0 ? "rsa" : "p256";
                _cleanup_free_ uint8_t *first = NULL;
                size_t first_size = 0;
                char certificate[16];

                (void)snprintf(certificate, sizeof(certificate), "%s.pem", name);
                write_digest(certificate, "sha256", k == 0 ? "RSASSA-PKCS1-v1_5" : "ECDSA");
                shell("openssl pkeyutl -sign -inkey %s.key -in digest -pkeyopt digest:sha256 -out raw", name);
                for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                        _cleanup_free_ uint8_t *der = NULL;
                        struct error e = {};
                        size_t size = 0;

                        shell("%s", forms[i]);
                        cr_assert_eq(attach(certificate, "form", &der, &size, &e), 0, "%s: %s", forms[i],
                                     e.message);
                        expect_good(der, size);
                        if (!first) {
                                first = TAKE_PTR(der);
                                first_size = size;
                        } else
                                cr_expect(size == first_size && memcmp(der, first, size) == 0, "%s",
                                          forms[i]);
                }
        }
}

/* r and s as JSON Web Signatures and cloud services have them: padded to the curve's size. */
Test(raw, ecdsa_as_a_pair)
{
        write_digest("p256.pem", "sha256", "ECDSA");
        for (size_t i = 0; i < 16; i++) {
                _cleanup_free_ uint8_t *der = NULL;
                struct error e = {};
                size_t size = 0;

                shell("openssl pkeyutl -sign -inkey p256.key -in digest -pkeyopt digest:sha256 -out raw && "
                      "openssl asn1parse -inform DER -in raw | sed -n 's/.*INTEGER *://p' | "
                      "while read n; do printf %%64s $n | tr ' ' 0; done | basenc --base16 -d >pair && "
                      "test $(stat -c %%s pair) = 64");
                cr_assert_eq(attach("p256.pem", "pair", &der, &size, &e), 0, "%s", e.message);
                expect_good(der, size);
        }
}

Test(raw, p384_goes_with_sha384)
{
        struct error e = {};
        uint8_t *der = NULL;
        size_t size = 0;

        shell("openssl req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -subj /CN=p384 "
              "-keyout "
              "p384.key -out p384.pem -addext extendedKeyUsage=critical,%s.3 && cp p384.pem trust/layer.pem",
              TRUST_OID_PURPOSES);
        write_digest("p384.pem", "sha384", "ECDSA");
        shell("openssl pkeyutl -sign -inkey p384.key -in digest -pkeyopt digest:sha384 -out raw");
        cr_assert_eq(attach("p384.pem", "raw", &der, &size, &e), 0, "%s", e.message);
        expect_good(der, size);
        free(der);
}

Test(raw, anything_else_is_refused)
{
        static const char *const lines[] = {
                "head -c 256 /dev/urandom >raw",
                ": >raw",
                "echo ==== >raw",
                "head -c 1024 /dev/zero >raw",
                "head -c 1024 /dev/zero | tr '\\0' A >raw",
                "openssl pkeyutl -sign -inkey p256.key -in digest -pkeyopt digest:sha256 -out raw",
                "openssl dgst -sha256 -sign rsa.key -sigopt rsa_padding_mode:pss -out raw data",
                "openssl dgst -sha256 -sign rsa.key -out raw digest",
                "openssl pkeyutl -sign -inkey rsa.key -in digest -pkeyopt digest:sha256 -out raw; echo >>raw",
        };

        write_digest("rsa.pem", "sha256", "RSASSA-PKCS1-v1_5");
        put("data", data, SIZE);
        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                struct error e = {};
                uint8_t *der = NULL;
                size_t size = 0;

                shell("%s", lines[i]);
                cr_expect_eq(attach("rsa.pem", "raw", &der, &size, &e), -EKEYREJECTED, "%s", lines[i]);
                cr_expect_not_null(strstr(e.message, "RSASSA-PKCS1-v1_5 with sha256"), "%s", e.message);
                cr_expect_null(der);
        }
}
