/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery tokens, as text and as signed files. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/process.h"
#include "osguard/rollback.h"
#include "signers.h"

#define NAME "000b00000000000000000000000000000000000000000000000000000000000000ff"

static const char good[] = "{\"version\":1,\"tpm\":\"" NAME "\",\"counter\":7,\"image_floor\":3,"
                           "\"ipe_host_floor\":\"1.2.3\",\"volume\":\"keep\"}";

Test(token, good)
{
        struct token token = {};
        struct error e = {};

        cr_assert_eq(token_parse(good, strlen(good), &token, &e), 0, "%s", e.message);
        cr_expect_eq(token.tpm[1], 0x0b);
        cr_expect_eq(token.tpm[33], 0xff);
        cr_expect_eq(token.counter, 7);
        cr_expect_eq(token.record.generation, 7);
        cr_expect_eq(token.record.image_floor, 3);
        cr_expect_eq(token.record.host_floor[2], 3);
        cr_expect(token.keep_volume && !token.record.has_volume);
}

struct change {
        char from[32], to[96];
};

static int parse_changed(const struct change *c, struct token *ret, struct error *e)
{
        const char *at = strstr(good, c->from);
        char text[1024];

        cr_assert(at, "%s", c->from);
        (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, c->to, at + strlen(c->from));
        return token_parse(text, strlen(text), ret, e);
}

Test(token, volumes)
{
        const struct change make = {"\"keep\"", "\"make\""}, named = {"\"keep\"", "\"" NAME "\""};
        struct token token = {};
        struct error e = {};

        cr_assert_eq(parse_changed(&make, &token, &e), 0, "%s", e.message);
        cr_expect(!token.keep_volume && !token.record.has_volume);
        cr_assert_eq(parse_changed(&named, &token, &e), 0, "%s", e.message);
        cr_expect(!token.keep_volume && token.record.has_volume && token.record.volume[33] == 0xff);
}

ParameterizedTestParameters(token, bad)
{
        static struct change changes[] = {
                {"\"version\":1", "\"version\":2"},
                {"\"version\":1,", ""},
                {"\"tpm\":\"000b", "\"tpm\":\"0b"},
                {"\"tpm\":\"000b", "\"tpm\":\"zzzz"},
                {"\"tpm\"", "\"TPM\""},
                {"\"counter\":7", "\"counter\":-1"},
                {"\"counter\":7", "\"counter\":\"7\""},
                {"\"counter\":7", "\"counter\":7.5"},
                {"\"counter\":7", "\"counter\":18446744073709551615"},
                {"\"image_floor\":3,", ""},
                {"\"image_floor\":3", "\"image_floor\":99999999999"},
                {"\"1.2.3\"", "\"1.2\""},
                {"\"1.2.3\"", "\"1.2.3.4\""},
                {"\"1.2.3\"", "\"1.2.65536\""},
                {"\"1.2.3\"", "\" 1.2.3\""},
                {"\"1.2.3\"", "\"+1.2.3\""},
                {"\"1.2.3\"", "3"},
                {"\"keep\"", "\"none\""},
                {"\"keep\"", "\"" NAME "00\""},
                {"\"keep\"", "true"},
                {"}", ""},
        };

        return cr_make_param_array(struct change, changes, sizeof(changes) / sizeof(changes[0]));
}

ParameterizedTest(struct change *c, token, bad)
{
        struct token token = {};
        struct error e = {};

        cr_expect_lt(parse_changed(c, &token, &e), 0, "%s", c->to);
        cr_expect(e.message[0], "a message for %s", c->to);
}

Test(token, only_of_the_build_key)
{
        static const enum trust_purpose purposes[] = {TRUST_BUILD, TRUST_MANIFEST};
        struct token token = {};
        struct error e = {};
        struct signers keys;
        uint8_t *der = NULL;
        size_t size = 0;

        signers_make(&keys, purposes, ELEMENTSOF(purposes));
        signers_sign(&keys, TRUST_BUILD, good, strlen(good), &der, &size);
        cr_expect_eq(token_read(keys.trust, der, size, &token, &e), 0, "%s", e.message);
        cr_expect_eq(token_read(keys.trust, der, size - 1, &token, &e), -EBADMSG);
        free(der);
        signers_sign(&keys, TRUST_MANIFEST, good, strlen(good), &der, &size);
        cr_expect_eq(token_read(keys.trust, der, size, &token, &e), -EKEYREJECTED);
        free(der);
        signers_done(&keys);
}

/* What the owner's program signs is what osguard reads. */
Test(token, as_the_owner_makes_one)
{
        static const enum trust_purpose purposes[] = {TRUST_BUILD};
        char key[128], certificate[128], output[128];
        char *argv[] = {BIN_DIR "/attest",
                        "token",
                        "--tpm=" NAME,
                        "--counter=9",
                        "--image-floor=4",
                        "--ipe-host-floor=1.0.65535",
                        "--volume=" NAME,
                        key,
                        certificate,
                        output,
                        NULL};
        _cleanup_free_ char *der = NULL;
        struct token token = {};
        struct error e = {};
        struct signers keys;
        size_t size = 0;

        signers_make(&keys, purposes, ELEMENTSOF(purposes));
        (void)snprintf(key, sizeof(key), "--key=%s/build.key", keys.directory);
        (void)snprintf(certificate, sizeof(certificate), "--certificate=%s/build.pem", keys.directory);
        (void)snprintf(output, sizeof(output), "--output=%s/recovery.p7m", keys.directory);
        cr_assert_eq(process_check(argv, &(struct process_options){.timeout_ms = 60000}, &e), 0, "%s",
                     e.message);
        cr_assert_eq(read_file(AT_FDCWD, output + strlen("--output="), 65536, &der, &size, &e), 0, "%s",
                     e.message);
        cr_assert_eq(token_read(keys.trust, (uint8_t *)der, size, &token, &e), 0, "%s", e.message);
        cr_expect(token.counter == 9 && token.record.image_floor == 4 && token.record.host_floor[2] == 65535);
        cr_expect(token.record.has_volume && token.record.volume[33] == 0xff && token.tpm[33] == 0xff);
        argv[2] = "--tpm=ff";
        cr_expect_lt(process_check(argv, &(struct process_options){.timeout_ms = 60000}, &e), 0);
        cr_expect(strstr(e.message, "--tpm="), "%s", e.message);
        signers_done(&keys);
}
