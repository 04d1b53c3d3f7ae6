/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Quotes that others recorded: what is accepted, what is refused and why; and what is made of them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attest/appraise.h"
#include "attest/quote.h"
#include "base/hex.h"
#include "base/json.h"
#include "mutate.h"
#include "vectors.h"

struct recorded {
        uint8_t *attest, *signature, *key_der;
        struct statement s;
        size_t key_size;
        struct attestation_key *key;
        struct pcr_bank values;
        uint8_t nonce[64];
        size_t nonce_size;
};

static const char *text_of(sd_json_variant *v, const char *field)
{
        return sd_json_variant_string(sd_json_variant_by_key(v, field));
}

/* A TPMS_ATTEST's extraData stands behind magic, type and the signer's Name. */
static void read_nonce(struct recorded *r)
{
        size_t at = 6;

        at += 2 + ((size_t)r->attest[at] << 8 | r->attest[at + 1]);
        r->nonce_size = (size_t)r->attest[at] << 8 | r->attest[at + 1];
        cr_assert_leq(r->nonce_size, sizeof(r->nonce));
        memcpy(r->nonce, r->attest + at + 2, r->nonce_size);
}

static void read_trustee(struct recorded *r)
{
        _cleanup_json_ sd_json_variant *v = vector_json("tpm-quote/trustee/tpm_evidence.json");
        sd_json_variant *quote = sd_json_variant_by_key(v, "tpm_quote"), *pcrs;

        *r = (struct recorded){};
        r->attest = decode_base64(text_of(quote, "message"), &r->s.attest_size);
        r->signature = decode_base64(text_of(quote, "signature"), &r->s.signature_size);
        r->key_der = decode_base64(text_of(v, "ak_public"), &r->key_size);
        r->s.attest = r->attest;
        r->s.signature = r->signature;
        cr_assert_eq(attestation_key_from_spki(r->key_der, r->key_size, &r->key, NULL), 0);
        cr_assert_eq(pcr_bank_start(&r->values, PCR_SHA256), 0);
        pcrs = sd_json_variant_by_key(quote, "pcrs");
        cr_assert_eq(sd_json_variant_elements(pcrs), PCR_COUNT);
        for (size_t i = 0; i < PCR_COUNT; i++)
                cr_assert_eq(hex_decode(sd_json_variant_string(sd_json_variant_by_index(pcrs, i)),
                                        r->values.value[i], 32),
                             0);
        read_nonce(r);
}

static void recorded_done(struct recorded *r)
{
        free(r->attest);
        free(r->signature);
        free(r->key_der);
        attestation_key_free(r->key);
}

static int verify(const struct recorded *r, const void *nonce, size_t nonce_size, bool sha1, uint32_t pcrs,
                  struct error *e)
{
        const struct statement_demand d = {.nonce = nonce, .nonce_size = nonce_size, .allow_sha1 = sha1};
        struct verified_quote *q = NULL;
        int result = quote_verify(&r->s, r->key, &d, &r->values, pcrs, &q, e);

        verified_quote_free(q);
        return result;
}

Test(quote_vectors, trustee)
{
        struct error e = {};
        struct recorded r;

        read_trustee(&r);
        cr_expect_eq(verify(&r, r.nonce, r.nonce_size, false, 0xffffff, &e), 0, "%s", e.message);
        cr_expect_eq(verify(&r, r.nonce, r.nonce_size, false, 0xfffff, &e), -EPERM, "%s", e.message);
        cr_expect_eq(verify(&r, "another nonce", 13, false, 0xffffff, &e), -ESTALE, "%s", e.message);
        recorded_done(&r);
}

/* The same as evidence: its key is pinned by fingerprint, and what no log says nobody may demand. */
Test(quote_vectors, trustee_as_evidence)
{
        static const char policy[] =
                "{\"version\":1,\"keys\":[],\"validity_seconds\":60,\"required\":"
                "{\"pcr16\":{\"allowed\":[\"%s\"]},\"secure-boot\":{\"allowed\":[true]}}}";
        _cleanup_appraisal_policy_ struct appraisal_policy p = {};
        _cleanup_appraisal_ struct appraisal a = {};
        _cleanup_claims_ struct claims claims = {};
        struct verified_evidence *v = NULL;
        struct evidence ev = {.kind = EVIDENCE_TPM};
        char fingerprint[65], zeros[65], text[512];
        const char *keys[] = {fingerprint};
        struct evidence_demand d = {.pcrs = 0xffffff, .keys = keys, .n_keys = 1};
        struct recorded r;

        read_trustee(&r);
        ev.values = r.values;
        ev.values.extended = 0xffffff;
        ev.quote = (struct evidence_part){r.attest, r.s.attest_size};
        ev.quote_signature = (struct evidence_part){r.signature, r.s.signature_size};
        ev.key_spki = (struct evidence_part){r.key_der, r.key_size};
        d.statement = (struct statement_demand){.nonce = r.nonce, .nonce_size = r.nonce_size};
        hex_encode(attestation_key_fingerprint(r.key), 32, fingerprint);
        cr_assert_eq(evidence_verify(&ev, &d, &v, NULL), 0);
        cr_assert_eq(claims_collect(v, &claims, NULL), 0);
        hex_encode((uint8_t[32]){}, 32, zeros);
        (void)snprintf(text, sizeof(text), policy, zeros);
        cr_assert_eq(appraisal_policy_parse(text, strlen(text), &p, NULL), 0);
        cr_assert_eq(appraise(&claims, &p, NULL, &a, NULL), 0);
        cr_assert_eq(a.n, 2);
        cr_expect(a.findings[0].met);
        cr_expect(!a.findings[1].met && !a.findings[1].found);
        cr_expect(!a.met);
        verified_evidence_free(v);
        v = NULL;
        fingerprint[0] = fingerprint[0] == '0' ? '1' : '0';
        cr_expect_eq(evidence_verify(&ev, &d, &v, NULL), -ENOKEY, "the key is the evidence's own");
        recorded_done(&r);
}

/* Signed with SHA-1 over an empty nonce: neither is taken. */
Test(quote_vectors, windows)
{
        _cleanup_json_ sd_json_variant *v =
                vector_json("tpm-quote/go-attestation/windows_gcp_shielded_vm.json");
        sd_json_variant *ak = sd_json_variant_by_key(v, "AK"), *quote = sd_json_variant_by_key(v, "Quote");
        struct recorded r = {};
        struct error e = {};
        size_t size;
        _cleanup_free_ uint8_t *area = decode_base64(text_of(ak, "Public"), &size), *body = NULL,
                               *wrapped = NULL;

        wrapped = malloc(size + 2); /* recorded as TPMT_PUBLIC */
        cr_assert(wrapped);
        wrapped[0] = (uint8_t)(size >> 8);
        wrapped[1] = (uint8_t)size;
        memcpy(wrapped + 2, area, size);
        cr_assert_eq(attestation_key_from_public(wrapped, size + 2, &r.key, &e), 0, "%s", e.message);
        r.attest = decode_base64(text_of(quote, "Quote"), &r.s.attest_size);
        r.signature = decode_base64(text_of(quote, "Signature"), &r.s.signature_size);
        r.s.attest = r.attest;
        r.s.signature = r.signature;
        cr_assert_eq(pcr_bank_start(&r.values, PCR_SHA1), 0);
        cr_expect_eq(verify(&r, "a nonce of ours", 15, false, 0xffffff, &e), -EKEYREJECTED);
        cr_expect(strstr(e.message, "SHA-1"), "%s", e.message);
        cr_expect_eq(verify(&r, "a nonce of ours", 15, true, 0xffffff, &e), -ESTALE, "%s", e.message);
        cr_expect_eq(verify(&r, "", 0, true, 0xffffff, &e), -EINVAL, "%s", e.message);
        recorded_done(&r);
}

/* TPM 1.2 knows no attestation of this form. */
Test(quote_vectors, tpm12)
{
        _cleanup_json_ sd_json_variant *v = vector_json("tpm-quote/go-attestation/linux_tpm12.json");
        struct attestation_key *key = NULL;
        size_t size;
        _cleanup_free_ uint8_t *area =
                decode_base64(text_of(sd_json_variant_by_key(v, "AK"), "Public"), &size);

        cr_expect_eq(attestation_key_from_public(area, size, &key, NULL), -EBADMSG);
        cr_expect_null(key);
}

/* Whichever part is changed, it is not accepted. */
Test(quote_vectors, mutations, .timeout = 900)
{
        uint64_t state = 0x2545f4914f6cdd1d;
        struct recorded r, changed;

        read_trustee(&r);
        for (unsigned i = 0; i < 30000; i++) {
                uint8_t attest[512], signature[1024];

                memcpy(attest, r.attest, r.s.attest_size);
                memcpy(signature, r.signature, r.s.signature_size);
                changed = r;
                changed.s = (struct statement){attest, signature, r.s.attest_size, r.s.signature_size};
                if (i % 3 == 0)
                        mutate(attest, r.s.attest_size, &state);
                else if (i % 3 == 1)
                        mutate(signature, r.s.signature_size, &state);
                else
                        mutate(&changed.values.value[0][0] + random_next(&state) % PCR_COUNT * PCR_DIGEST_MAX,
                               32, &state);
                if (memcmp(attest, r.attest, r.s.attest_size) == 0 &&
                    memcmp(signature, r.signature, r.s.signature_size) == 0 &&
                    memcmp(&changed.values, &r.values, sizeof(r.values)) == 0)
                        continue;
                cr_assert_neq(verify(&changed, r.nonce, r.nonce_size, false, 0xffffff, NULL), 0,
                              "mutation %u", i);
        }
        recorded_done(&r);
}

/* A changed key is refused or has another fingerprint, by which it is pinned. */
Test(quote_vectors, mutated_keys, .timeout = 900)
{
        uint64_t state = 0x9e3779b97f4a7c15;
        struct recorded r;

        read_trustee(&r);
        for (unsigned i = 0; i < 10000; i++) {
                struct attestation_key *key = NULL;
                uint8_t der[1024];

                memcpy(der, r.key_der, r.key_size);
                mutate(der, r.key_size, &state);
                if (attestation_key_from_spki(der, r.key_size, &key, NULL) < 0)
                        continue;
                if (memcmp(der, r.key_der, r.key_size) != 0)
                        cr_expect_arr_neq(attestation_key_fingerprint(key),
                                          attestation_key_fingerprint(r.key), 32, "mutation %u", i);
                attestation_key_free(key);
        }
        recorded_done(&r);
}
