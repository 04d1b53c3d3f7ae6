/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program as a pipeline uses it: exit status, what it says, and what it makes of bad input. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "ipe-policy/author.h"
#include "tests/verity-tools/scratch.h"

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "ff23456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define RECORD                                                                                               \
        "ipe_op=EXECUTE ipe_hook=MMAP enforcing=0 pid=1 comm=\"a\" path=\"/a\" dev=\"dm-1\" ino=1 "          \
        "rule=\"DEFAULT action=DENY\"\n"

static char *blob(const char *text)
{
        uint8_t hash[32];
        char *digest = malloc(65), path[128];

        cr_assert(digest && trust_sha256(text, strlen(text), hash) == 0);
        for (size_t i = 0; i < sizeof(hash); i++)
                (void)snprintf(digest + 2 * i, 3, "%02x", hash[i]);
        (void)snprintf(path, sizeof(path), "store/blobs/sha256/%s", digest);
        put_text(path, text);
        return digest;
}

#define LAYER(hash) "{\"annotations\":{\"org.erofs.dmverity.root_digest\":\"sha256:" hash "\"}}"

/* A layout with one image of two layers, of which the first is signed. */
static void make_store(struct trust_signer *layer_signer)
{
        _cleanup_free_ char *image = blob("{\"layers\":[" LAYER(DIGITS) "," LAYER(OTHER) "]}"),
                            *signature = NULL, *text = NULL, *manifest = NULL, *index = NULL;
        _cleanup_free_ uint8_t *der = NULL;
        uint8_t hash[32];
        char hex[65], path[128];
        size_t size;

        cr_assert_eq(trust_sign(layer_signer, TRUST_LAYER, DIGITS, 64, false, &der, &size, NULL), 0);
        cr_assert_eq(trust_sha256(der, size, hash), 0);
        for (size_t i = 0; i < sizeof(hash); i++)
                (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
        (void)snprintf(path, sizeof(path), "store/blobs/sha256/%s", hex);
        put(path, der, size);
        cr_assert_geq(asprintf(&text,
                               "{\"layers\":[{\"digest\":\"sha256:%s\",\"annotations\":{"
                               "\"io.cncf.notary.dm-verity.root-hash\":\"" DIGITS "\"}}]}",
                               hex),
                      0);
        manifest = blob(text);
        cr_assert_geq(
                asprintf(&index,
                         "{\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
                         "\"digest\":\"sha256:%s\",\"annotations\":{\"org.opencontainers.image.ref.name\":"
                         "\"app\"}},"
                         "{\"mediaType\":\"application/"
                         "vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:%s\","
                         "\"artifactType\":\"application/vnd.cncf.notary.signature.dm-verity\"}]}",
                         image, manifest),
                0);
        put_text("store/index.json", index);
}

static void set_up(void)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *layer = NULL, *policy = NULL;

        scratch_enter();
        cr_assert_eq(setenv("PATH", BIN_DIR ":/usr/sbin:/usr/bin:/sbin:/bin", 1), 0);
        layer = make_signer("layer", TRUST_LAYER);
        policy = make_signer("policy", TRUST_POLICY);
        make_store(layer);
        shell("mkdir trust empty && cp layer.pem policy.pem trust");
        put_text(
                "p.ipe",
                "policy_name=p policy_version=1.0.0\nDEFAULT action=DENY\nop=EXECUTE dmverity_signature=TRUE "
                "action=ALLOW\n");
        put_text(
                "one.ipe",
                "policy_name=p policy_version=1.0.1\nDEFAULT action=DENY\nop=EXECUTE dmverity_signature=TRUE "
                "dmverity_roothash=sha256:" DIGITS " action=ALLOW\n");
        put_text("deny.ipe", "policy_name=p policy_version=1.0.1\nDEFAULT action=DENY\n");
        put_text("open.ipe", "policy_name=p policy_version=1.0.1\nDEFAULT action=ALLOW\n");
        shell("ipe-policy sign p.ipe --key=policy.key --certificate=policy.pem -o p.p7b");
}

TestSuite(program, .init = set_up, .fini = scratch_leave);

struct invocation {
        char line[400];
        int status;
        char says[100];
};

ParameterizedTestParameters(program, exit_status)
{
        static struct invocation cases[] = {
                {"ipe-policy info p.ipe", 0, "p 1.0.0, 1 rules"},
                {"ipe-policy info p.p7b", 0, "signed"},
                {"ipe-policy info p.p7b --json=short", 0, "\"signed\":true"},
                {"ipe-policy info absent", 2, "absent"},
                {"ipe-policy lint p.ipe", 0, "IPE019"},
                {"ipe-policy lint p.ipe --severity=info", 1, "p.ipe:2:1: info"},
                {"ipe-policy lint open.ipe p.ipe", 1, "open.ipe:2:1: error"},
                {"ipe-policy lint p.ipe --previous=p.ipe", 1, "IPE015"},
                {"ipe-policy lint p.ipe --severity=some", 2, "--severity"},
                {"ipe-policy lint p.ipe --format=xml", 2, "--format"},
                {"ipe-policy fmt p.ipe --check", 0, ""},
                {"sed 's/ /  /' p.ipe >x; ipe-policy fmt x --check", 1, ""},
                {"sed 's/ /  /' p.ipe >x; ipe-policy fmt x -o x && cmp x p.ipe", 0, ""},
                {"ipe-policy bump p.ipe --part=minor", 0, "policy_version=1.1.0"},
                {"ipe-policy bump p.ipe --part=all", 2, "--part"},
                {"ipe-policy eval p.ipe", 1, "denied (no property), line 2: rule=\"DEFAULT action=DENY\""},
                {"ipe-policy eval p.ipe --dmverity-signature=TRUE", 0,
                 "allowed (dmverity_signature=TRUE), line 3"},
                {"ipe-policy eval p.ipe --dmverity-signature=TRUE --op=KMODULE", 1, "DEFAULT action=DENY"},
                {"ipe-policy eval p.ipe --op=MODULE", 2, "--op"},
                {"ipe-policy eval p.ipe --dmverity-signature=yes", 2, "--dmverity-signature"},
                {"ipe-policy eval p.ipe --dmverity-roothash=xyz", 2, "--dmverity-roothash"},
                {"ipe-policy eval p.ipe --path=p.ipe", 1, "p.ipe: denied (no property)"},
                {"ipe-policy eval p.ipe --path=p.ipe --dmverity-signature=TRUE", 0, "p.ipe: allowed"},
                {"ipe-policy eval p.ipe --path=trust", 2, "regular file"},
                {"ipe-policy eval p.ipe --path=absent", 2, "absent"},
                {"ipe-policy eval p.ipe --image=store", 1, "layer 2 of app: denied"},
                {"ipe-policy eval p.ipe --image=store", 1, "layer 1 of app: allowed"},
                {"ipe-policy eval p.ipe --image=store --trust=trust", 1, "layer 1 of app: allowed"},
                {"ipe-policy eval p.ipe --image=store --trust=empty", 1, "layer 1 of app: denied"},
                {"ipe-policy eval p.ipe --image=store:other", 2, "named other"},
                {"sed -i 's/\"app\"/\"a\\\\u001b[2Jp\"/' store/index.json; ipe-policy eval p.ipe "
                 "--image=store",
                 1, "layer 1 of a\\x1b[2Jp"},
                {"ipe-policy explain one.ipe --dmverity-signature=TRUE", 1,
                 "line 3 does not match: dmverity_roothash"},
                {"ipe-policy explain p.ipe", 1, "the secondary or the platform keyring\n"},
                {"ipe-policy explain p.ipe --kernel=7.3", 1, "AT_EXECVE_CHECK"},
                {"ipe-policy explain p.ipe --kernel=7.3", 1, "keyring, or of .dm-verity"},
                {"ipe-policy explain p.ipe --json=short", 1,
                 "\"not_matching\":[{\"line\":3,\"property\":\"dmverity_signature\"}]"},
                {"ipe-policy diff p.ipe p.p7b", 0, ""},
                {"ipe-policy diff p.ipe one.ipe", 1, "- EXECUTE"},
                {"ipe-policy diff p.ipe open.ipe --json=short", 1, "\"after\":\"ALLOW\""},
                {"ipe-policy diff p.ipe one.ipe --image=store", 0, ""},
                {"ipe-policy diff p.ipe deny.ipe --image=store", 1, "- EXECUTE: layer 1 of app"},
                {"ipe-policy generate --policy-name=g --image=store", 1,
                 "layer 2 (sha256:" OTHER "): a signature"},
                {"ipe-policy generate --policy-name=g", 2, "--image"},
                {"ipe-policy simulate-upgrade p.ipe one.ipe", 0, "policies/p/update"},
                {"ipe-policy simulate-upgrade one.ipe p.ipe", 1, "ESTALE"},
                {"ipe-policy verify p.p7b --trust=trust", 0, "p 1.0.0"},
                {"ipe-policy verify p.p7b", 2, "--trust"},
                {"ipe-policy verify p.p7b --trust=empty", 1, "empty/policy.pem expected"},
                {"ipe-policy sign p.ipe -o x", 2, "--key"},
                {"ipe-policy sign p.ipe --key=policy.key --certificate=policy.pem -o p.ipe", 2, "p.ipe"},
        };

        return cr_make_param_array(struct invocation, cases, ELEMENTSOF(cases));
}

static void expect(const struct invocation *i)
{
        struct process_result result = {};
        struct error e = {};

        cr_assert_eq(
                process_run((char *[]){(char *)"sh", (char *)"-c", (char *)i->line, NULL}, NULL, &result, &e),
                0, "%s", e.message);
        cr_expect_eq(result.status, i->status, "%s: %d expected, found %d: %s", i->line, i->status,
                     result.status, result.output);
        cr_expect(strstr(result.output, i->says), "%s: \"%s\" expected, found: %s", i->line, i->says,
                  result.output);
        free(result.output);
}

ParameterizedTest(struct invocation *i, program, exit_status)
{
        expect(i);
}

/* Each is refused with its reason, by every verb that could meet it. */
ParameterizedTestParameters(program, bad_input)
{
        static struct invocation cases[] = {
                {"head -c 5000 /dev/urandom >x; printf '\\177' | dd of=x conv=notrunc status=none; "
                 "ipe-policy lint x",
                 1, "IPE001"},
                {"truncate -s 100M x; ipe-policy lint x", 1, "65535 bytes expected"},
                {"yes 'op=EXECUTE boot_verified=TRUE action=DENY' | head -c 100000 >>p.ipe; ipe-policy sign "
                 "p.ipe "
                 "--key=policy.key --certificate=policy.pem -o y",
                 1, "65535 bytes expected"},
                {"(cat p.ipe; yes '# text' | head -c 65300) >x; ipe-policy sign x --key=policy.key "
                 "--certificate=policy.pem -o y",
                 1, "65535 bytes with the signature expected"},
                {"printf '\\0' >>p.ipe; ipe-policy sign p.ipe --key=policy.key --certificate=policy.pem -o y",
                 1, "NUL bytes"},
                {"printf '\\0' >>p.ipe; ipe-policy lint p.ipe --severity=warning", 1, "IPE018"},
                {"sed 's/$/\\r/' p.ipe >x; ipe-policy lint x --severity=warning", 0, ""},
                {"printf 'policy_name=\\377 policy_version=1.0.0\\nDEFAULT action=DENY\\n' >x; ipe-policy "
                 "info x --json=short",
                 0, "\"\\\\xff\""},
                {"printf 'policy_name=a policy_version=1.0.0\\nDEFAULT action=\\377\\n' >x; ipe-policy lint "
                 "x --format=json",
                 1, "\\\\xff"},
                {"(cat deny.ipe; printf 'op=EXECUTE fsverity_digest=\\377\\033:00 action=ALLOW\\n') >x; "
                 "ipe-policy diff deny.ipe x "
                 "--json=short",
                 1, "fsverity_digest=\\\\xff\\\\x1b:00"},
                {"head -c 500 p.p7b >x; ipe-policy info x", 1, "cut short"},
                {"head -c 500 p.p7b >x; ipe-policy verify x --trust=trust", 1, "x: signature"},
                {"(cat p.p7b; echo) >x; ipe-policy verify x --trust=trust", 1, "trailing"},
                {"sed 's/DENY/DENT/' p.p7b >x; ipe-policy verify x --trust=trust", 1, "over something else"},
                {"ipe-policy sign p.ipe --key=layer.key --certificate=layer.pem -o y", 1,
                 "purpose policy expected"},
                {"ipe-policy sign p.ipe --key=layer.key --certificate=policy.pem -o y", 1, "policy.pem"},
                {"ipe-policy sign p.p7b --key=policy.key --certificate=policy.pem -o y", 1,
                 "found a signed one"},
                {"ipe-policy sign absent --key=policy.key --certificate=policy.pem -o y", 2, "absent"},
                {"cp layer.pem trust/policy.pem; ipe-policy verify p.p7b --trust=trust", 1,
                 "purpose policy expected"},
                {"echo '{' >store/index.json; ipe-policy eval p.ipe --image=store", 1, "index.json"},
                {"for b in store/blobs/sha256/*; do echo >>$b; done; ipe-policy eval p.ipe --image=store", 1,
                 "content with that digest"},
                {"echo '{\"layers\":[{}]}' >m; ipe-policy eval p.ipe --image=m", 1, "root_digest"},
                {"yes | head -c 5000000 >m; ipe-policy eval p.ipe --image=m", 2, "4194304 bytes expected"},
        };

        return cr_make_param_array(struct invocation, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct invocation *i, program, bad_input)
{
        expect(i);
}

/* What openssl makes with a clock in the past, since no certificate of ours has expired yet. */
Test(program, an_expired_certificate)
{
        static const struct invocation
                sign = {"ipe-policy sign p.ipe --key=old.key --certificate=old.pem -o old.p7b", 1,
                        "expired since 2021-01-01"},
                verify = {"ipe-policy verify old.p7b --trust=trust", 1, "valid"};

        shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=old "
              "-not_before "
              "20200101000000Z -not_after 20210101000000Z -addext "
              "extendedKeyUsage=critical," TRUST_OID_PURPOSES ".4 -keyout old.key -out old.pem");
        expect(&sign);
        shell("cp old.pem trust/policy.pem && openssl cms -sign -noattr -nodetach -nosmimecap -binary "
              "-outform der "
              "-signer old.pem -inkey old.key -in p.ipe -out old.p7b");
        expect(&verify);
}

Test(program, a_policy_from_an_image_allows_its_layers_alone)
{
        static const struct invocation allowed = {"ipe-policy eval g.ipe --dmverity-signature=TRUE "
                                                  "--dmverity-roothash=sha256:" DIGITS,
                                                  0, "line 4"},
                                       denied = {"ipe-policy eval g.ipe --dmverity-signature=TRUE "
                                                 "--dmverity-roothash=sha256:" OTHER,
                                                 1, "DEFAULT"};

        /* The image without its layer that nobody signed. */
        put_text("m", "{\"layers\":[" LAYER(DIGITS) "]}");
        shell("cat m >store/blobs/sha256/$(sha256sum <m | cut -c-64) && sed -i "
              "\"s/sha256:[0-9a-f]*/sha256:$(sha256sum <m | "
              "cut -c-64)/\" store/index.json");
        shell("ipe-policy generate --policy-name=g --policy-version=2.0.0 --by=root-hash --image=store "
              "--trust=trust -o "
              "g.ipe && ipe-policy lint g.ipe --severity=warning && ipe-policy fmt --check g.ipe");
        expect(&allowed);
        expect(&denied);
}

Test(program, records_become_rules)
{
        static const struct invocation
                added = {"ipe-policy from-audit deny.ipe --image=store --map=dm-1=sha256:" DIGITS
                         " <records -o x && "
                         "ipe-policy diff one.ipe x",
                         0, "1 rules added"},
                refused = {"ipe-policy from-audit deny.ipe --image=store --map=dm-1=sha256:" OTHER
                           " <records",
                           1, "/a is not allowed: unsigned"};

        put_text("records", RECORD);
        expect(&added);
        expect(&refused);
}

/* What code hosts ask of SARIF: version, driver, and a rule, a level and a region for each result. */
Test(program, sarif)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *run, *result, *region;

        put_text(
                "x",
                "policy_name=p policy_version=1.0.0\nDEFAULT action=DENY\nop=EXECUTE dmverity_signature=TRUE "
                "dmverity_roothash=SHA256:" DIGITS " action=ALLOW\n");
        text = shell_output("ipe-policy lint x --format=sarif || true");
        cr_assert_eq(json_parse("sarif", text, &v, NULL), 0);
        cr_expect_str_eq(sd_json_variant_string(sd_json_variant_by_key(v, "version")), "2.1.0");
        run = sd_json_variant_by_index(sd_json_variant_by_key(v, "runs"), 0);
        cr_expect_eq(sd_json_variant_elements(sd_json_variant_by_key(
                             sd_json_variant_by_key(sd_json_variant_by_key(run, "tool"), "driver"), "rules")),
                     ipe_n_lint_rules);
        result = sd_json_variant_by_index(sd_json_variant_by_key(run, "results"), 1);
        cr_expect_str_eq(sd_json_variant_string(sd_json_variant_by_key(result, "ruleId")), "IPE009");
        cr_expect_str_eq(sd_json_variant_string(sd_json_variant_by_key(result, "level")), "error");
        region = sd_json_variant_by_key(
                sd_json_variant_by_key(
                        sd_json_variant_by_index(sd_json_variant_by_key(result, "locations"), 0),
                        "physicalLocation"),
                "region");
        cr_expect_eq(sd_json_variant_unsigned(sd_json_variant_by_key(region, "startLine")), 3);
        cr_expect_eq(sd_json_variant_unsigned(sd_json_variant_by_key(region, "startColumn")), 36);
        cr_expect(sd_json_variant_by_key(result, "fixes"));
}

/* The first location's file in the SARIF of a policy that is none. */
static char *uri_of(const char *path)
{
        static const char *const steps[] = {"physicalLocation", "artifactLocation", "uri"};
        _cleanup_free_ char *text = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *at;

        put_text(path, "nothing");
        text = shell_output("ipe-policy lint '%s' --format=sarif || true", path);
        cr_assert_eq(json_parse("sarif", text, &v, NULL), 0);
        at = sd_json_variant_by_index(sd_json_variant_by_key(v, "runs"), 0);
        cr_expect_str_eq(sd_json_variant_string(sd_json_variant_by_key(at, "columnKind")),
                         "unicodeCodePoints");
        at = sd_json_variant_by_index(sd_json_variant_by_key(at, "results"), 0);
        cr_expect(sd_json_variant_by_key(sd_json_variant_by_key(at, "message"), "text"));
        at = sd_json_variant_by_index(sd_json_variant_by_key(at, "locations"), 0);
        for (size_t i = 0; i < ELEMENTSOF(steps); i++)
                at = sd_json_variant_by_key(at, steps[i]);
        cr_assert(sd_json_variant_is_string(at));
        return strdup(sd_json_variant_string(at));
}

/* SARIF 2.1.0, 3.4.3: the property uri is a URI reference (RFC 3986), not a path. */
Test(program, sarif_uris)
{
        _cleanup_free_ char *plain = uri_of("a-b_c.d~"), *odd = uri_of("a b%c:d?#\303\244"), *absolute = NULL;
        char name[] = "/tmp/test-sarif.XXXXXX";
        int fd = mkstemp(name);

        cr_expect_str_eq(plain, "a-b_c.d~");
        cr_expect_str_eq(odd, "a%20b%25c%3Ad%3F%23%C3%A4");
        cr_assert_geq(fd, 0);
        (void)close(fd);
        absolute = uri_of(name);
        cr_expect(strncmp(absolute, "file:///tmp/test-sarif.", 23) == 0, "%s", absolute);
        (void)unlink(name);
}

/* The policies of the image are what the tool asks for. */
Test(program, our_own_policies)
{
        shell("cp " TEST_DATA
              "/../../../ipe-policy/policies/*.ipe . && ipe-policy lint host.ipe --severity=warning && "
              "ipe-policy lint boot.ipe --boot --severity=warning && ipe-policy fmt host.ipe --check && "
              "ipe-policy fmt boot.ipe --check && ipe-policy simulate-upgrade boot.ipe host.ipe");
}
