/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is encrypted to the owner can be read with the owner's key and Debian's openssl, and with nothing
 * else. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../verity-tools/scratch.h"
#include "base/file.h"
#include "base/process.h"
#include "trust/trust.h"

static const uint8_t secret[32] = {0, 1, 2, '\n', '\r', 26, 255};

static void make_pair(const char *name, enum trust_algorithm algorithm)
{
        const struct trust_generate_options o = {
                .purpose = TRUST_RECOVERY, .algorithm = algorithm, .common_name = name};
        char *key = NULL, *certificate = NULL, path[64];
        struct error e = {};

        cr_assert_eq(trust_generate(&o, &key, &certificate, &e), 0, "%s", e.message);
        (void)snprintf(path, sizeof(path), "%s.key", name);
        put_text(path, key);
        (void)snprintf(path, sizeof(path), "%s.pem", name);
        put_text(path, certificate);
        free(key);
        free(certificate);
}

static void set_up(void)
{
        scratch_enter();
        make_pair("rsa", TRUST_RSA_4096);
        make_pair("ec", TRUST_P384);
        make_pair("other", TRUST_P256);
        shell("mkdir trust && cat rsa.pem ec.pem >trust/recovery.pem");
}

TestSuite(encrypt, .init = set_up, .fini = scratch_leave);

static int encrypt(uint8_t **der, size_t *size, struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *store = NULL;

        cr_assert_eq(trust_store_open(AT_FDCWD, "trust", &store, e), 0, "%s", e->message);
        return trust_encrypt(store, secret, sizeof(secret), der, size, e);
}

static void put_encrypted(void)
{
        _cleanup_free_ uint8_t *der = NULL;
        struct error e = {};
        size_t size = 0;

        cr_assert_eq(encrypt(&der, &size, &e), 0, "%s", e.message);
        put("m.p7m", der, size);
}

static int decrypt(const char *name)
{
        char certificate[32], key[32];
        const char *argv[] = {"openssl", "cms",       "-decrypt", "-inform", "DER",  "-in", "m.p7m",
                              "-recip",  certificate, "-inkey",   key,       "-out", "out", NULL};

        (void)snprintf(certificate, sizeof(certificate), "%s.pem", name);
        (void)snprintf(key, sizeof(key), "%s.key", name);
        return process_check((char *const *)argv, NULL, NULL);
}

Test(encrypt, each_recipient_can_decrypt)
{
        put_encrypted();
        for (int i = 0; i < 2; i++) {
                _cleanup_free_ char *found = NULL;
                size_t size = 0;

                cr_assert_eq(decrypt(i ? "ec" : "rsa"), 0);
                found = slurp("out", &size);
                cr_assert_eq(size, sizeof(secret));
                cr_expect_arr_eq(found, secret, size);
        }
        cr_expect_lt(decrypt("other"), 0, "its certificate is not in recovery.pem");
}

Test(encrypt, the_form_is_the_one_described)
{
        _cleanup_free_ char *text = NULL;

        put_encrypted();
        text = shell_output("openssl cms -cmsout -print -inform DER -in m.p7m");
        cr_expect_not_null(strstr(text, "id-smime-ct-authEnvelopedData"));
        cr_expect_not_null(strstr(text, "aes-256-gcm"));
        cr_expect_not_null(strstr(text, "rsaesOaep"));
        cr_expect_not_null(strstr(text, "dhSinglePass-stdDH-sha256kdf-scheme"));
        cr_expect_null(strstr(text, "sha1"));
}

/* GCM authenticates the content: a changed byte is never decrypted to something else. */
Test(encrypt, changes_are_noticed)
{
        _cleanup_free_ char *der = NULL;
        size_t size = 0;

        put_encrypted();
        cr_assert_eq(decrypt("rsa"), 0);
        der = slurp("m.p7m", &size);
        der[size - 1] ^= 1;
        put("m.p7m", der, size);
        cr_expect_lt(decrypt("rsa"), 0);
}

Test(encrypt, nobody_to_encrypt_to)
{
        uint8_t *der = NULL;
        struct error e = {};
        size_t size = 0;

        shell("rm trust/recovery.pem");
        cr_expect_eq(encrypt(&der, &size, &e), -ENOKEY);
        cr_expect_not_null(strstr(e.message, "recovery.pem"));
        cr_expect_null(der);
}
