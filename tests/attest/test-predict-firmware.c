/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What firmware, variable store and disk determine; the peers are virt-fw-vars, Python's LZMA and sfdisk. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "attest/predict/gpt.h"
#include "attest/predict/variable-store.h"
#include "base/cleanup.h"
#include "predict-fixture.h"

#define OWNER "6b0f3c59-5a0e-4a5e-9d3a-1f3f0a4e7c11"
#define CODE "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"

TestSuite(firmware, .init = predict_enter, .fini = scratch_leave);

Test(firmware, version_and_volumes_are_those_of_ovmf)
{
        struct slice file = read_slice(CODE);
        struct prediction p = {};
        struct firmware f = {};
        struct error e = {};
        char *version, *volume;

        cr_assert_eq(firmware_parse(file, &f, &e), 0, "%s", e.message);
        cr_assert_eq(predict_firmware(&p, &f, &e), 0);
        version = shell_output(
                "dpkg-query -W -f '${source:Version}' ovmf | iconv -t UTF-16LE >v; printf '\\0\\0' >>v; "
                "sha256sum v | cut -c-64");
        volume = shell_output("python3 -c '\n"
                              "import hashlib, lzma\n"
                              "d = open(\"" CODE "\", \"rb\").read()\n"
                              "at = d.index(bytes.fromhex(\"98584eee143959429d6edc7bd79403cf\")) + 20\n"
                              "x = lzma.LZMADecompressor(format=lzma.FORMAT_ALONE).decompress(d[at:])\n"
                              "size = lambda i: int.from_bytes(x[i + 32:i + 40], \"little\")\n"
                              "i = x.index(b\"_FVH\") - 40\n"
                              "i = x.index(b\"_FVH\", i + size(i)) - 40\n"
                              "print(hashlib.sha256(x[i:i + size(i)]).hexdigest())'");
        cr_expect_str_eq(hex_of(find_event(&p, 0, "firmware version")->digest), version);
        cr_expect(find_event(&p, 0, "firmware volume 0")->open);
        cr_expect_str_eq(hex_of(find_event(&p, 0, "firmware volume 1")->digest), volume);
        free(version);
        free(volume);
        firmware_done(&f);
        free((void *)file.bytes);
}

Test(firmware, damaged_files_are_refused)
{
        struct slice file = read_slice(CODE);
        uint8_t *copy = (uint8_t *)file.bytes;
        struct firmware f = {};

        cr_expect_eq(firmware_parse((struct slice){file.bytes, 0x1000}, &f, NULL), -EBADMSG);
        cr_expect_eq(firmware_parse((struct slice){(const uint8_t *)"text", 4}, &f, NULL), -EBADMSG);
        copy[0x10000] ^= 0x55;
        copy[0x100000] ^= 0x55;
        cr_expect_lt(firmware_parse(file, &f, NULL), 0);
        free(copy);
}

/* --- Secure Boot --- */

static int predict_with(const char *variables, const char *uki_path, struct prediction *p, struct error *e)
{
        struct slice store = read_slice(variables), file;
        struct uki uki;
        int r;

        file = open_uki(uki_path, &uki);
        r = predict_secure_boot(p, store, &uki, e);
        free((void *)store.bytes);
        free((void *)file.bytes);
        return r;
}

/* The digest of UEFI_VARIABLE_DATA, from what virt-fw-vars reads. */
static char *peer_variable(const char *name)
{
        return shell_output(
                "virt-fw-vars --loglevel error -i vars.fd --output-json vars.json && python3 -c '\n"
                "import hashlib, json, struct, uuid\n"
                "v = next(v for v in json.load(open(\"vars.json\"))[\"variables\"] if v[\"name\"] == "
                "\"%s\")\n"
                "d = bytes.fromhex(v[\"data\"]); n = v[\"name\"].encode(\"utf-16le\")\n"
                "e = uuid.UUID(v[\"guid\"]).bytes_le + struct.pack(\"<QQ\", len(v[\"name\"]), len(d)) + n + "
                "d\n"
                "print(hashlib.sha256(e).hexdigest())'",
                name);
}

Test(firmware, secure_boot_variables_are_what_virt_fw_vars_reads)
{
        static const char *const names[] = {"PK", "KEK", "db", "dbx"};
        struct prediction p = {};
        struct error e = {};

        cr_assert_eq(predict_with("vars.fd", "uki.efi", &p, &e), 0, "%s", e.message);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                char source[32], *peer = peer_variable(names[i]);

                (void)snprintf(source, sizeof(source), "variable %s", names[i]);
                cr_expect_str_eq(hex_of(find_event(&p, 7, source)->digest), peer, "%s", names[i]);
                free(peer);
        }
}

Test(firmware, authority_is_the_entry_of_db_that_vouches)
{
        struct prediction p = {};
        char *peer;

        cr_assert_eq(predict_with("vars.fd", "uki.efi", &p, NULL), 0);
        peer = shell_output("openssl x509 -in boot.pem -outform der -out boot.der && python3 -c '\n"
                            "import hashlib, struct, uuid\n"
                            "d = uuid.UUID(\"" OWNER "\").bytes_le + open(\"boot.der\", \"rb\").read()\n"
                            "g = uuid.UUID(\"d719b2cb-3d3a-4596-a3bc-dad00e67656f\").bytes_le\n"
                            "e = g + struct.pack(\"<QQ\", 2, len(d)) + \"db\".encode(\"utf-16le\") + d\n"
                            "print(hashlib.sha256(e).hexdigest())'");
        cr_expect_str_eq(hex_of(find_event(&p, 7, "authority in db")->digest), peer);
        cr_expect_eq(p.events[p.n - 1].type, 0x800000e0u, "it comes last");
        free(peer);
}

Test(firmware, what_secure_boot_refuses_is_not_predicted)
{
        struct prediction p = {};
        struct error e = {};
        struct uki uki;
        struct slice file = open_uki("uki.efi", &uki);
        uint8_t digest[32];

        make_uki("foreign.efi", "foreign", "");
        cr_expect_eq(predict_with("vars.fd", "foreign.efi", &p, &e), -EKEYREJECTED);
        make_uki("unsigned.efi", NULL, "");
        cr_expect_lt(predict_with("vars.fd", "unsigned.efi", &p, &e), 0);
        cr_assert_eq(pe_authenticode(&uki.pe, digest, NULL), 0);
        /* An EFI_SIGNATURE_LIST with one SHA-256 digest, and the attributes of an authenticated variable. */
        shell("printf '{\"version\": 2, \"variables\": [{\"name\": \"dbx\", \"attr\": 39, "
              "\"guid\": \"d719b2cb-3d3a-4596-a3bc-dad00e67656f\", \"data\": \""
              "2616c4c14c509240aca941f9369343284c0000000000000030000000%032d%s\"}]}' >dbx.json && "
              "virt-fw-vars --loglevel error -i vars.fd -o revoked.fd --set-json dbx.json",
              0, hex_of(digest));
        cr_expect_eq(predict_with("revoked.fd", "uki.efi", &p, &e), -EKEYREJECTED);
        cr_expect_not_null(strstr(e.message, "dbx"), "%s", e.message);
        free((void *)file.bytes);
}

/* The stub starts the kernel in another way then, which measures more. */
Test(firmware, without_secure_boot_nothing_is_predicted)
{
        struct prediction p = {};

        shell("cp /usr/share/OVMF/OVMF_VARS_4M.fd empty.fd");
        cr_expect_eq(predict_with("empty.fd", "uki.efi", &p, NULL), -EKEYREJECTED);
        shell("virt-fw-vars --loglevel error -i vars.fd -o off.fd --set-false SecureBootEnable");
        cr_expect_eq(predict_with("off.fd", "uki.efi", &p, NULL), -EKEYREJECTED);
}

Test(firmware, a_variable_that_is_being_replaced_is_refused)
{
        struct slice store = read_slice("vars.fd"), value = {};
        uint8_t *bytes = (uint8_t *)store.bytes;
        size_t at = 0;

        cr_assert_eq(variable_find(store, efi_global_guid, "PK", &value, NULL), 1);
        cr_expect_eq(variable_find(store, efi_global_guid, "PQ", &value, NULL), 0);
        /* The header of 60 bytes and the name "PK" stand before the value. */
        at = (size_t)(value.bytes - store.bytes) - 6 - 60;
        cr_assert_eq(get_le16(bytes + at), 0x55aa);
        bytes[at + 2] = 0x3e;
        cr_expect_eq(variable_find(store, efi_global_guid, "PK", &value, NULL), -EBADMSG);
        bytes[at + 2] = 0x3c;
        cr_expect_eq(variable_find(store, efi_global_guid, "PK", &value, NULL), 0);
        cr_expect_eq(variable_find((struct slice){bytes, 1000}, efi_global_guid, "PK", &value, NULL),
                     -EBADMSG);
        free(bytes);
}

/* --- disks --- */

Test(firmware, partition_table_is_what_sfdisk_wrote)
{
        uint8_t *event = NULL;
        size_t size = 0;
        struct slice disk;

        shell("truncate -s 16M disk && printf 'label: gpt\\nsize=4M\\nsize=1M, name=second\\n' | sfdisk -q "
              "disk");
        disk = read_slice("disk");
        cr_assert_eq(gpt_event((struct slice){disk.bytes, GPT_HEAD_SIZE}, &event, &size, NULL), 0);
        cr_expect_eq(size, 92u + 8 + 2 * 128);
        cr_expect_eq(memcmp(event, disk.bytes + 512, 92), 0);
        cr_expect_eq(get_le64(event + 92), 2u);
        cr_expect_eq(memcmp(event + 100, disk.bytes + 1024, 256), 0);
        free(event);
        for (size_t at = 512; at < 512 + 92; at++) {
                ((uint8_t *)disk.bytes)[at] ^= 4;
                cr_expect_eq(gpt_event((struct slice){disk.bytes, GPT_HEAD_SIZE}, &event, &size, NULL),
                             -EBADMSG, "header, byte %zu", at - 512);
                ((uint8_t *)disk.bytes)[at] ^= 4;
        }
        ((uint8_t *)disk.bytes)[1024 + 40] ^= 4;
        cr_expect_eq(gpt_event((struct slice){disk.bytes, GPT_HEAD_SIZE}, &event, &size, NULL), -EBADMSG);
        free((void *)disk.bytes);
}
