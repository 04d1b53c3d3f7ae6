/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LUKS2 headers that say something else than we write, one field at a time. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "volume-machine.h"

#define PAGE 4096u

static struct authority owner;
static struct signers keys;
static struct machine m;
static uint8_t good[2 * VOLUME_COPY_SIZE]; /* both copies of a header that is in order */

static void read_disk(const char *path, uint8_t ret[static sizeof(good)])
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        cr_assert_geq(fd, 0);
        cr_assert_eq(pread_full(fd, ret, sizeof(good), 0), 0);
        (void)close(fd);
}

static void set_up(void)
{
        static const enum trust_purpose purposes[] = {TRUST_RECOVERY};

        authority_make(&owner);
        signers_make(&keys, purposes, ELEMENTSOF(purposes));
        machine_with_volume(&m, &owner, keys.trust);
        read_disk(m.disk, good);
}

static void tear_down(void)
{
        machine_done(&m);
        signers_done(&keys);
        authority_done(&owner);
}

TestSuite(volume_header, .init = set_up, .fini = tear_down);

/* --- the copies --- */

struct damage {
        const char *field;
        size_t offset;
        bool checksums_hold; /* whoever changed it made them anew */
};

/* SHA-256 over the copy, its own field zeroed. */
static void make_checksum(uint8_t *copy)
{
        memset(copy + 448, 0, 64);
        cr_assert_eq(trust_sha256(copy, VOLUME_COPY_SIZE, copy + 448), 0);
}

Test(volume_header, both_copies_are_whole_and_the_same)
{
        static const struct damage damages[] = {
                {"primary copy: magic", 0, true},
                {"primary copy: version", 7, true},
                {"primary copy: size", 14, true},
                {"primary copy: checksum algorithm", 75, true},
                {"primary copy: offset", 263, true},
                {"primary copy: checksum", 448, false},
                {"primary copy: checksum", PAGE + 100, false},
                {"primary copy: checksum", VOLUME_COPY_SIZE - 1, false},
                {"secondary copy: magic", VOLUME_COPY_SIZE + 5, true},
                {"secondary copy: offset", VOLUME_COPY_SIZE + 262, true},
                {"secondary copy: checksum", VOLUME_COPY_SIZE + PAGE, false},
                {"sequence", VOLUME_COPY_SIZE + 23, true},
                {"sequence", 16, true},
                {"secondary copy: UUID", 170, true},
                {"secondary copy: JSON", VOLUME_COPY_SIZE + PAGE + 40, true},
                {"secondary copy: JSON", VOLUME_COPY_SIZE - 1, true},
        };
        uint8_t copies[sizeof(good)];
        struct error e = {};

        cr_assert_eq(volume_copies_check(good, &e), 0, "%s", e.message);
        for (size_t i = 0; i < ELEMENTSOF(damages); i++) {
                memcpy(copies, good, sizeof(copies));
                /* A digit, so that what is still a UUID is another one. */
                copies[damages[i].offset] = good[damages[i].offset] == '0' ? '1' : '0';
                if (damages[i].checksums_hold) {
                        make_checksum(copies);
                        make_checksum(copies + VOLUME_COPY_SIZE);
                }
                cr_expect_eq(volume_copies_check(copies, &e), -EBADMSG, "%s", damages[i].field);
                cr_expect(strstr(e.message, damages[i].field), "%s expected in: %s", damages[i].field,
                          e.message);
        }
}

/* It goes into PCR 15, the console and the report. */
Test(volume_header, the_UUID_is_one)
{
        static const char *const texts[] = {"",
                                            "1",
                                            "x\033[2J",
                                            "4f68bce3-e8cd-4db1-96e7-fbcaf984b70",
                                            "4f68bce3-e8cd-4db1-96e7-fbcaf984b7090",
                                            "4f68bce3-e8cd-4db1-96e7 fbcaf984b709"};
        uint8_t copies[sizeof(good)];

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                struct error e = {};

                memcpy(copies, good, sizeof(copies));
                for (uint8_t *copy = copies; copy < copies + sizeof(copies); copy += VOLUME_COPY_SIZE) {
                        memset(copy + 168, 0, 40);
                        memcpy(copy + 168, texts[i], strlen(texts[i]));
                        make_checksum(copy);
                }
                cr_expect_eq(volume_copies_check(copies, &e), -EBADMSG, "%s", texts[i]);
                cr_expect(strstr(e.message, "primary copy: UUID"), "%s", e.message);
        }
}

/* --- JSON --- */

struct change {
        const char *field, *from, *to;
};

#define SEGMENT "\"segments\":{\"0\":{"
#define EXTRA_KEYSLOT                                                                                        \
        "\"1\":{\"type\":\"luks2\",\"key_size\":64,\"af\":{\"type\":\"luks1\",\"stripes\":4000,\"hash\":"    \
        "\"sha256\"},\"area\":"                                                                              \
        "{\"type\":\"raw\",\"offset\":\"290816\",\"size\":\"258048\",\"encryption\":\"aes-xts-plain64\","    \
        "\"key_size\":64},"                                                                                  \
        "\"kdf\":{\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000,"                              \
        "\"salt\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}}"

static const struct change changes[] = {
        /* the null cipher, for the data and for a keyslot */
        {"segments.0.encryption", "\"encryption\":\"aes-xts-plain64\",\"sector_size\"",
         "\"encryption\":\"cipher_null-ecb\",\"sector_size\""},
        {"keyslots.0.area.encryption", "\"encryption\":\"aes-xts-plain64\",\"key_size\"",
         "\"encryption\":\"cipher_null-ecb\",\"key_size\""},
        {"segments.0.encryption", "\"encryption\":\"aes-xts-plain64\",\"sector_size\"",
         "\"encryption\":\"aes-ecb\",\"sector_size\""},
        /* another segment, or several */
        {"segments.0.offset", "\"offset\":\"16777216\"", "\"offset\":\"20971520\""},
        {"segments.0.offset", "\"offset\":\"16777216\"", "\"offset\":\"0\""}, /* a detached header's */
        {"segments.0.size", "\"size\":\"dynamic\"", "\"size\":\"4194304\""},
        {"segments.0.iv_tweak", "\"iv_tweak\":\"0\"", "\"iv_tweak\":\"8\""},
        {"segments.0.sector_size", "\"sector_size\":4096", "\"sector_size\":512"},
        {"segments.0.type", SEGMENT "\"type\":\"crypt\"", SEGMENT "\"type\":\"linear\""},
        {"segments.0.integrity", SEGMENT,
         SEGMENT "\"integrity\":{\"type\":\"hmac(sha256)\",\"journal_encryption\":\"none\",\"journal_"
                 "integrity\":\"none\"},"},
        {"segments.0.flags", SEGMENT, SEGMENT "\"flags\":[\"in-reencryption\"],"},
        {"segments.1", SEGMENT,
         "\"segments\":{\"1\":{\"type\":\"linear\",\"offset\":\"33554432\",\"size\":\"dynamic\"},\"0\":{"},
        {"segments.0", "\"segments\":{\"0\":", "\"segments\":{\"7\":"},
        /* keyslots that we did not make */
        {"keyslots.1", "\"keyslots\":{\"0\"", "\"keyslots\":{" EXTRA_KEYSLOT ",\"0\""},
        {"keyslots.0.type", "{\"type\":\"luks2\"", "{\"type\":\"reencrypt\""},
        {"keyslots.0.kdf.type", "\"kdf\":{\"type\":\"pbkdf2\"", "\"kdf\":{\"type\":\"argon2id\""},
        {"keyslots.0.kdf.iterations", "\"kdf\":{\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000",
         "\"kdf\":{\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":4000000000"},
        {"keyslots.0.af.stripes", "\"stripes\":4000", "\"stripes\":1"},
        {"keyslots.0.area.offset", "\"offset\":\"32768\"", "\"offset\":\"290816\""},
        {"keyslots.0.area.type", "\"area\":{\"type\":\"raw\"", "\"area\":{\"type\":\"datashift\""},
        {"keyslots.0.priority", "{\"type\":\"luks2\"", "{\"priority\":2,\"type\":\"luks2\""},
        /* the volume key's digest */
        {"digests.0.segments", "\"segments\":[\"0\"]", "\"segments\":[]"},
        {"digests.0.keyslots", "\"keyslots\":[\"0\"]", "\"keyslots\":[]"},
        {"digests.0.hash", "\"segments\":[\"0\"],\"hash\":\"sha256\"",
         "\"segments\":[\"0\"],\"hash\":\"sha1\""},
        {"digests.0.digest", "\"digest\":\"", "\"digest\":\"AAAA"},
        {"digests.1", "\"digests\":{", "\"digests\":{\"1\":{},"},
        /* what makes other software, or a later one, act */
        {"config.requirements", "\"config\":{",
         "\"config\":{\"requirements\":{\"mandatory\":[\"online-reencrypt-v2\"]},"},
        {"config.flags", "\"config\":{", "\"config\":{\"flags\":[\"allow-discards\"],"},
        {"config.json_size", "\"json_size\":\"12288\"", "\"json_size\":\"16384\""},
        {"config.keyslots_size", "\"keyslots_size\":\"16744448\"", "\"keyslots_size\":\"4096\""},
        {"extra", "{\"keyslots\"", "{\"extra\":1,\"keyslots\""},
        /* the token */
        {"tokens.1", "\"tokens\":{", "\"tokens\":{\"1\":{\"type\":\"x\",\"keyslots\":[]},"},
        {"tokens.0.type", "\"type\":\"holdfast-tpm\"", "\"type\":\"systemd-tpm2\""},
        {"tokens.0.keyslots", "\"keyslots\":[],\"public\"", "\"keyslots\":[\"0\"],\"public\""},
        {"tokens.0.public", "\"public\":\"", "\"public\":\"*"},
        {"tokens.0.private", "\"private\":\"", "\"secret\":\""},
        {"tokens.0: sealed object", "\"private\":\"", "\"private\":\"AAAA"},
        {"tokens.0: sealed object", "\"public\":\"", "\"public\":\"AAAA"},
};

static void apply(const struct change *c, char *ret, size_t size)
{
        const char *json = (const char *)good + PAGE, *at = strstr(json, c->from);

        cr_assert(at, "%s not found in %s", c->from, json);
        cr_assert_lt(snprintf(ret, size, "%.*s%s%s", (int)(at - json), json, c->to, at + strlen(c->from)),
                     (int)size);
}

Test(volume_header, every_field_has_its_value)
{
        const char *json = (const char *)good + PAGE;
        char text[VOLUME_COPY_SIZE];
        struct tpm_sealed sealed;
        struct error e = {};

        cr_assert_eq(volume_json_check(json, &owner.public_area, &sealed, &e), 0, "%s", e.message);
        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                apply(&changes[i], text, sizeof(text));
                e = (struct error){};
                cr_expect_eq(volume_json_check(text, &owner.public_area, &sealed, &e), -EBADMSG, "%s",
                             changes[i].to);
                cr_expect(strstr(e.message, changes[i].field), "%s expected in: %s", changes[i].field,
                          e.message);
        }
}

/* No field is missing in the table: each value is changed in turn. */
Test(volume_header, no_character_may_be_another)
{
        const char *free_from[] = {"\"salt\":\"", "\"digest\":\"", "\"public\":\"", "\"private\":\""};
        char text[VOLUME_COPY_SIZE];
        struct tpm_sealed sealed;

        memcpy(text, good + PAGE, VOLUME_COPY_SIZE - PAGE);
        for (size_t i = 0; text[i]; i++) {
                char kept = text[i];

                for (size_t k = 0; k < ELEMENTSOF(free_from); k++)
                        if (strncmp(text + i, free_from[k], strlen(free_from[k])) == 0)
                                i += strlen(free_from[k]) + strcspn(text + i + strlen(free_from[k]), "\"");
                kept = text[i];
                text[i] = kept == '1' ? '2' : '1';
                cr_expect_neq(volume_json_check(text, &owner.public_area, &sealed, NULL), 0, "%.40s",
                              text + i);
                text[i] = kept;
        }
}

Test(volume_header, a_header_without_token_is_unfinished)
{
        struct tpm_sealed sealed;

        cr_expect_eq(volume_json_check("{\"tokens\":{}}", &owner.public_area, &sealed, NULL), -ENODATA);
        cr_expect_eq(volume_json_check("{}", &owner.public_area, &sealed, NULL), -EBADMSG);
        cr_expect_eq(volume_json_check("[]", &owner.public_area, &sealed, NULL), -EBADMSG);
        cr_expect_eq(volume_json_check("", &owner.public_area, &sealed, NULL), -EBADMSG);
}

Test(volume_header, another_owners_policy)
{
        struct authority other;
        struct tpm_sealed sealed;
        struct error e = {};

        authority_make(&other);
        cr_expect_eq(volume_json_check((const char *)good + PAGE, &other.public_area, &sealed, &e), -EBADMSG);
        cr_expect(strstr(e.message, "the authority's policy expected"), "%s", e.message);
        authority_done(&other);
}

/* --- whole disks --- */

static void put_copies(const uint8_t copies[static sizeof(good)])
{
        int fd = open(m.disk, O_WRONLY | O_CLOEXEC);

        cr_assert_geq(fd, 0);
        cr_assert_eq(pwrite_full(fd, copies, sizeof(good), 0), 0);
        (void)close(fd);
}

/* As an attacker writes it: in both copies, with checksums that hold. */
static void put_json(const char *json)
{
        uint8_t copies[sizeof(good)];

        memcpy(copies, good, sizeof(copies));
        for (size_t i = 0; i < 2; i++) {
                uint8_t *copy = copies + i * VOLUME_COPY_SIZE;

                memset(copy + PAGE, 0, VOLUME_COPY_SIZE - PAGE);
                memcpy(copy + PAGE, json, strlen(json) + 1);
                make_checksum(copy);
        }
        put_copies(copies);
}

/* Some of these libcryptsetup refuses by itself; none opens, and none is written to. */
Test(volume_header, no_changed_header_opens)
{
        char text[VOLUME_COPY_SIZE - PAGE];
        uint8_t found[sizeof(good)], changed[sizeof(good)];

        put_json((const char *)good + PAGE);
        cr_assert_eq(machine_boot(&m, "image"), 0, "%s", m.e.message);
        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                struct volume_site site = {m.disk, m.mapped, NULL, -EBADF};

                volume_found_done(&m.found);
                apply(&changes[i], text, sizeof(text));
                put_json(text);
                read_disk(m.disk, changed);
                cr_expect_eq(volume_bring_up(&m.boot, &site, &m.found, &m.e), -EBADMSG, "%s", changes[i].to);
                read_disk(m.disk, found);
                cr_expect_arr_eq(found, changed, sizeof(found));
        }
}

/* libcryptsetup would take the copy with the higher sequence, and write it over the other. */
Test(volume_header, a_secondary_header_that_differs)
{
        uint8_t copies[sizeof(good)], found[sizeof(good)];

        memcpy(copies, good, sizeof(copies));
        copies[VOLUME_COPY_SIZE + 23]++;
        make_checksum(copies + VOLUME_COPY_SIZE);
        put_copies(copies);
        expect_refused(&m, "image", -EBADMSG, "sequence");
        read_disk(m.disk, found);
        cr_expect_arr_eq(found, copies, sizeof(found));
        memset(copies, 0, VOLUME_COPY_SIZE);
        put_copies(copies);
        expect_refused(&m, "image", -EBADMSG, "primary copy: magic");
        put_copies(good);
        expect_boot(&m, "image");
}
