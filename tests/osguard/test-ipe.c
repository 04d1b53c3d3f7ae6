/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which signed IPE policies osguard takes, and why it refuses the others. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "osguard/osguard.h"
#include "signers.h"

#define HOST                                                                                                 \
        "policy_name=host policy_version=1.2.3\nDEFAULT action=DENY\nop=EXECUTE dmverity_signature=TRUE "    \
        "action=ALLOW\n"
#define TRUSTING HOST "op=EXECUTE boot_verified=TRUE action=ALLOW\n"

static struct signers keys;

static void start(void)
{
        static const enum trust_purpose purposes[] = {TRUST_POLICY, TRUST_LAYER};

        signers_make(&keys, purposes, ELEMENTSOF(purposes));
}

static void stop(void)
{
        signers_done(&keys);
}

/* Signs the text for this purpose and loads it as osguard would, with a reference to what was signed but for
 * `change`. */
static int load(enum trust_purpose purpose, const char *text, bool host,
                void (*change)(struct policy_reference *), struct error *e)
{
        struct policy_reference reference = {.name = "host", .version = {1, 2, 3}};
        uint8_t *der = NULL, *loaded = NULL;
        size_t size = 0, loaded_size = 0;
        char path[128];
        int r;

        (void)snprintf(path, sizeof(path), "%s/policy.p7b", keys.directory);
        signers_sign(&keys, purpose, text, strlen(text), &der, &size);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, der, size, 0644, e), 0, "%s", e->message);
        cr_assert_eq(trust_sha256(der, size, reference.sha256), 0);
        if (change)
                change(&reference);
        r = ipe_policy_load_file(keys.trust, path, &reference, host, &loaded, &loaded_size, e);
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

        cr_expect_eq(load(TRUST_POLICY, HOST, true, NULL, &e), 0, "%s", e.message);
        cr_expect_eq(load(TRUST_POLICY, TRUSTING, false, NULL, &e), 0,
                     "a boot policy may trust the initramfs: %s", e.message);
}

Test(ipe, another_digest_name_or_version, .init = start, .fini = stop)
{
        static void (*const changes[])(struct policy_reference *) = {other_digest, other_name, newer, older};

        for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
                struct error e = {};

                cr_expect_lt(load(TRUST_POLICY, HOST, true, changes[i], &e), 0, "change %zu", i);
                cr_expect(strstr(e.message, "expected"), "%s", e.message);
        }
}

Test(ipe, our_key_of_another_purpose, .init = start, .fini = stop)
{
        struct error e = {};

        cr_expect_eq(load(TRUST_LAYER, HOST, true, NULL, &e), -EKEYREJECTED);
        cr_expect(strstr(e.message, "policy") && strstr(e.message, "layer"), "%s", e.message);
}

Test(ipe, a_host_policy_that_trusts_the_initramfs, .init = start, .fini = stop)
{
        struct error e = {};

        cr_expect_eq(load(TRUST_POLICY, TRUSTING, true, NULL, &e), -EINVAL);
        cr_expect(strstr(e.message, "boot_verified"), "%s", e.message);
}

Test(ipe, a_policy_that_allows_anything, .init = start, .fini = stop)
{
        struct error e = {};

        cr_expect_eq(load(TRUST_POLICY, "policy_name=host policy_version=1.2.3\nDEFAULT action=ALLOW\n", true,
                          NULL, &e),
                     -EINVAL);
        cr_expect(strstr(e.message, "allows any"), "%s", e.message);
}

Test(ipe, what_the_kernel_would_not_parse, .init = start, .fini = stop)
{
        struct error e = {};

        cr_expect_eq(load(TRUST_POLICY, "policy_name=host policy_version=1.2.3\n", true, NULL, &e), -EBADMSG);
}

static const char older_text[] = "policy_name=host policy_version=1.2.2\nDEFAULT action=DENY\nop=EXECUTE "
                                 "dmverity_signature=TRUE action=ALLOW\n";
static const char newer_text[] = "policy_name=host policy_version=1.3.0\nDEFAULT action=DENY\nop=EXECUTE "
                                 "dmverity_signature=TRUE action=ALLOW\n";
static const char other_text[] = "policy_name=another policy_version=1.3.0\nDEFAULT action=DENY\nop=EXECUTE "
                                 "dmverity_signature=TRUE action=ALLOW\n";

/* Chooses between HOST in the image and `esp_text` on the ESP (NULL: none there). */
static int choose(enum trust_purpose purpose, const char *esp_text, uint16_t boot_major,
                  struct host_policy *ret, struct error *e)
{
        struct image image = {.ipe_host = {.name = "host", .version = {1, 2, 3}},
                              .ipe_boot = {.version = {boot_major, 0, 0}}};
        struct esp esp = {};
        uint8_t *der = NULL;
        size_t size = 0;
        char path[128];
        int r;

        (void)snprintf(path, sizeof(path), "%s/host.p7b", keys.directory);
        signers_sign(&keys, TRUST_POLICY, HOST, strlen(HOST), &der, &size);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, der, size, 0644, e), 0, "%s", e->message);
        cr_assert_eq(trust_sha256(der, size, image.ipe_host.sha256), 0);
        if (esp_text == (const char *)HOST) {
                esp.host = der;
                esp.host_size = size;
                der = NULL;
        } else if (esp_text)
                signers_sign(&keys, purpose, esp_text, strlen(esp_text), &esp.host, &esp.host_size);
        r = host_policy_choose(keys.trust, &image, path, &esp, ret, e);
        free(der);
        esp_done(&esp);
        return r;
}

Test(host_policy, the_images_own, .init = start, .fini = stop)
{
        struct host_policy host = {};
        struct error e = {};

        cr_assert_eq(choose(TRUST_POLICY, NULL, 1, &host, &e), 0, "%s", e.message);
        cr_expect(!host.from_esp && host.der && host.reference.version[2] == 3);
        host_policy_done(&host);
}

Test(host_policy, a_newer_one_on_the_ESP, .init = start, .fini = stop)
{
        struct host_policy host = {};
        struct error e = {};

        cr_assert_eq(choose(TRUST_POLICY, newer_text, 1, &host, &e), 0, "%s", e.message);
        cr_expect(host.from_esp && host.reference.version[1] == 3 && host.reference.version[2] == 0);
        cr_expect_str_eq(host.reference.name, "host");
        host_policy_done(&host);
}

Test(host_policy, the_same_one_on_the_ESP, .init = start, .fini = stop)
{
        struct host_policy host = {};
        struct error e = {};

        cr_assert_eq(choose(TRUST_POLICY, HOST, 1, &host, &e), 0, "%s", e.message);
        cr_expect(!host.from_esp, "the PCR policies of the manifest count");
        host_policy_done(&host);
}

Test(host_policy, not_taken_from_the_ESP, .init = start, .fini = stop)
{
        static const struct {
                const char *text, *message;
                enum trust_purpose purpose;
                int r;
        } rows[] = {
                {older_text, "version 1.2.3 or higher expected, found 1.2.2", TRUST_POLICY, -ESTALE},
                {HOST "op=EXECUTE dmverity_signature=TRUE action=DENY\n", "another policy of the same",
                 TRUST_POLICY, -ESTALE},
                {other_text, "policy_name: host expected, found another", TRUST_POLICY, -EINVAL},
                {newer_text, "layer", TRUST_LAYER, -EKEYREJECTED},
                {"policy_name=host policy_version=1.3.0\nDEFAULT action=ALLOW\n", "allows any", TRUST_POLICY,
                 -EINVAL},
                {"policy_name=host policy_version=1.3.0\nDEFAULT action=DENY\nop=EXECUTE boot_verified=TRUE "
                 "action=ALLOW\n",
                 "boot_verified", TRUST_POLICY, -EINVAL},
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct host_policy host = {};
                struct error e = {};

                cr_expect_eq(choose(rows[i].purpose, rows[i].text, 1, &host, &e), rows[i].r, "row %zu: %s", i,
                             e.message);
                cr_expect(strstr(e.message, rows[i].message), "row %zu: %s", i, e.message);
                cr_expect_null(host.der);
        }
}

Test(host_policy, below_the_boot_policy, .init = start, .fini = stop)
{
        struct host_policy host = {};
        struct error e = {};

        cr_expect_eq(choose(TRUST_POLICY, NULL, 2, &host, &e), -ESTALE);
        cr_expect(strstr(e.message, "version 2.0.0 or higher expected, found 1.2.3"), "%s", e.message);
}

Test(ipe, a_file_that_is_not_there, .init = start, .fini = stop)
{
        struct policy_reference reference = {.name = "host"};
        struct error e = {};
        uint8_t *der = NULL;
        size_t size;

        cr_expect_eq(ipe_policy_load_file(keys.trust, "/nonexistent", &reference, true, &der, &size, &e),
                     -ENOENT);
        cr_expect_null(der);
}
