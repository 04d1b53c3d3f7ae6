/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each way to make a statement say what it does not say, beside the one that is right. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/x509.h>
#include <string.h>

#include "software-tpm.h"

static const char nonce[] = "a nonce of twenty-one";
static const struct statement_demand demand = {.nonce = nonce, .nonce_size = sizeof(nonce) - 1};

#define PCRS 0x401u /* 0 and 10 */

struct machine {
        struct software_key software;
        struct attestation_key *key;
        struct pcr_bank values;
        struct software_statement statement;
};

static void machine_start(struct machine *m, bool rsa)
{
        struct error e = {};

        software_key_make(&m->software, rsa);
        m->key = NULL;
        cr_assert_eq(
                attestation_key_from_public(m->software.public_area, m->software.public_size, &m->key, &e), 0,
                "%s", e.message);
        cr_assert_eq(pcr_bank_start(&m->values, PCR_SHA256), 0);
        memset(m->values.value[0], 0xaa, 32);
        memset(m->values.value[10], 0xbb, 32);
        memset(m->values.value[23], 0xcc, 32);
        software_quote(&m->statement, &m->values, PCRS, nonce, sizeof(nonce) - 1);
        software_sign(&m->statement, &m->software);
}

static void machine_done(struct machine *m)
{
        attestation_key_free(m->key);
        software_key_done(&m->software);
}

static void expect(const struct machine *m, const struct statement_demand *d, uint32_t pcrs, int result,
                   const char *reason)
{
        _cleanup_(verified_quote_free_ptr) struct verified_quote *q = NULL;
        struct error e = {};

        cr_expect_eq(quote_verify(&m->statement.s, m->key, d, &m->values, pcrs, &q, &e), result, "%s: %s",
                     reason, e.message);
        cr_expect(strstr(e.message, reason), "\"%s\" expected, found \"%s\"", reason, e.message);
        cr_expect_eq(!!q, result == 0);
}

Test(quote, both_kinds_of_key)
{
        for (int rsa = 0; rsa < 2; rsa++) {
                struct verified_quote *q = NULL;
                struct error e = {};
                struct machine m;

                machine_start(&m, rsa);
                cr_assert_eq(quote_verify(&m.statement.s, m.key, &demand, &m.values, PCRS, &q, &e), 0, "%s",
                             e.message);
                cr_expect_arr_eq(verified_quote_pcr(q, 10), m.values.value[10], 32);
                cr_expect_null(verified_quote_pcr(q, 23));
                cr_expect_null(verified_quote_pcr(q, 24));
                cr_expect_eq(verified_quote_clock(q)->resets, 7);
                cr_expect_eq(verified_quote_clock(q)->restarts, 2);
                verified_quote_free(q);
                machine_done(&m);
        }
}

/* The PCRs that were quoted are not those that are claimed: resettable ones under another's number. */
Test(quote, selection)
{
        struct machine m;
        struct pcr_bank forged;

        machine_start(&m, false);
        forged = m.values;
        software_quote(&m.statement, &m.values, 1u | 1u << 23, nonce, sizeof(nonce) - 1);
        software_sign(&m.statement, &m.software);
        memcpy(forged.value[10], m.values.value[23], 32);
        m.values = forged;
        expect(&m, &demand, PCRS, -EPERM, "selection: PCRs");

        software_quote(&m.statement, &m.values, PCRS | 2, nonce, sizeof(nonce) - 1);
        software_sign(&m.statement, &m.software);
        expect(&m, &demand, PCRS, -EPERM, "selection: PCRs");
        software_quote(&m.statement, &m.values, 1, nonce, sizeof(nonce) - 1);
        software_sign(&m.statement, &m.software);
        expect(&m, &demand, PCRS, -EPERM, "selection: PCRs");
        expect(&m, &demand, 0, -EINVAL, "selection");
        machine_done(&m);
}

Test(quote, banks)
{
        TPML_PCR_SELECTION *l;
        struct machine m;

        machine_start(&m, false);
        l = &m.statement.attest.attested.quote.pcrSelect;
        l->pcrSelections[0].hash = TPM2_ALG_SHA1;
        software_sign(&m.statement, &m.software);
        expect(&m, &demand, PCRS, -EPERM, "selection: bank");
        l->pcrSelections[0].hash = TPM2_ALG_SHA256;
        l->pcrSelections[1] = l->pcrSelections[0];
        l->pcrSelections[1].hash = TPM2_ALG_SHA1;
        l->count = 2;
        software_sign(&m.statement, &m.software);
        expect(&m, &demand, PCRS, -EPERM, "selection: one bank");
        l->count = 0;
        software_sign(&m.statement, &m.software);
        expect(&m, &demand, PCRS, -EPERM, "selection: one bank");
        machine_done(&m);
}

Test(quote, values)
{
        struct machine m;

        machine_start(&m, false);
        m.values.value[10][31] ^= 1;
        expect(&m, &demand, PCRS, -EPERM, "values");
        m.values.value[10][31] ^= 1;
        expect(&m, &demand, PCRS, 0, "");
        machine_done(&m);
}

Test(quote, trailing_bytes)
{
        struct machine m;

        machine_start(&m, false);
        m.statement.s.signature_size++;
        expect(&m, &demand, PCRS, -EBADMSG, "signature: one TPMT_SIGNATURE");
        m.statement.s.signature_size--;
        m.statement.s.attest_size++;
        expect(&m, &demand, PCRS, -EKEYREJECTED, "signature");
        software_sign_bytes(&m.statement, &m.software, PCR_SHA256);
        expect(&m, &demand, PCRS, -EBADMSG, "one TPMS_ATTEST");
        machine_done(&m);
}

Test(quote, magic_and_type)
{
        struct machine m;

        machine_start(&m, false);
        m.statement.bytes[0] ^= 1;
        software_sign_bytes(&m.statement, &m.software, PCR_SHA256);
        expect(&m, &demand, PCRS, -EBADMSG, "magic");
        software_counter(&m.statement, "name", 4, 1, nonce, sizeof(nonce) - 1);
        software_sign(&m.statement, &m.software);
        expect(&m, &demand, PCRS, -EBADMSG, "type");
        machine_done(&m);
}

Test(quote, schemes)
{
        struct statement_demand old = demand;
        struct machine m;

        machine_start(&m, true);
        software_sign_bytes(&m.statement, &m.software, PCR_SHA1);
        expect(&m, &demand, PCRS, -EKEYREJECTED, "scheme: the key's hash");
        old.allow_sha1 = true;
        expect(&m, &old, PCRS, -EKEYREJECTED, "scheme: the key's hash");
        software_sign(&m.statement, &m.software);
        m.statement.signature[1] = TPM2_ALG_RSAPSS;
        expect(&m, &demand, PCRS, -EKEYREJECTED, "scheme: the key's");
        m.statement.signature[1] = TPM2_ALG_ECDSA;
        expect(&m, &demand, PCRS, -EBADMSG, "signature");
        machine_done(&m);
}

/* A key without a fixed hash, as one that came without its public area. */
Test(quote, sha1_only_where_allowed)
{
        struct statement_demand old = demand;
        struct machine m;
        unsigned char *der = NULL;
        int n;

        machine_start(&m, true);
        n = i2d_PUBKEY(m.software.pkey, &der);
        attestation_key_free(m.key);
        cr_assert_eq(attestation_key_from_spki(der, (size_t)n, &m.key, NULL), 0);
        OPENSSL_free(der);
        software_sign_bytes(&m.statement, &m.software, PCR_SHA1);
        expect(&m, &demand, PCRS, -EKEYREJECTED, "found SHA-1");
        old.allow_sha1 = true;
        m.statement.attest.attested.quote.pcrDigest.size = 20;
        expect(&m, &old, PCRS, -EPERM, "values");
        machine_done(&m);
}

/* Signed with SHA-256, but over values that are no better than SHA-1. */
Test(quote, sha1_bank_only_where_allowed)
{
        struct statement_demand old = demand;
        struct machine m;

        machine_start(&m, false);
        cr_assert_eq(pcr_bank_start(&m.values, PCR_SHA1), 0);
        software_quote(&m.statement, &m.values, PCRS, nonce, sizeof(nonce) - 1);
        software_sign(&m.statement, &m.software);
        expect(&m, &demand, PCRS, -EPERM, "found SHA-1");
        old.allow_sha1 = true;
        expect(&m, &old, PCRS, 0, "");
        machine_done(&m);
}

Test(quote, nonces)
{
        static const struct {
                const char *nonce;
                size_t size;
                int result;
        } cases[] = {
                {"", 0, -EINVAL},
                {"short", 5, -EINVAL},
                {nonce, sizeof(nonce), -ESTALE},               /* padded */
                {nonce, sizeof(nonce) - 2, -ESTALE},           /* shorter */
                {"YSBub25jZSBvZiB0d2VudHktb25l", 28, -ESTALE}, /* its Base64 */
                {"another nonce of 21 b", 21, -ESTALE},
        };
        struct machine m;

        machine_start(&m, false);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct statement_demand d = {.nonce = cases[i].nonce, .nonce_size = cases[i].size};

                expect(&m, &d, PCRS, cases[i].result, "nonce");
        }
        machine_done(&m);
}

Test(quote, another_key)
{
        struct machine m, other;

        machine_start(&m, false);
        machine_start(&other, false);
        m.statement.s = other.statement.s;
        expect(&m, &demand, PCRS, -EKEYREJECTED, "signature: the key's");
        machine_done(&m);
        machine_done(&other);
}

static void expect_key(struct software_key *k, int result, const char *reason)
{
        struct attestation_key *key = NULL;
        struct error e = {};

        software_key_update(k);
        cr_expect_eq(attestation_key_from_public(k->public_area, k->public_size, &key, &e), result, "%s: %s",
                     reason, e.message);
        cr_expect(strstr(e.message, reason), "\"%s\" expected, found \"%s\"", reason, e.message);
        attestation_key_free(key);
}

/* Without any one of these somebody could have the key sign what no TPM said. */
Test(key, attributes)
{
        static const TPMA_OBJECT needed[] = {
                TPMA_OBJECT_SIGN_ENCRYPT, TPMA_OBJECT_RESTRICTED,          TPMA_OBJECT_FIXEDTPM,
                TPMA_OBJECT_FIXEDPARENT,  TPMA_OBJECT_SENSITIVEDATAORIGIN, TPMA_OBJECT_DECRYPT};
        struct software_key k;

        software_key_make(&k, false);
        expect_key(&k, 0, "");
        for (size_t i = 0; i < ELEMENTSOF(needed); i++) {
                k.area.publicArea.objectAttributes ^= needed[i];
                expect_key(&k, -EKEYREJECTED, "attributes");
                k.area.publicArea.objectAttributes ^= needed[i];
        }
        software_key_done(&k);
}

Test(key, parameters)
{
        struct software_key k;
        TPMT_PUBLIC *p = &k.area.publicArea;

        software_key_make(&k, false);
        p->nameAlg = TPM2_ALG_SHA1;
        expect_key(&k, -EBADMSG, "attestation key");
        p->nameAlg = TPM2_ALG_SHA256;
        p->parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDAA;
        expect_key(&k, -EKEYREJECTED, "scheme");
        p->parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDSA;
        p->parameters.eccDetail.curveID = TPM2_ECC_BN_P256;
        expect_key(&k, -EKEYREJECTED, "point");
        p->parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
        p->unique.ecc.y.buffer[31] ^= 1;
        expect_key(&k, -EKEYREJECTED, "point");
        software_key_done(&k);
        software_key_make(&k, true);
        p->parameters.rsaDetail.scheme.scheme = TPM2_ALG_RSAPSS;
        expect_key(&k, -EKEYREJECTED, "scheme");
        p->parameters.rsaDetail.scheme.scheme = TPM2_ALG_RSASSA;
        p->unique.rsa.size = 128;
        expect_key(&k, -EKEYREJECTED, "2048");
        software_key_done(&k);
}

Test(key, one_form)
{
        struct attestation_key *key = NULL;
        struct software_key k;

        software_key_make(&k, false);
        cr_expect_eq(attestation_key_from_public(k.public_area, k.public_size + 1, &key, NULL), -EBADMSG);
        for (size_t n = 0; n < k.public_size; n++)
                cr_expect_eq(attestation_key_from_public(k.public_area, n, &key, NULL), -EBADMSG, "%zu bytes",
                             n);
        cr_expect_null(key);
        software_key_done(&k);
}

Test(counter, certified)
{
        struct software_statement s;
        struct statement_clock clock;
        struct machine m;
        uint64_t value = 0;

        machine_start(&m, false);
        software_counter(&s, "the index", 9, 42, nonce, sizeof(nonce) - 1);
        software_sign(&s, &m.software);
        cr_expect_eq(counter_verify(&s.s, m.key, &demand, "the index", 9, &value, &clock, NULL), 0);
        cr_expect_eq(value, 42);
        cr_expect_eq(clock.resets, 7);
        cr_expect_eq(counter_verify(&s.s, m.key, &demand, "another", 7, &value, &clock, NULL), -EPERM);
        s.attest.attested.nv.offset = 1;
        software_sign(&s, &m.software);
        cr_expect_eq(counter_verify(&s.s, m.key, &demand, "the index", 9, &value, &clock, NULL), -EPERM);
        cr_expect_eq(counter_verify(&m.statement.s, m.key, &demand, "the index", 9, &value, &clock, NULL),
                     -EBADMSG);
        machine_done(&m);
}
