/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* osguard's events and the policies signed over them, against osguard's own code and a TPM. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "attest/predict/manifest.h"
#include "base/file.h"
#include "base/hex.h"
#include "osguard/osguard.h"
#include "predict-fixture.h"
#include "swtpm.h"

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

TestSuite(boot, .init = predict_enter, .fini = scratch_leave);

static struct image_json open_image(const char *variant)
{
        struct image_json image = {};
        struct error e = {};
        char *text = image_text(variant);

        cr_assert_eq(image_json_parse(text, strlen(text), &image, &e), 0, "%s", e.message);
        return image;
}

/* Everything that the volume's policy needs. */
static struct prediction predict_all(const struct image_json *image, const struct image_policy *host)
{
        struct slice store = read_slice("vars.fd"), file;
        struct prediction p = {};
        struct uki uki;
        struct error e = {};

        file = open_uki("uki.efi", &uki);
        cr_assert_eq(predict_uki(&p, &uki, &e), 0, "%s", e.message);
        cr_assert_eq(predict_secure_boot(&p, store, &uki, &e), 0, "%s", e.message);
        cr_assert_eq(predict_osguard(&p, image, host, NULL, &e), 0, "%s", e.message);
        free((void *)store.bytes);
        free((void *)file.bytes);
        return p;
}

static void append(struct event_log *log, const char *name, const char *data)
{
        cr_assert_eq(event_log_append(log, name, data, strlen(data), NULL), 0, "%s", name);
}

/* What osguard extends before the volume is opened. */
static void measure(struct event_log *log, const struct image *image)
{
        char hex[65];

        cr_assert_eq(event_log_append(log, "image", image->text, image->size, NULL), 0);
        cr_assert_eq(ipe_policy_measure(log, &image->ipe_boot, NULL), 0);
        hex_encode(image->root.root_hash, 32, hex);
        append(log, "root", hex);
        cr_assert_eq(ipe_policy_measure(log, &image->ipe_host, NULL), 0);
        hex_encode(image->selinux_sha256, 32, hex);
        append(log, "selinux-policy", hex);
}

static void expect_pcr(struct tpm *tpm, const struct prediction *p, enum prediction_moment moment)
{
        uint8_t expected[32], found[32];

        cr_assert_eq(prediction_value(p, 14, moment, expected, NULL), 0);
        cr_assert_eq(tpm_pcr_read(tpm, 14, found, NULL), 0);
        cr_expect_arr_eq(expected, found, 32, "PCR 14, moment %d", moment);
}

/* Extends what firmware and stub would. */
static void replay(struct tpm *tpm, const struct prediction *p, unsigned pcr)
{
        for (size_t i = 0; i < p->n; i++) {
                struct tpm_digests d = {.n = 1, .digest = {{.algorithm = 0x000b, .size = 32}}};

                if (p->events[i].pcr != pcr)
                        continue;
                memcpy(d.digest[0].bytes, p->events[i].digest, 32);
                cr_assert_eq(tpm_pcr_extend(tpm, pcr, &d, NULL), 0);
        }
}

static char *make_manifest(const struct image_json *image, const struct prediction *p,
                           sd_json_variant *packages)
{
        struct trust_signer *signer = make_signer("owner", TRUST_BUILD);
        struct error e = {};
        struct uki uki;
        struct slice file = open_uki("uki.efi", &uki);
        char *text = NULL;

        cr_assert_eq(manifest_make(
                             &(struct manifest_input){
                                     .image = image, .uki = &uki, .prediction = p, .packages = packages},
                             signer, &text, &e),
                     0, "%s", e.message);
        trust_signer_free(signer);
        free((void *)file.bytes);
        return text;
}

/* The manifest's policy through osguard's parser, and whether this TPM is in the state that it names. */
static int check_policy(struct tpm *tpm, const char *manifest, const struct image *image, struct error *e)
{
        char *pem = slurp("owner.pem", NULL);
        struct tpm_pcr_policy *policies = NULL;
        struct tpm_public authority;
        uint8_t digest[32];
        size_t n = 0;
        int r;

        cr_assert_eq(trust_sha256(image->text, image->size, digest), 0);
        cr_assert_eq(tpm_public_from_pem(pem, &authority, NULL), 0);
        cr_assert_eq(pcr_policies_parse("manifest", manifest, strlen(manifest), digest, &policies, &n, e), 0,
                     "%s", e->message);
        cr_expect_eq(n, 1u);
        cr_expect_eq(tpm_policy_verify(&authority, &policies[0], NULL), 0);
        r = tpm_authorization_check(
                tpm, &(struct tpm_authorization){.authority = &authority, .policies = policies, .n = n}, e);
        free(policies);
        free(pem);
        return r;
}

Test(boot, a_tpm_accepts_the_signed_policy_until_the_cap)
{
        struct image_json json = open_image("prod");
        struct prediction p = predict_all(&json, NULL);
        char *manifest = make_manifest(&json, &p, NULL), path[128], *log_bytes;
        struct event_log *log = NULL;
        struct tpm *tpm = NULL;
        struct image image;
        struct error e = {};
        struct swtpm s;
        size_t size;

        swtpm_start(&s);
        cr_assert_eq(tpm_open(s.tcti, &tpm, &e), 0, "%s", e.message);
        (void)snprintf(path, sizeof(path), "%s/osguard.cel", s.directory);
        cr_assert_eq(event_log_create(path, 14, tpm, &log, NULL), 0);
        cr_assert_eq(image_parse(json.text, json.size, &image, &e), 0, "%s", e.message);
        measure(log, &image);
        expect_pcr(tpm, &p, PREDICTION_VOLUME);
        cr_expect_eq(check_policy(tpm, manifest, &image, &e), -EPERM, "PCRs 7 and 11 are zeros");
        replay(tpm, &p, 7);
        replay(tpm, &p, 11);
        cr_expect_eq(check_policy(tpm, manifest, &image, &e), 0, "%s", e.message);
        append(log, "cap", "switch-root");
        expect_pcr(tpm, &p, PREDICTION_READY);
        cr_expect_eq(check_policy(tpm, manifest, &image, &e), -EPERM, "after the cap");
        log_bytes = slurp(path, &size);
        cr_expect_eq(prediction_compare(&p, log_bytes, size, &e), 0, "%s", e.message);
        free(log_bytes);
        free(manifest);
        image_done(&image);
        image_json_done(&json);
        event_log_free(log);
        tpm_free(tpm);
        swtpm_done(&s);
}

/* --- a newer host policy, payloads --- */

static struct image_policy host_policy(const char *name, unsigned major)
{
        struct image_policy host = {.version = {(uint16_t)major, 0, 0}};

        (void)snprintf(host.name, sizeof(host.name), "%s", name);
        (void)snprintf(host.sha256, sizeof(host.sha256), HEX64);
        return host;
}

Test(boot, a_newer_host_policy_changes_one_event)
{
        struct image_policy newer = host_policy("host", 2), older = host_policy("host", 1),
                            other = host_policy("other", 2);
        struct image_json image = open_image("prod");
        struct prediction with = predict_all(&image, &newer), without = predict_all(&image, NULL), p = {};
        size_t changed = 0;

        cr_assert_eq(with.n, without.n);
        for (size_t i = 0; i < with.n; i++)
                changed += memcmp(with.events[i].digest, without.events[i].digest, 32) != 0;
        cr_expect_eq(changed, 1u);
        cr_expect_eq(predict_osguard(&p, &image, &older, NULL, NULL), -ESTALE);
        cr_expect_eq(predict_osguard(&p, &image, &image.ipe_host, NULL, NULL), -ESTALE);
        cr_expect_eq(predict_osguard(&p, &image, &other, NULL, NULL), -EINVAL);
        image_json_done(&image);
}

Test(boot, a_payload_comes_after_the_volume_and_never_in_prod)
{
        struct image_json prod = open_image("prod"), dev = open_image("dev");
        struct prediction p = {}, with = {}, without = {};
        uint8_t a[32], b[32];

        cr_expect_eq(predict_osguard(&p, &prod, NULL, HEX64, NULL), -EINVAL);
        cr_expect_eq(predict_osguard(&p, &dev, NULL, "short", NULL), -EINVAL);
        cr_assert_eq(predict_osguard(&with, &dev, NULL, HEX64, NULL), 0);
        cr_assert_eq(predict_osguard(&without, &dev, NULL, NULL, NULL), 0);
        cr_assert_eq(prediction_value(&with, 14, PREDICTION_VOLUME, a, NULL), 0);
        cr_assert_eq(prediction_value(&without, 14, PREDICTION_VOLUME, b, NULL), 0);
        cr_expect_arr_eq(a, b, 32);
        cr_assert_eq(prediction_value(&with, 14, PREDICTION_READY, a, NULL), 0);
        cr_assert_eq(prediction_value(&without, 14, PREDICTION_READY, b, NULL), 0);
        cr_expect_arr_neq(a, b, 32);
        image_json_done(&prod);
        image_json_done(&dev);
}

Test(boot, image_json_is_checked)
{
        static const struct {
                const char *from, *to;
        } changes[] = {
                {"\"version\": 1,", "\"version\": 2,"}, {"\"root_hash\": \"aa", "\"root_hash\": \"AA"},
                {"\"1.2.3\"", "\"1.2.3.4\""},           {"\"ipe_boot\"", "\"ipe_bott\""},
                {"\"cmdline\"", "\"cmdlime\""},         {"\"dddd", "\"xddd"},
        };
        struct image_json image;

        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                char *good = image_text("prod"), *at = strstr(good, changes[i].from), *text = NULL;

                cr_assert_not_null(at);
                cr_assert_gt(asprintf(&text, "%.*s%s%s", (int)(at - good), good, changes[i].to,
                                      at + strlen(changes[i].from)),
                             0);
                free(good);
                cr_expect_eq(image_json_parse(text, strlen(text), &image, NULL), -EINVAL, "%s",
                             changes[i].to);
        }
}

/* --- the manifest's text --- */

Test(boot, manifest_says_what_the_image_is)
{
        struct image_json image = open_image("prod");
        struct prediction p = predict_all(&image, NULL);
        sd_json_variant *packages = NULL, *v = NULL, *sbom;
        char *text;

        cr_assert_geq(sd_json_parse("[{\"name\": \"libstdc++6\", \"version\": \"1:14.2+b1\", "
                                    "\"architecture\": \"amd64\", "
                                    "\"source\": \"gcc-14\"}]",
                                    0, &packages, NULL, NULL),
                      0);
        text = make_manifest(&image, &p, packages);
        cr_assert_geq(sd_json_parse(text, 0, &v, NULL, NULL), 0);
        cr_expect_str_eq(json_optional_string(v, "variant"), "prod");
        cr_expect_eq(sd_json_variant_unsigned(sd_json_variant_by_key(v, "security_version")), 3u);
        cr_expect_eq(sd_json_variant_elements(sd_json_variant_by_key(v, "events")), p.n);
        cr_expect_null(json_optional_string(sd_json_variant_by_key(v, "pcrs"), "1"));
        cr_expect_not_null(json_optional_string(sd_json_variant_by_key(v, "pcrs"), "4"));
        sbom = sd_json_variant_by_key(v, "sbom");
        cr_expect_str_eq(json_optional_string(sbom, "spdxVersion"), "SPDX-2.3");
        cr_expect_not_null(strstr(text, "pkg:deb/debian/libstdc%2B%2B6@1:14.2%2Bb1?arch=amd64"));
        cr_expect_not_null(strstr(text, "SPDXRef-Package-0-libstdc--6"));
        sd_json_variant_unref(packages);
        sd_json_variant_unref(v);
        free(text);
        image_json_done(&image);
}

/* Keys of another purpose or kind sign no policies, and nothing is signed that was not predicted. */
Test(boot, policies_want_the_build_key_and_all_four_pcrs)
{
        struct image_json image = open_image("prod");
        struct prediction p = predict_all(&image, NULL), partial = {};
        struct trust_signer *layer = make_signer("layer", TRUST_LAYER),
                            *build = make_signer("good", TRUST_BUILD);
        sd_json_variant *v = NULL;

        cr_assert_eq(predict_osguard(&partial, &image, NULL, NULL, NULL), 0);
        cr_expect_eq(manifest_pcr_policy(&p, layer, &v, NULL), -EKEYREJECTED);
        cr_expect_eq(manifest_pcr_policy(&partial, build, &v, NULL), -ENODATA);
        cr_expect_eq(manifest_pcr_policy(&p, build, &v, NULL), 0);
        sd_json_variant_unref(v);
        trust_signer_free(layer);
        trust_signer_free(build);
        image_json_done(&image);
}
