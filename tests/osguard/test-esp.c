/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What osguard takes from the ESP, here a directory. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hex.h"
#include "osguard/osguard.h"
#include "signers.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define SIGNATURE "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
#define POLICY                                                                                               \
        "{\"name\":\"volume\",\"pcrs\":[7,11,12,14],\"values\":{\"7\":\"" ONES "\",\"11\":\"" ZEROS          \
        "\",\"12\":\"" ZEROS "\",\"14\":\"" ONES "\"},\"policy\":\"%s\",\"signature\":\"" SIGNATURE "\"}"

static const char image_text[] = "an image";
static const struct image image = {.text = (char *)image_text, .size = sizeof(image_text) - 1};

/* A manifest of this image, with the digests that belong there. */
static const char *make_manifest(void)
{
        static char text[4096];
        struct tpm_pcr_policy policy = {.pcrs = 1u << 7 | 1u << 11 | 1u << 12 | 1u << 14};
        uint8_t digest[32];
        char image_hex[65], policy_hex[65];

        memset(policy.values[7], 0x11, 32);
        memset(policy.values[14], 0x11, 32);
        cr_assert_eq(tpm_policy_pcr(&policy, digest, NULL), 0);
        hex_encode(digest, 32, policy_hex);
        cr_assert_eq(trust_sha256(image.text, image.size, digest), 0);
        hex_encode(digest, 32, image_hex);
        (void)snprintf(text, sizeof(text),
                       "{\"version\":1,\"image_sha256\":\"%s\",\"pcr_policies\":[" POLICY "]}", image_hex,
                       policy_hex);
        return text;
}

static int parse(const char *text, bool of_image, struct tpm_pcr_policy **ret, struct error *e)
{
        uint8_t digest[32];
        size_t n = 0;
        int r;

        cr_assert_eq(trust_sha256(image.text, image.size, digest), 0);
        r = pcr_policies_parse("manifest", text, strlen(text), of_image ? digest : NULL, ret, &n, e);
        cr_expect(r < 0 || n == 1);
        return r;
}

Test(manifest, good)
{
        _cleanup_free_ struct tpm_pcr_policy *policies = NULL;
        struct error e = {};

        cr_assert_eq(parse(make_manifest(), true, &policies, &e), 0, "%s", e.message);
        cr_expect_eq(policies[0].pcrs, 1u << 7 | 1u << 11 | 1u << 12 | 1u << 14);
        cr_expect_eq(policies[0].values[14][31], 0x11);
        cr_expect_eq(policies[0].values[11][31], 0);
}

struct change {
        char from[32], to[96];
};

ParameterizedTestParameters(manifest, bad)
{
        static struct change changes[] = {
                {"\"version\":1", "\"version\":2"},
                {"\"image_sha256\":\"", "\"image_sha256\":\"0"},
                {"\"image_sha256\"", "\"image\""},
                {"\"pcr_policies\":[{", "\"pcr_policies\":[7,{"},
                {"\"pcr_policies\":[", "\"pcr_policies\":[],\"others\":["},
                {"\"volume\"", "\"other\""},
                {"[7,11,12,14]", "[7,11,12]"},
                {"[7,11,12,14]", "[7,11,12,14,15]"},
                {"[7,11,12,14]", "[7,12,11,14]"},
                {"[7,11,12,14]", "[7,11,12,13]"},
                {"[7,11,12,14]", "\"7,11,12,14\""},
                {"\"7\":\"11", "\"7\":\"12"},
                {"\"7\":\"11", "\"7\":\"1"},
                {"\"7\":\"11", "\"07\":\"11"},
                {"\"7\":\"", "\"4\":\"" ZEROS "\",\"7\":\""},
                {"\"policy\":\"", "\"policy\":\"0"},
                {"\"signature\":\"AAAA", "\"signature\":\""},
                {"\"signature\":\"AAAA", "\"signature\":\"!AAA"},
                {"\"signature\":\"", "\"signature\":7,\"other\":\""},
        };

        return cr_make_param_array(struct change, changes, sizeof(changes) / sizeof(changes[0]));
}

ParameterizedTest(struct change *c, manifest, bad)
{
        struct tpm_pcr_policy *policies = NULL;
        const char *text = make_manifest(), *at = strstr(text, c->from);
        struct error e = {};
        char changed[8192];

        cr_assert(at, "%s", c->from);
        (void)snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, c->to,
                       at + strlen(c->from));
        cr_expect_lt(parse(changed, true, &policies, &e), 0, "%s", c->to);
        cr_expect_null(policies);
        cr_expect(e.message[0], "a message for %s", c->to);
}

Test(manifest, of_another_image)
{
        struct tpm_pcr_policy *policies = NULL;
        const uint8_t other[32] = {1};
        struct error e = {};
        size_t n;

        cr_expect_eq(pcr_policies_parse("manifest", make_manifest(), strlen(make_manifest()), other,
                                        &policies, &n, &e),
                     -EBADMSG);
        cr_expect(strstr(e.message, "image_sha256"), "%s", e.message);
}

struct directory {
        struct signers keys;
        int fd;
        char manifest[64];
};

static void write_file(const struct directory *d, const char *name, const void *data, size_t size)
{
        struct error e = {};

        cr_assert_eq(write_file_atomic(d->fd, name, data, size, 0644, &e), 0, "%s", e.message);
}

static void write_signed(const struct directory *d, const char *name, enum trust_purpose purpose,
                         const char *text)
{
        uint8_t *der = NULL;
        size_t size = 0;

        signers_sign(&d->keys, purpose, text, strlen(text), &der, &size);
        write_file(d, name, der, size);
        free(der);
}

/* An ESP with a build manifest. */
static void start(struct directory *d)
{
        static const enum trust_purpose purposes[] = {TRUST_BUILD, TRUST_MANIFEST, TRUST_POLICY};
        char path[] = "/tmp/osguard-esp-XXXXXX", hex[65];
        uint8_t digest[32];

        signers_make(&d->keys, purposes, ELEMENTSOF(purposes));
        cr_assert(mkdtemp(path));
        d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(d->fd, 0);
        cr_assert_eq(mkdirat(d->fd, "EFI", 0755), 0);
        cr_assert_eq(mkdirat(d->fd, ESP_DIRECTORY, 0755), 0);
        cr_assert_eq(trust_sha256(image.text, image.size, digest), 0);
        hex_encode(digest, 32, hex);
        (void)snprintf(d->manifest, sizeof(d->manifest), ESP_DIRECTORY "/%.32s.p7m", hex);
        write_signed(d, d->manifest, TRUST_BUILD, make_manifest());
}

static int read_esp(const struct directory *d, struct esp *ret, struct error *e)
{
        return esp_read(d->fd, d->keys.trust, &image, ret, e);
}

Test(esp, the_least_and_the_most)
{
        struct directory d;
        struct esp esp = {};
        struct error e = {};

        start(&d);
        cr_assert_eq(read_esp(&d, &esp, &e), 0, "%s", e.message);
        cr_expect(esp.n_policies == 1 && !esp.host && !esp.token);
        esp_done(&esp);
        write_file(&d, ESP_DIRECTORY "/ipe-host.p7b", "x", 1);
        write_file(&d, ESP_DIRECTORY "/ipe-host.json", make_manifest(), strlen(make_manifest()));
        write_file(&d, ESP_DIRECTORY "/recovery.p7m", "yz", 2);
        cr_assert_eq(read_esp(&d, &esp, &e), 0, "%s", e.message);
        cr_expect(esp.host_size == 1 && esp.n_host_policies == 1 && esp.token_size == 2);
        esp_done(&esp);
        signers_done(&d.keys);
        close(d.fd);
}

Test(esp, what_ends_the_boot)
{
        struct directory d;
        struct esp esp = {};
        struct error e = {};

        start(&d);
        cr_assert_eq(unlinkat(d.fd, d.manifest, 0), 0);
        cr_expect_eq(read_esp(&d, &esp, &e), -ENOENT);
        cr_expect(strstr(e.message, "build manifest"), "%s", e.message);
        write_signed(&d, d.manifest, TRUST_MANIFEST, make_manifest());
        cr_expect_eq(read_esp(&d, &esp, &e), -EKEYREJECTED, "%s", e.message);
        write_file(&d, d.manifest, make_manifest(), strlen(make_manifest()));
        cr_expect_eq(read_esp(&d, &esp, &e), -EBADMSG, "%s", e.message);
        write_signed(&d, d.manifest, TRUST_BUILD, "{\"version\":1}");
        cr_expect_eq(read_esp(&d, &esp, &e), -EINVAL, "%s", e.message);
        write_signed(&d, d.manifest, TRUST_BUILD, make_manifest());
        write_file(&d, ESP_DIRECTORY "/ipe-host.p7b", "x", 1);
        cr_expect_eq(read_esp(&d, &esp, &e), -ENOENT, "its PCR policies are missing: %s", e.message);
        cr_assert_eq(mkdirat(d.fd, ESP_DIRECTORY "/ipe-host.json", 0755), 0);
        cr_expect_eq(read_esp(&d, &esp, &e), -EISDIR, "%s", e.message);
        signers_done(&d.keys);
        close(d.fd);
}
