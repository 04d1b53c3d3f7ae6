/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policies as data: what they demand, and what they may not look like. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "attest/appraise.h"
#include "base/json.h"

#define POLICY(required) "{\"version\":1,\"keys\":[],\"validity_seconds\":60,\"required\":" required "}"

static void add(struct claims *c, const char *name, const char *json)
{
        struct claim *claim = &c->items[c->n++];

        (void)stpcpy(claim->name, name);
        (void)stpcpy(claim->source, "test");
        cr_assert_eq(json_parse(name, json, &claim->value, NULL), 0);
}

static void make_claims(struct claims *c)
{
        *c = (struct claims){};
        add(c, "secure-boot", "true");
        add(c, "security-version", "3");
        add(c, "root-hash", "\"aa\"");
        add(c, "verity-roots", "[\"aa\",\"bb\"]");
        add(c, "image-sha256", "\"cc\"");
        add(c, "variant", "\"prod\"");
        add(c, "pcr7", "\"dd\"");
}

static bool judge(const char *required, const char *reference)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_appraisal_policy_ struct appraisal_policy p = {};
        _cleanup_claims_ struct claims c;
        _cleanup_appraisal_ struct appraisal a = {};
        struct error e = {};

        make_claims(&c);
        cr_assert_eq(appraisal_policy_parse(required, strlen(required), &p, &e), 0, "%s: %s", required,
                     e.message);
        if (reference)
                cr_assert_eq(json_parse("reference", reference, &v, &e), 0, "%s", e.message);
        cr_assert_eq(appraise(&c, &p, v, &a, &e), 0, "%s", e.message);
        return a.met;
}

Test(appraise, conditions)
{
        static const struct {
                const char *policy;
                bool met;
        } cases[] = {
                {POLICY("{}"), false}, /* nothing demanded, nothing proven */
                {POLICY("{\"secure-boot\":{\"allowed\":[true]}}"), true},
                {POLICY("{\"secure-boot\":{\"allowed\":[false]}}"), false},
                {POLICY("{\"secure-boot\":{\"allowed\":[]}}"), false},
                {POLICY("{\"secure-boot\":{\"allowed\":[\"true\",1]}}"), false},
                {POLICY("{\"security-version\":{\"min\":3}}"), true},
                {POLICY("{\"security-version\":{\"min\":4}}"), false},
                {POLICY("{\"security-version\":{\"min\":1,\"max\":2}}"), false},
                {POLICY("{\"security-version\":{\"allowed\":[3],\"min\":1,\"max\":3}}"), true},
                {POLICY("{\"root-hash\":{\"min\":0}}"), false},
                {POLICY("{\"counter\":{\"min\":0}}"), false}, /* nobody says so */
                {POLICY("{\"verity-roots\":{\"allowed\":[\"aa\",\"bb\",\"cc\"]}}"), true},
                {POLICY("{\"verity-roots\":{\"allowed\":[\"aa\"]}}"), false},
                {POLICY("{\"verity-roots\":{\"includes\":[\"bb\"]}}"), true},
                {POLICY("{\"verity-roots\":{\"includes\":[\"cc\"]}}"), false},
                {POLICY("{\"root-hash\":{\"includes\":[]}}"), false}, /* not a list */
                {POLICY("{\"root-hash\":{\"allowed\":[\"AA\"]}}"), false},
                {POLICY("{\"secure-boot\":{\"allowed\":[true]},\"root-hash\":{\"allowed\":[\"bb\"]}}"),
                 false},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                cr_expect_eq(judge(cases[i].policy, NULL), cases[i].met, "%s", cases[i].policy);
}

Test(appraise, reference)
{
        static const struct {
                const char *reference;
                bool met;
        } cases[] = {
                {"{\"image_sha256\":\"cc\",\"root_hash\":\"aa\",\"variant\":\"prod\",\"security_version\":3,"
                 "\"pcrs\":{\"7\":\"dd\"}}",
                 true},
                {"{\"image_sha256\":\"c0\",\"root_hash\":\"aa\",\"pcrs\":{\"7\":\"dd\"}}", false},
                {"{\"image_sha256\":\"cc\",\"root_hash\":\"bb\",\"pcrs\":{\"7\":\"dd\"}}", false},
                {"{\"image_sha256\":\"cc\",\"root_hash\":\"aa\",\"pcrs\":{\"7\":\"d0\"}}", false},
                {"{\"image_sha256\":\"cc\",\"root_hash\":\"aa\",\"pcrs\":{\"7\":\"dd\",\"11\":\"ee\"}}",
                 false},
                {"{\"image_sha256\":\"cc\",\"root_hash\":\"aa\",\"security_version\":4,\"pcrs\":{\"7\":"
                 "\"dd\"}}",
                 false},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                cr_expect_eq(judge(POLICY("{}"), cases[i].reference), cases[i].met, "%s", cases[i].reference);
}

Test(appraise, broken_references)
{
        static const char *const references[] = {
                "{}",
                "{\"image_sha256\":\"cc\",\"root_hash\":\"aa\"}",
                "{\"image_sha256\":\"cc\",\"root_hash\":\"aa\",\"pcrs\":{}}",
                "{\"root_hash\":\"aa\",\"pcrs\":{\"7\":\"dd\"}}",
        };
        static const char policy[] = POLICY("{}");
        _cleanup_appraisal_policy_ struct appraisal_policy p = {};
        _cleanup_claims_ struct claims c;

        make_claims(&c);
        cr_assert_eq(appraisal_policy_parse(policy, strlen(policy), &p, NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(references); i++) {
                _cleanup_json_ sd_json_variant *v = NULL;
                struct appraisal a = {};

                cr_assert_eq(json_parse("reference", references[i], &v, NULL), 0);
                cr_expect_lt(appraise(&c, &p, v, &a, NULL), 0, "%s", references[i]);
        }
}

Test(appraise, policies)
{
        static const struct {
                const char *text, *reason;
        } cases[] = {
                {"[]", "an object"},
                {"{}", "version"},
                {"{\"version\":2,\"keys\":[],\"validity_seconds\":1,\"required\":{}}", "version 1"},
                {"{\"version\":1,\"keys\":[],\"required\":{}}", "validity_seconds"},
                {"{\"version\":1,\"keys\":[],\"validity_seconds\":99999999999,\"required\":{}}",
                 "validity_seconds"},
                {"{\"version\":1,\"validity_seconds\":1,\"required\":{}}", "keys"},
                {"{\"version\":1,\"keys\":[1],\"validity_seconds\":1,\"required\":{}}", "keys"},
                {"{\"version\":1,\"keys\":[],\"validity_seconds\":1}", "required"},
                {"{\"version\":1,\"keys\":[],\"validity_seconds\":1,\"required\":{},\"requird\":{}}",
                 "another one"},
                {"{\"version\":1,\"keys\":[],\"validity_seconds\":1,\"required\":{},\"pcrs\":[24]}", "pcrs"},
                {"{\"version\":1,\"keys\":[],\"validity_seconds\":1,\"required\":{},\"allow_sha1\":1}",
                 "allow_sha1"},
                {POLICY("{\"x\":{}}"), "x"},
                {POLICY("{\"x\":true}"), "x"},
                {POLICY("{\"x\":{\"alowed\":[1]}}"), "another one"},
                {POLICY("{\"x\":{\"min\":\"1\"}}"), "numbers"},
                {POLICY("{\"x\":{\"allowed\":1}}"), "arrays"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct appraisal_policy p = {};
                struct error e = {};

                cr_expect_eq(appraisal_policy_parse(cases[i].text, strlen(cases[i].text), &p, &e), -EBADMSG,
                             "%s", cases[i].text);
                cr_expect(strstr(e.message, cases[i].reason), "%s: %s", cases[i].text, e.message);
        }
}

static const char *status_of(sd_json_variant *ear)
{
        sd_json_variant *m = sd_json_variant_by_key(sd_json_variant_by_key(ear, "submods"), "machine");

        return sd_json_variant_string(sd_json_variant_by_key(m, "ear.status"));
}

static int64_t element_of(sd_json_variant *ear, const char *name)
{
        sd_json_variant *m = sd_json_variant_by_key(sd_json_variant_by_key(ear, "submods"), "machine");

        return sd_json_variant_integer(
                sd_json_variant_by_key(sd_json_variant_by_key(m, "ear.trustworthiness-vector"), name));
}

/* What is not met makes the result contraindicated; what failed a binding names no claim at all. */
Test(ear, status)
{
        static const char policy[] =
                POLICY("{\"root-hash\":{\"allowed\":[\"aa\"]},\"secure-boot\":{\"allowed\":[false]}}");
        _cleanup_json_ sd_json_variant *ear = NULL, *failed = NULL;
        _cleanup_appraisal_policy_ struct appraisal_policy p = {};
        _cleanup_appraisal_ struct appraisal a = {};
        _cleanup_claims_ struct claims c;

        make_claims(&c);
        cr_assert_eq(appraisal_policy_parse(policy, strlen(policy), &p, NULL), 0);
        cr_assert_eq(appraise(&c, &p, NULL, &a, NULL), 0);
        cr_assert_geq(appraisal_to_ear(&a, NULL, &p, "nonce", 5, 1000, &ear), 0);
        cr_expect_str_eq(status_of(ear), "contraindicated");
        cr_expect_eq(element_of(ear, "executables"), 2);
        cr_expect_eq(element_of(ear, "configuration"), 96);
        cr_expect_eq(element_of(ear, "instance-identity"), 2);
        cr_expect_eq(sd_json_variant_unsigned(sd_json_variant_by_key(ear, "exp")), 1060);
        cr_assert_geq(appraisal_to_ear(NULL, "nonce: …", &p, "nonce", 5, 1000, &failed), 0);
        cr_expect_str_eq(status_of(failed), "contraindicated");
        cr_expect_eq(element_of(failed, "instance-identity"), 97);
}
