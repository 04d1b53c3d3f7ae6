/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "software-tpm.h"

#include <criterion/criterion.h>
#include <endian.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#define ATTRIBUTES                                                                                           \
        (TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_FIXEDTPM |                          \
         TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH)

static void get_number(EVP_PKEY *key, const char *name, uint8_t *ret, size_t size)
{
        BIGNUM *n = NULL;

        cr_assert_eq(EVP_PKEY_get_bn_param(key, name, &n), 1);
        cr_assert_eq(BN_bn2binpad(n, ret, (int)size), (int)size);
        BN_free(n);
}

static void make_rsa(struct software_key *key)
{
        TPMT_PUBLIC *p = &key->area.publicArea;

        key->pkey = EVP_RSA_gen(2048);
        cr_assert(key->pkey);
        p->type = TPM2_ALG_RSA;
        p->parameters.rsaDetail = (TPMS_RSA_PARMS){
                .symmetric.algorithm = TPM2_ALG_NULL,
                .scheme = {.scheme = TPM2_ALG_RSASSA, .details.rsassa.hashAlg = TPM2_ALG_SHA256},
                .keyBits = 2048,
        };
        p->unique.rsa.size = 256;
        get_number(key->pkey, OSSL_PKEY_PARAM_RSA_N, p->unique.rsa.buffer, 256);
}

static void make_ecc(struct software_key *key)
{
        TPMT_PUBLIC *p = &key->area.publicArea;

        key->pkey = EVP_EC_gen("P-256");
        cr_assert(key->pkey);
        p->type = TPM2_ALG_ECC;
        p->parameters.eccDetail = (TPMS_ECC_PARMS){
                .symmetric.algorithm = TPM2_ALG_NULL,
                .scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
                .curveID = TPM2_ECC_NIST_P256,
                .kdf.scheme = TPM2_ALG_NULL,
        };
        p->unique.ecc.x.size = p->unique.ecc.y.size = 32;
        get_number(key->pkey, OSSL_PKEY_PARAM_EC_PUB_X, p->unique.ecc.x.buffer, 32);
        get_number(key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, p->unique.ecc.y.buffer, 32);
}

void software_key_update(struct software_key *key)
{
        key->area.size = 0;
        key->public_size = 0;
        cr_assert_eq(Tss2_MU_TPM2B_PUBLIC_Marshal(&key->area, key->public_area, sizeof(key->public_area),
                                                  &key->public_size),
                     TSS2_RC_SUCCESS);
}

void software_key_make(struct software_key *key, bool rsa)
{
        *key = (struct software_key){
                .area.publicArea = {.nameAlg = TPM2_ALG_SHA256, .objectAttributes = ATTRIBUTES}};
        if (rsa)
                make_rsa(key);
        else
                make_ecc(key);
        software_key_update(key);
}

void software_key_done(struct software_key *key)
{
        EVP_PKEY_free(key->pkey);
}

static void begin(struct software_statement *s, TPMI_ST_ATTEST type, const void *nonce, size_t nonce_size)
{
        *s = (struct software_statement){
                .attest = {.magic = TPM2_GENERATED_VALUE,
                           .type = type,
                           .extraData.size = (uint16_t)nonce_size,
                           .clockInfo = {.clock = 1000, .resetCount = 7, .restartCount = 2, .safe = 1},
                           .firmwareVersion = 1},
        };
        memcpy(s->attest.extraData.buffer, nonce, nonce_size);
        s->s = (struct statement){.attest = s->bytes, .signature = s->signature};
}

void software_quote(struct software_statement *s, const struct pcr_bank *values, uint32_t pcrs,
                    const void *nonce, size_t nonce_size)
{
        uint8_t joined[PCR_COUNT * PCR_DIGEST_MAX];
        TPMS_QUOTE_INFO *q = &s->attest.attested.quote;
        size_t n = 0;

        begin(s, TPM2_ST_ATTEST_QUOTE, nonce, nonce_size);
        q->pcrSelect.count = 1;
        q->pcrSelect.pcrSelections[0] = (TPMS_PCR_SELECTION){
                .hash = values->algorithm,
                .sizeofSelect = 3,
                .pcrSelect = {(uint8_t)pcrs, (uint8_t)(pcrs >> 8), (uint8_t)(pcrs >> 16)},
        };
        for (unsigned i = 0; i < PCR_COUNT; i++)
                if (pcrs & 1u << i) {
                        memcpy(joined + n, values->value[i], values->size);
                        n += values->size;
                }
        q->pcrDigest.size = 32;
        cr_assert_eq(pcr_hash(PCR_SHA256, joined, n, q->pcrDigest.buffer), 0);
}

void software_counter(struct software_statement *s, const void *name, size_t name_size, uint64_t value,
                      const void *nonce, size_t nonce_size)
{
        TPMS_NV_CERTIFY_INFO *nv = &s->attest.attested.nv;
        uint64_t be = htobe64(value);

        begin(s, TPM2_ST_ATTEST_NV, nonce, nonce_size);
        nv->indexName.size = (uint16_t)name_size;
        memcpy(nv->indexName.name, name, name_size);
        nv->nvContents.size = sizeof(be);
        memcpy(nv->nvContents.buffer, &be, sizeof(be));
}

static size_t sign(const struct software_key *key, uint16_t hash, const uint8_t *data, size_t size,
                   uint8_t *ret, size_t room)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        size_t n = room;

        cr_assert(ctx);
        cr_assert_eq(EVP_DigestSignInit_ex(ctx, NULL, pcr_algorithm_name(hash), NULL, NULL, key->pkey, NULL),
                     1);
        cr_assert_eq(EVP_DigestSign(ctx, ret, &n, data, size), 1);
        EVP_MD_CTX_free(ctx);
        return n;
}

void software_sign_bytes(struct software_statement *s, const struct software_key *key, uint16_t hash)
{
        TPMT_SIGNATURE sig = {.sigAlg = TPM2_ALG_RSASSA, .signature.any.hashAlg = hash};
        uint8_t raw[512];
        size_t n = sign(key, hash, s->bytes, s->s.attest_size, raw, sizeof(raw));

        if (EVP_PKEY_is_a(key->pkey, "RSA")) {
                sig.signature.rsassa.sig.size = (uint16_t)n;
                memcpy(sig.signature.rsassa.sig.buffer, raw, n);
        } else {
                const unsigned char *p = raw;
                ECDSA_SIG *ec = d2i_ECDSA_SIG(NULL, &p, (long)n);
                TPMS_SIGNATURE_ECDSA *out = &sig.signature.ecdsa;

                cr_assert(ec);
                sig.sigAlg = TPM2_ALG_ECDSA;
                out->signatureR.size = out->signatureS.size = 32;
                cr_assert_eq(BN_bn2binpad(ECDSA_SIG_get0_r(ec), out->signatureR.buffer, 32), 32);
                cr_assert_eq(BN_bn2binpad(ECDSA_SIG_get0_s(ec), out->signatureS.buffer, 32), 32);
                ECDSA_SIG_free(ec);
        }
        s->s.signature_size = 0;
        cr_assert_eq(Tss2_MU_TPMT_SIGNATURE_Marshal(&sig, s->signature, sizeof(s->signature),
                                                    &s->s.signature_size),
                     TSS2_RC_SUCCESS);
}

void software_sign(struct software_statement *s, const struct software_key *key)
{
        s->s.attest_size = 0;
        cr_assert_eq(Tss2_MU_TPMS_ATTEST_Marshal(&s->attest, s->bytes, sizeof(s->bytes), &s->s.attest_size),
                     TSS2_RC_SUCCESS);
        software_sign_bytes(s, key, PCR_SHA256);
}
