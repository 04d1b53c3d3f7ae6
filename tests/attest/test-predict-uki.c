/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UKIs, their signatures and initrds; the peers are systemd-measure and the pesign module of virt-firmware.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/pem.h>
#include <string.h>

#include "attest/predict/initrd.h"
#include "base/cleanup.h"
#include "predict-fixture.h"

TestSuite(uki, .init = predict_enter, .fini = scratch_leave);

Test(uki, sections_are_what_systemd_measure_says)
{
        struct prediction p = {};
        struct uki uki;
        struct slice file = open_uki("uki.efi", &uki);
        uint8_t value[32];
        char *peer;

        cr_assert_eq(predict_uki(&p, &uki, NULL), 0);
        cr_assert_eq(prediction_value(&p, 11, PREDICTION_READY, value, NULL), 0);
        put("sbat", uki.sections[UKI_SBAT].bytes, uki.sections[UKI_SBAT].size);
        peer = shell_output(
                "/usr/lib/systemd/systemd-measure calculate --linux=linux --osrel=osrel --cmdline=cmdline "
                "--initrd=initrd --uname=uname --sbat=sbat --bank=sha256 --phase= --json=short "
                "| sed 's/.*\"hash\":\"//; s/\".*//'");
        cr_expect_str_eq(hex_of(value), peer);
        free(peer);
        free((void *)file.bytes);
}

Test(uki, authenticode_digest_is_what_another_reader_finds)
{
        struct uki uki;
        struct slice file = open_uki("uki.efi", &uki);
        uint8_t digest[32];
        char *peer;

        peer = shell_output("python3 -c 'import pefile, virt.peutils.pesign as s; "
                            "print(s.pe_authenticode_hash(pefile.PE(\"uki.efi\")).hex())'");
        cr_assert_eq(pe_authenticode(&uki.pe, digest, NULL), 0);
        cr_expect_str_eq(hex_of(digest), peer);
        free(peer);
        free((void *)file.bytes);
}

static int signed_by(const char *path, const char *certificate, struct error *e)
{
        struct slice file = read_slice(path);
        FILE *f = fopen(certificate, "re");
        struct pe pe;
        X509 *x;
        int r;

        cr_assert_not_null(f);
        x = PEM_read_X509(f, NULL, NULL, NULL);
        cr_assert_not_null(x);
        r = pe_parse(file, &pe, e);
        if (r >= 0)
                r = pe_signed_by(&pe, x, e);
        X509_free(x);
        (void)fclose(f);
        free((void *)file.bytes);
        return r;
}

/* Every byte that Authenticode covers, now and then one. */
Test(uki, signature_covers_the_file)
{
        struct slice file = read_slice("uki.efi");
        _cleanup_free_ uint8_t *copy = malloc(file.size);

        cr_expect_eq(signed_by("uki.efi", "boot.pem", NULL), 1);
        cr_expect_eq(signed_by("uki.efi", "foreign.pem", NULL), 0);
        for (size_t at = 0x400; at < file.size; at += file.size / 37) {
                memcpy(copy, file.bytes, file.size);
                copy[at] ^= 1;
                put("changed.efi", copy, file.size);
                cr_expect_neq(signed_by("changed.efi", "boot.pem", NULL), 1, "byte %zu", at);
        }
        make_uki("unsigned.efi", NULL, "");
        cr_expect_eq(signed_by("unsigned.efi", "boot.pem", NULL), -EBADMSG);
        free((void *)file.bytes);
}

Test(uki, what_could_be_read_differently_is_refused)
{
        struct slice file = read_slice("uki.efi");
        _cleanup_free_ uint8_t *copy = malloc(file.size + 8);
        size_t header = get_le32(file.bytes + 60), table = header + 24 + get_le16(file.bytes + header + 20);
        struct uki uki;

        memcpy(copy, file.bytes, file.size);
        memset(copy + file.size, 0, 8);
        cr_expect_eq(uki_parse((struct slice){copy, file.size}, &uki, NULL), 0);
        cr_expect_eq(uki_parse((struct slice){copy, file.size + 8}, &uki, NULL), -EBADMSG,
                     "bytes at the end");
        copy[table + 20] ^= 2;
        cr_expect_eq(uki_parse((struct slice){copy, file.size}, &uki, NULL), -EBADMSG, "a gap");
        for (size_t n = 0; n < file.size; n += n < 0x800 ? 1 : 4099)
                cr_expect_eq(uki_parse((struct slice){file.bytes, n}, &uki, NULL), -EBADMSG, "%zu bytes", n);
        make_uki("splash.efi", "boot", "--section=.hwids:cmdline");
        struct slice other = read_slice("splash.efi");
        cr_expect_eq(uki_parse(other, &uki, NULL), -EBADMSG, "a section that is not known");
        free((void *)other.bytes);
        free((void *)file.bytes);
}

/* --- initrds --- */

static int find(const char *archive, const char *path, char **ret)
{
        struct slice file = read_slice(archive);
        uint8_t *content = NULL;
        size_t size = 0;
        int r = initrd_find(file, path, &content, &size, NULL);

        free((void *)file.bytes);
        if (ret)
                *ret = (char *)content;
        else
                free(content);
        return r;
}

Test(uki, files_are_found_in_both_parts_of_an_initrd)
{
        _cleanup_free_ char *init = NULL, *json = NULL, *expected = image_text("prod");

        cr_assert_eq(find("initrd", "init", &init), 0);
        cr_expect_str_eq(init, "not an executable\n");
        cr_assert_eq(find("initrd", "etc/holdfast/image.json", &json), 0);
        cr_expect_str_eq(json, expected);
        cr_expect_eq(find("initrd", "etc/holdfast", NULL), -EBADMSG);
        cr_expect_eq(find("initrd", "absent", NULL), -ENOENT);
}

Test(uki, initrds_with_a_file_twice_or_damaged_are_refused)
{
        struct slice file = read_slice("initrd");
        uint8_t *content = NULL;
        size_t size = 0;

        shell("cat initrd >twice && (cd last && find . | cpio --quiet -o -H newc >>../twice)");
        cr_expect_eq(find("twice", "etc/holdfast/image.json", NULL), -EEXIST);
        for (size_t n = 1; n < file.size; n += 7) {
                int r = initrd_find((struct slice){file.bytes, n}, "etc/holdfast/image.json", &content, &size,
                                    NULL);

                cr_expect(r == -EBADMSG || r == -ENOENT || (r == 0 && n > file.size - 512), "%zu bytes: %d",
                          n, r);
                if (r == 0)
                        free(content);
        }
        shell("head -c 600000000 /dev/zero | zstd -q >bomb");
        cr_expect_eq(find("bomb", "init", NULL), -E2BIG);
        shell("zstd -q </dev/null >empty && for i in $(seq 1 257); do cat empty; done >frames");
        cr_expect_eq(find("frames", "init", NULL), -E2BIG);
        free((void *)file.bytes);
}
