/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which signed IPE policies osguard takes, and why it refuses the others. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "osguard/osguard.h"

#define HOST                                                                                                 \
        "policy_name=host policy_version=1.2.3\nDEFAULT action=DENY\nop=EXECUTE dmverity_signature=TRUE "    \
        "action=ALLOW\n"
#define TRUSTING HOST "op=EXECUTE boot_verified=TRUE action=ALLOW\n"

static char directory[] = "/tmp/osguard-ipe-XXXXXX";
static struct trust_store *trust;
static struct trust_signer *policy_signer, *layer_signer;

static struct trust_signer *make_signer(enum trust_purpose purpose)
{
        const char *name = trust_purpose_to_string(purpose);
        char key_path[128], certificate_path[128];
        char *key = NULL, *certificate = NULL;
        struct trust_signer *signer = NULL;
        struct error e = {};

        cr_assert_eq(trust_generate(&(struct trust_generate_options){.purpose = purpose,
                                                                     .algorithm = TRUST_P256,
                                                                     .common_name = "test"},
                                    &key, &certificate, &e),
                     0, "%s", e.message);
        (void)snprintf(key_path, sizeof(key_path), "%s/%s.key", directory, name);
        (void)snprintf(certificate_path, sizeof(certificate_path), "%s/%s.pem", directory, name);
        cr_assert_eq(write_file_atomic(AT_FDCWD, key_path, key, strlen(key), 0600, &e), 0);
        cr_assert_eq(
                write_file_atomic(AT_FDCWD, certificate_path, certificate, strlen(certificate), 0644, &e), 0);
        cr_assert_eq(trust_signer_open(
                             &(struct trust_signer_options){.key = key_path, .certificate = certificate_path},
                             &signer, &e),
                     0, "%s", e.message);
        free(key);
        free(certificate);
        return signer;
}

static void start(void)
{
        struct error e = {};

        cr_assert(mkdtemp(directory));
        policy_signer = make_signer(TRUST_POLICY);
        layer_signer = make_signer(TRUST_LAYER);
        cr_assert_eq(trust_store_open(AT_FDCWD, directory, &trust, &e), 0, "%s", e.message);
}

static void stop(void)
{
        trust_store_free(trust);
        trust_signer_free(policy_signer);
        trust_signer_free(layer_signer);
}

/* Signs the text for this purpose and loads it as osguard would, with a reference to what was signed but for
 * `change`. */
static int load(const struct trust_signer *signer, enum trust_purpose purpose, const char *text, bool host,
                void (*change)(struct policy_reference *), struct error *e)
{
        struct policy_reference reference = {.name = "host", .version = {1, 2, 3}};
        uint8_t *der = NULL, *loaded = NULL;
        size_t size = 0, loaded_size = 0;
        char path[128];
        int r;

        (void)snprintf(path, sizeof(path), "%s/policy.p7b", directory);
        cr_assert_eq(trust_sign(signer, purpose, text, strlen(text), true, &der, &size, e), 0, "%s",
                     e->message);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, der, size, 0644, e), 0, "%s", e->message);
        cr_assert_eq(trust_sha256(der, size, reference.sha256), 0);
        if (change)
                change(&reference);
        r = ipe_policy_load_file(trust, path, &reference, host, &loaded, &loaded_size, e);
        cr_expect_eq(r == 0, loaded != NULL, "a result comes with success and only then");
        cr_expect(r < 0 || (loaded_size == size && memcmp(loaded, der, size) == 0),
                  "the bytes that were checked");
        free(loaded);
        free(der);
        return r;
}

static void other_digest(struct policy_reference *r)
{
        r->sha256[31] ^= 1;
}

static void other_name(struct policy_reference *r)
{
        strcpy(r->name, "another");
}

static void newer(struct policy_reference *r)
{
        r->version[2]++;
}

static void older(struct policy_reference *r)
{
        r->version[0] = 0;
}

Test(ipe, the_policy_that_the_image_names, .init = start, .fini = stop)
{
        struct error e = {};

        cr_expect_eq(load(policy_signer, TRUST_POLICY, HOST, true, NULL, &e), 0, "%s", e.message);
        cr_expect_eq(load(policy_signer, TRUST_POLICY, TRUSTING, false, NULL, &e), 0,
                     "a boot policy may trust the initramfs: %s", e.message);
}

Test(ipe, another_digest_name_or_version, .init = start, .fini = stop)
{
        static void (*const changes[])(struct policy_reference *) = {other_digest, other_name, newer, older};

        for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
                struct error e = {};

                cr_expect_lt(load(policy_signer, TRUST_POLICY, HOST, true, changes[i], &e), 0, "change %zu",
                             i);
                cr_expect(strstr(e.message, "expected"), "%s", e.message);
        }
}

Test(ipe, our_key_of_another_purpose, .init = start, .fini = stop)
{
        struct error e = {};

        cr_expect_eq(load(layer_signer, TRUST_LAYER, HOST, true, NULL, &e), -EKEYREJECTED);
        cr_expect(strstr(e.message, "policy") && strstr(e.message, "layer"), "%s", e.message);
}

Test(ipe, a_host_policy_that_trusts_the_initramfs, .init = start, .fini = stop)
{
        struct error e = {};

        cr_expect_eq(load(policy_signer, TRUST_POLICY, TRUSTING, true, NULL, &e), -EINVAL);
        cr_expect(strstr(e.message, "boot_verified"), "%s", e.message);
}

Test(ipe, a_policy_that_allows_anything, .init = start, .fini = stop)
{
        struct error e = {};

        cr_expect_eq(load(policy_signer, TRUST_POLICY,
                          "policy_name=host policy_version=1.2.3\nDEFAULT action=ALLOW\n", true, NULL, &e),
                     -EINVAL);
        cr_expect(strstr(e.message, "allows any"), "%s", e.message);
}

Test(ipe, what_the_kernel_would_not_parse, .init = start, .fini = stop)
{
        struct error e = {};

        cr_expect_eq(
                load(policy_signer, TRUST_POLICY, "policy_name=host policy_version=1.2.3\n", true, NULL, &e),
                -EBADMSG);
}

Test(ipe, a_file_that_is_not_there, .init = start, .fini = stop)
{
        struct policy_reference reference = {.name = "host"};
        struct error e = {};
        uint8_t *der = NULL;
        size_t size;

        cr_expect_eq(ipe_policy_load_file(trust, "/nonexistent", &reference, true, &der, &size, &e), -ENOENT);
        cr_expect_null(der);
}
