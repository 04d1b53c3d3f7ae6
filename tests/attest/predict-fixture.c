/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "predict-fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"

#define OWNER "6b0f3c59-5a0e-4a5e-9d3a-1f3f0a4e7c11"
#define DIGITS(c) #c #c #c #c #c #c #c #c #c #c #c #c #c #c #c #c
#define DIGEST(c) DIGITS(c) DIGITS(c) DIGITS(c) DIGITS(c)

#define UUID "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"

char *image_text(const char *variant)
{
        char *text = NULL;

        cr_assert_gt(
                asprintf(
                        &text,
                        "{\"version\": 1, \"name\": \"holdfast\", \"variant\": \"%s\", \"security_version\": "
                        "3,\n"
                        " \"cmdline\": \"console=ttyS0 quiet\",\n"
                        " \"root\": {\"partition_uuid\": \"" UUID "\", \"verity_partition_uuid\": \"" UUID
                        "\",\n"
                        "  \"signature_partition_uuid\": \"" UUID "\", \"root_hash\": \"" DIGEST(
                                a) "\",\n"
                                   "  \"algorithm\": \"sha256\", \"salt\": \"" DIGEST(
                                           0) "\", \"data_block_size\": 4096,\n"
                                              "  \"hash_block_size\": 4096, \"data_size\": 40960, "
                                              "\"hash_offset\": 0},\n"
                                              " \"policies\": {\n"
                                              "  \"ipe_boot\": {\"name\": \"boot\", \"version\": \"1.0.0\", "
                                              "\"sha256\": \"" DIGEST(
                                                      b) "\"},\n"
                                                         "  \"ipe_host\": {\"name\": \"host\", \"version\": "
                                                         "\"1.2.3\", \"sha256\": \"" DIGEST(
                                                                 c) "\"},\n"
                                                                    "  \"selinux\": {\"sha256\": \"" DIGEST(
                                                                            d) "\"}},\n"
                                                                               " \"modules\": [\"erofs\"]}\n",
                        variant),
                0);
        return text;
}

/* Firmware and systemd-sbsign both want RSA. */
static void make_rsa_pair(const char *name)
{
        const struct trust_generate_options o = {
                .purpose = TRUST_BOOT, .algorithm = TRUST_RSA_2048, .common_name = name};
        char *key = NULL, *certificate = NULL, path[64];

        cr_assert_eq(trust_generate(&o, &key, &certificate, NULL), 0);
        (void)snprintf(path, sizeof(path), "%s.key", name);
        put_text(path, key);
        (void)snprintf(path, sizeof(path), "%s.pem", name);
        put_text(path, certificate);
        free(key);
        free(certificate);
}

static void make_initrd(void)
{
        char *text = image_text("prod");

        put_text("main/init", "not an executable\n");
        put_text("last/etc/holdfast/image.json", text);
        free(text);
        shell("cd main && find . | sort | cpio --quiet -o -H newc | zstd -q >../initrd");
        shell("truncate -s %%4 initrd && cd last && find . | sort | cpio --quiet -o -H newc >>../initrd");
}

void make_uki(const char *path, const char *key, const char *options)
{
        char sign[256] = "";

        if (key)
                (void)snprintf(sign, sizeof(sign),
                               "--signtool=systemd-sbsign --no-sign-kernel --secureboot-private-key=%s.key "
                               "--secureboot-certificate=%s.pem",
                               key, key);
        shell("ukify build --linux=linux --initrd=initrd --cmdline=@cmdline --os-release=@osrel "
              "--uname=6.12-test "
              "--stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub %s %s --output=%s >/dev/null",
              sign, options, path);
}

void predict_enter(void)
{
        static const char *const pairs[] = {"boot", "foreign", "PK", "KEK"};

        scratch_enter();
        for (size_t i = 0; i < ELEMENTSOF(pairs); i++)
                make_rsa_pair(pairs[i]);
        trust_signer_free(make_signer("build", TRUST_BUILD));
        shell("cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi linux");
        put_text("cmdline", "console=ttyS0 quiet\n");
        put_text("osrel", "ID=holdfast\nVERSION_ID=3\n");
        put_text("uname", "6.12-test");
        make_initrd();
        make_uki("uki.efi", "boot", "");
        shell("virt-fw-vars --loglevel error -i /usr/share/OVMF/OVMF_VARS_4M.fd -o vars.fd --set-pk " OWNER
              " PK.pem --add-kek " OWNER " KEK.pem --add-db " OWNER " KEK.pem --add-db " OWNER
              " boot.pem --sb");
}

struct slice read_slice(const char *path)
{
        size_t size = 0;
        char *bytes = slurp(path, &size);

        return (struct slice){(uint8_t *)bytes, size};
}

struct slice open_uki(const char *path, struct uki *ret)
{
        struct slice file = read_slice(path);
        struct error e = {};

        cr_assert_eq(uki_parse(file, ret, &e), 0, "%s", e.message);
        return file;
}

const struct predicted_event *find_event(const struct prediction *p, unsigned pcr, const char *source)
{
        for (size_t i = 0; i < p->n; i++)
                if (p->events[i].pcr == pcr && strncmp(p->events[i].source, source, strlen(source)) == 0)
                        return &p->events[i];
        cr_assert_fail("PCR %u: no event %s", pcr, source);
        return NULL;
}

const char *hex_of(const uint8_t digest[static 32])
{
        static char hex[65];

        hex_encode(digest, 32, hex);
        return hex;
}
