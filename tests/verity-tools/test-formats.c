/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Geometry, superblocks and signatures as they are read: each field once out of range. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "scratch.h"
#include "verity-tools/internal.h"

#define ROOT "b1f70444dd50abab40255db49cf605164124b9c8152ffe9ed810eada35ea2ca5"
#define SALT "0000000000000000000000000000000000000000000000000000000000000000"

/* --- geometry --- */

static const char good_json[] =
        "{\"root_hash\":\"" ROOT "\",\"algorithm\":\"sha256\",\"salt\":\"" SALT "\","
        "\"data_block_size\":4096,\"hash_block_size\":4096,\"data_size\":40960,\"hash_offset\":0}";

struct replacement {
        char from[72], to[160];
};

/* The text with one piece replaced, parsed. */
static sd_json_variant *parse_changed(const char *text, const struct replacement *p)
{
        const char *at = strstr(text, p->from);
        sd_json_variant *v = NULL;
        char changed[4096];

        cr_assert_not_null(at, "%s", p->from);
        (void)snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, p->to,
                       at + strlen(p->from));
        cr_assert_eq(sd_json_parse(changed, 0, &v, NULL, NULL), 0, "%s", changed);
        return v;
}

Test(geometry, from_json)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        struct verity_geometry g = {};
        struct error e = {};
        char root_hash[2 * VERITY_DIGEST_MAX + 1];

        cr_assert_eq(sd_json_parse(good_json, 0, &v, NULL, NULL), 0);
        cr_assert_eq(verity_geometry_from_json(v, "t", &g, &e), 0, "%s", e.message);
        cr_expect_eq(g.data_blocks, 10);
        cr_expect_eq(g.salt_size, 32);
        cr_expect_eq(verity_tree_offset(&g), 4096);
        cr_expect_eq(verity_tree_size(&g), 4096);
        verity_geometry_root_hash(&g, root_hash);
        cr_expect_str_eq(root_hash, ROOT);
}

ParameterizedTestParameters(geometry, bad_json)
{
        static struct replacement cases[] = {
                {"\"root_hash\"", "\"other\""},
                {ROOT, ""},
                {ROOT, "00"},
                {ROOT, ROOT "00"},
                {"b1f7", "b1fg"},
                {"sha256", "sha1"},
                {"sha256", ""},
                {"sha256", "sha512"},
                {"\"salt\":\"", "\"salt\":\"0"},
                {"\"data_block_size\":4096", "\"data_block_size\":0"},
                {"_size\":4096", "_size\":4095"},
                {"_size\":4096", "_size\":8192"},
                {"_size\":4096", "_size\":256"},
                {"\"hash_block_size\":4096", "\"hash_block_size\":-4096"},
                {"40960", "0"},
                {"40960", "40961"},
                {"40960", "9223372036854775807"},
                {"\"hash_offset\":0", "\"hash_offset\":1"},
                {"\"hash_offset\":0", "\"hash_offset\":18446744073709551615"},
                {"40960", "\"40960\""},
        };

        return cr_make_param_array(struct replacement, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct replacement *p, geometry, bad_json)
{
        _cleanup_json_ sd_json_variant *v = parse_changed(good_json, p);
        struct verity_geometry g = {.data_blocks = 77};
        struct error e = {};

        cr_expect_lt(verity_geometry_from_json(v, "name", &g, &e), 0, "%s -> %s", p->from, p->to);
        cr_expect_eq(g.data_blocks, 77, "the output is untouched");
        cr_expect_eq(strncmp(e.message, "name", 4), 0, "%s", e.message);
}

Test(geometry, annotations_come_back)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        struct verity_geometry g = {}, again = {};
        struct error e = {};

        cr_assert_eq(verity_geometry_profile(40960, 40960, ROOT, &g, &e), 0, "%s", e.message);
        cr_assert_eq(verity_geometry_to_annotations(&g, &v, &e), 0);
        cr_assert_eq(verity_geometry_from_annotations(v, "t", &again, &e), 0, "%s", e.message);
        cr_expect_eq(memcmp(&g, &again, sizeof(g)), 0);
}

ParameterizedTestParameters(geometry, bad_annotations)
{
        static struct replacement cases[] = {
                {"sha256:", "sha512:"},
                {"sha256:", ""},
                {"sha256:", "sha256"},
                {"\"4096\"", "\"\""},
                {"\"4096\"", "\"-1\""},
                {"\"4096\"", "\" 4096\""},
                {"\"4096\"", "\"0x1000\""},
                {"\"4096\"", "\"4096 \""},
                {"\"4096\"", "4096"},
                {"\"40960\"", "\"99999999999999999999999\""},
                {"org.erofs.dmverity.hash_offset", "offset"},
                {"org.erofs.dmverity.root_digest", "digest"},
        };

        return cr_make_param_array(struct replacement, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct replacement *p, geometry, bad_annotations)
{
        _cleanup_json_ sd_json_variant *good = NULL, *v = NULL;
        _cleanup_free_ char *text = NULL;
        struct verity_geometry g = {};

        cr_assert_eq(verity_geometry_profile(40960, 40960, ROOT, &g, NULL), 0);
        cr_assert_eq(verity_geometry_to_annotations(&g, &good, NULL), 0);
        cr_assert_geq(sd_json_variant_format(good, 0, &text), 0);
        v = parse_changed(text, p);
        cr_expect_lt(verity_geometry_from_annotations(v, "t", &g, NULL), 0, "%s -> %s", p->from, p->to);
}

/* --- verity superblock --- */

struct patch {
        size_t offset, size;
        uint64_t value; /* little endian */
        const char *what;
};

static void patch(uint8_t *data, const struct patch *p)
{
        for (size_t i = 0; i < p->size; i++)
                data[p->offset + i] = (uint8_t)(p->value >> (8 * i));
}

static void good_superblock(uint8_t *ret)
{
        uint8_t uuid[16] = {};
        struct verity_geometry g = {};

        cr_assert_eq(verity_geometry_profile(40960, 40960, NULL, &g, NULL), 0);
        verity_superblock_write(&g, uuid, ret);
}

Test(superblock, round_trip_and_compare, .init = scratch_enter, .fini = scratch_leave)
{
        uint8_t block[4096] = {}, uuid[16];
        struct verity_geometry g = {}, other;
        struct error e = {};
        int fd;

        good_superblock(block);
        cr_assert_eq(verity_superblock_parse(block, sizeof(block), 0, &g, uuid, &e), 0, "%s", e.message);
        cr_expect_eq(g.data_blocks, 10);
        put("sb", block, sizeof(block));
        fd = open("sb", O_RDONLY | O_CLOEXEC);
        cr_expect_eq(verity_superblock_compare(fd, &g, &e), 0);
        other = g;
        other.data_blocks++;
        cr_expect_eq(verity_superblock_compare(fd, &other, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "data blocks"), "%s", e.message);
        other = g;
        other.salt[31] = 1;
        cr_expect_eq(verity_superblock_compare(fd, &other, &e), -EBADMSG);
        other = g;
        other.hash_block_size = 512;
        cr_expect_eq(verity_superblock_compare(fd, &other, &e), -EBADMSG);
        other = g;
        other.hash_offset = 4096;
        cr_expect_eq(verity_superblock_compare(fd, &other, &e), -EIO);
        close(fd);
}

Test(superblock, bad_fields)
{
        static const struct patch patches[] = {
                {0, 1, 'V', "signature"},
                {6, 1, 1, "signature's padding"},
                {8, 4, 0, "version 0"},
                {8, 4, 2, "version 2"},
                {12, 4, 0, "Chrome OS's hash type"},
                {32, 8, 0x3131313131313131, "algorithm"},
                {64, 4, 0, "data block size 0"},
                {64, 4, 4097, "data block size 4097"},
                {64, 4, 1u << 31, "data block size 2^31"},
                {68, 4, 0, "hash block size 0"},
                {68, 4, 8192, "hash block size 8192"},
                {72, 8, 0, "no data blocks"},
                {72, 8, UINT64_MAX, "2^64-1 data blocks"},
                {72, 8, UINT64_C(1) << 52, "2^52 data blocks"},
                {80, 2, 257, "salt of 257"},
                {80, 2, 0xffff, "salt of 65535"},
        };
        struct verity_geometry g = {};
        uint8_t block[VERITY_SUPERBLOCK_SIZE], uuid[16];

        for (size_t i = 0; i < ELEMENTSOF(patches); i++) {
                good_superblock(block);
                patch(block, &patches[i]);
                cr_expect_eq(verity_superblock_parse(block, sizeof(block), 0, &g, uuid, NULL), -EBADMSG, "%s",
                             patches[i].what);
        }
        good_superblock(block);
        memset(block + 32, 'a', 32);
        cr_expect_eq(verity_superblock_parse(block, sizeof(block), 0, &g, uuid, NULL), -EBADMSG,
                     "unterminated algorithm");
        good_superblock(block);
        for (size_t n = 0; n < sizeof(block); n++)
                cr_expect_eq(verity_superblock_parse(block, n, 0, &g, uuid, NULL), -EBADMSG, "%zu bytes", n);
}

/* --- EROFS superblock --- */

Test(erofs, what_mkfs_writes_and_every_bad_field, .init = scratch_enter, .fini = scratch_leave)
{
        static const struct patch patches[] = {
                {1024, 4, 0xE0F5E1E3, "magic"},
                {1028, 4, 1, "checksum"},
                {1032, 4, 3 | 0x20, "shared-inode extended attributes"},
                {1032, 4, 3 | 0x80000000, "unknown compatible feature"},
                {1036, 1, 9, "blocks of 512"},
                {1036, 1, 16, "blocks of 64 KiB"},
                {1036, 1, 255, "blocks of 2^255"},
                {1060, 4, 0, "no blocks"},
                {1060, 4, 0xffffffff, "more blocks than the file has"},
                {1104, 4, 0x4, "chunked files"},
                {1104, 4, 0x8, "device table"},
                {1104, 4, 0x80, "48-bit"},
                {1104, 4, 0x100, "metabox"},
                {1110, 2, 1, "one more device"},
                {1114, 1, 1, "larger directory blocks"},
        };
        struct erofs_info info = {};
        struct error e = {};
        size_t size = 0;
        uint8_t *image;
        int fd;

        shell("mkdir t && echo a >t/a && mkfs.erofs --quiet -T0 -Uclear t.img t && mkfs.erofs --quiet -zlz4 "
              "z.img t");
        image = (uint8_t *)slurp("t.img", &size);
        fd = open("t.img", O_RDONLY | O_CLOEXEC);
        cr_assert_eq(erofs_check(fd, &info, &e), 0, "%s", e.message);
        cr_expect_eq(info.blocks * 4096, size);
        close(fd);
        for (size_t i = 0; i < ELEMENTSOF(patches); i++) {
                _cleanup_free_ uint8_t *bad = malloc(size);

                memcpy(bad, image, size);
                patch(bad, &patches[i]);
                put("bad.img", bad, size);
                fd = open("bad.img", O_RDONLY | O_CLOEXEC);
                cr_expect_eq(erofs_check(fd, &info, &e), -EBADMSG, "%s", patches[i].what);
                close(fd);
        }
        fd = open("z.img", O_RDONLY | O_CLOEXEC);
        cr_expect_eq(erofs_check(fd, &info, &e), -EBADMSG, "compressed");
        close(fd);
        put("short.img", image, 4095);
        fd = open("short.img", O_RDONLY | O_CLOEXEC);
        cr_expect_eq(erofs_check(fd, &info, &e), -EBADMSG, "shorter than a block");
        close(fd);
        free(image);
}

/* --- verity signature --- */

Test(signature, format_and_parse)
{
        const uint8_t fingerprint[32] = {0xab}, der[] = {0x30, 0x00, 0xff};
        struct verity_signature s = {};
        struct verity_geometry g = {};
        _cleanup_free_ char *text = NULL;
        char padded[VERITY_SIGNATURE_PARTITION_SIZE] = {};
        struct error e = {};

        cr_assert_eq(verity_geometry_profile(4096, 4096, ROOT, &g, NULL), 0);
        cr_assert_eq(verity_signature_format(&g, fingerprint, der, sizeof(der), &text, &e), 0, "%s",
                     e.message);
        cr_expect_eq(strstr(text, "{\"rootHash\":\"" ROOT "\",\"certificateFingerprint\":\"ab00"), text, "%s",
                     text);
        memcpy(padded, text, strlen(text));
        cr_assert_eq(verity_signature_parse(padded, sizeof(padded), &s, &e), 0, "%s", e.message);
        cr_expect_str_eq(s.root_hash, ROOT);
        cr_expect_eq(s.der_size, sizeof(der));
        cr_expect_eq(memcmp(s.der, der, sizeof(der)), 0);
        verity_signature_done(&s);
        padded[sizeof(padded) - 1] = 'x';
        cr_expect_eq(verity_signature_parse(padded, sizeof(padded), &s, &e), -EBADMSG,
                     "something behind the JSON");
}

Test(signature, bad_json)
{
        static const char *const bad[] = {
                "",
                "{}",
                "[]",
                "null",
                "{\"rootHash\":\"" ROOT "\"}",
                "{\"signature\":\"MAA=\"}",
                "{\"rootHash\":\"\",\"signature\":\"MAA=\"}",
                "{\"rootHash\":\"0\",\"signature\":\"MAA=\"}",
                "{\"rootHash\":\"xx\",\"signature\":\"MAA=\"}",
                "{\"rootHash\":\"" ROOT ROOT "00\",\"signature\":\"MAA=\"}",
                "{\"rootHash\":\"" ROOT "\",\"signature\":\"\"}",
                "{\"rootHash\":\"" ROOT "\",\"signature\":\"M*A=\"}",
                "{\"rootHash\":\"" ROOT "\",\"signature\":7}",
                "{\"rootHash\":7,\"signature\":\"MAA=\"}",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                struct verity_signature s = {};
                struct error e = {};

                cr_expect_eq(verity_signature_parse(bad[i], strlen(bad[i]), &s, &e), -EBADMSG, "%s", bad[i]);
                cr_expect_null(s.der);
                cr_expect_neq(e.message[0], '\0');
        }
}
