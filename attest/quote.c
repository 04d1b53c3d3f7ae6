/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quote.h"

#include <endian.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "key.h"

struct verified_quote {
        struct pcr_bank bank; /* `extended`: those that were quoted */
        struct statement_clock clock;
};

struct verified_quote *verified_quote_free(struct verified_quote *q)
{
        free(q);
        return NULL;
}

const uint8_t *verified_quote_pcr(const struct verified_quote *q, unsigned pcr)
{
        return pcr < PCR_COUNT && q->bank.extended & 1u << pcr ? q->bank.value[pcr] : NULL;
}

uint16_t verified_quote_algorithm(const struct verified_quote *q)
{
        return q->bank.algorithm;
}

uint32_t verified_quote_pcrs(const struct verified_quote *q)
{
        return q->bank.extended;
}

const struct statement_clock *verified_quote_clock(const struct verified_quote *q)
{
        return &q->clock;
}

/* Unmarshals and demands that marshalling gives the same bytes: nothing behind, no second form. */
static int read_attest(const struct statement *s, TPMS_ATTEST *ret, struct error *e)
{
        uint8_t again[QUOTE_PART_MAX];
        size_t offset = 0, n = 0;

        if (s->attest_size < 4 || s->attest_size > QUOTE_PART_MAX)
                return error_set(e, -EBADMSG, "statement: 4 to %u bytes expected, found %zu", QUOTE_PART_MAX,
                                 s->attest_size);
        if (memcmp(s->attest, "\xffTCG", 4) != 0)
                return error_set(e, -EBADMSG,
                                 "magic: ff544347 expected: a TPM made this, found something else");
        if (Tss2_MU_TPMS_ATTEST_Unmarshal(s->attest, s->attest_size, &offset, ret) != TSS2_RC_SUCCESS ||
            offset != s->attest_size ||
            Tss2_MU_TPMS_ATTEST_Marshal(ret, again, sizeof(again), &n) != TSS2_RC_SUCCESS || n != offset ||
            memcmp(again, s->attest, n) != 0 || ret->clockInfo.safe > 1)
                return error_set(e, -EBADMSG, "statement: one TPMS_ATTEST expected, found something else");
        return 0;
}

static int read_signature(const struct statement *s, TPMT_SIGNATURE *ret, struct error *e)
{
        uint8_t again[QUOTE_PART_MAX];
        size_t offset = 0, n = 0;

        if (s->signature_size > QUOTE_PART_MAX ||
            Tss2_MU_TPMT_SIGNATURE_Unmarshal(s->signature, s->signature_size, &offset, ret) !=
                    TSS2_RC_SUCCESS ||
            offset != s->signature_size ||
            Tss2_MU_TPMT_SIGNATURE_Marshal(ret, again, sizeof(again), &n) != TSS2_RC_SUCCESS || n != offset ||
            memcmp(again, s->signature, n) != 0)
                return error_set(e, -EBADMSG, "signature: one TPMT_SIGNATURE expected, found something else");
        return 0;
}

/* ECDSA as OpenSSL wants it: DER, to be freed with OPENSSL_free(). */
static int ecdsa_der(const TPMS_SIGNATURE_ECDSA *s, unsigned char **ret)
{
        ECDSA_SIG *sig = ECDSA_SIG_new();
        BIGNUM *r = BN_bin2bn(s->signatureR.buffer, s->signatureR.size, NULL);
        BIGNUM *t = BN_bin2bn(s->signatureS.buffer, s->signatureS.size, NULL);
        int n = -1;

        if (sig && r && t && ECDSA_SIG_set0(sig, r, t) == 1) {
                r = t = NULL;
                n = i2d_ECDSA_SIG(sig, ret);
        }
        BN_free(r);
        BN_free(t);
        ECDSA_SIG_free(sig);
        return n;
}

static bool signature_fits(const struct attestation_key *key, const char *md, const struct statement *s,
                           const void *signature, size_t size)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool good = ctx && EVP_DigestVerifyInit_ex(ctx, NULL, md, NULL, NULL, key->pkey, NULL) == 1 &&
                    EVP_DigestVerify(ctx, signature, size, s->attest, s->attest_size) == 1;

        EVP_MD_CTX_free(ctx);
        ERR_clear_error();
        return good;
}

/* The hash of the scheme; -EKEYREJECTED for a scheme or a hash that is not taken. */
static int check_scheme(const struct attestation_key *key, const TPMT_SIGNATURE *sig, bool allow_sha1,
                        struct error *e)
{
        uint16_t hash = sig->signature.any.hashAlg;

        if (sig->sigAlg != key->scheme || (sig->sigAlg != TPM2_ALG_RSASSA && sig->sigAlg != TPM2_ALG_ECDSA))
                return error_set(e, -EKEYREJECTED, "scheme: the key's, 0x%04x, expected, found 0x%04x",
                                 key->scheme, sig->sigAlg);
        if (key->hash && hash != key->hash)
                return error_set(e, -EKEYREJECTED, "scheme: the key's hash, 0x%04x, expected, found 0x%04x",
                                 key->hash, hash);
        if (hash == PCR_SHA1 && !allow_sha1)
                return error_set(e, -EKEYREJECTED, "scheme: SHA-256 or longer expected, found SHA-1");
        if (hash != PCR_SHA1 && hash != PCR_SHA256 && hash != PCR_SHA384 && hash != PCR_SHA512)
                return error_set(e, -EKEYREJECTED, "scheme: a SHA-2 hash expected, found 0x%04x", hash);
        return hash;
}

static int check_signature(const struct statement *s, const struct attestation_key *key, bool allow_sha1,
                           struct error *e)
{
        TPMT_SIGNATURE sig = {};
        bool good;
        int r, hash;

        r = read_signature(s, &sig, e);
        if (r < 0)
                return r;
        hash = check_scheme(key, &sig, allow_sha1, e);
        if (hash < 0)
                return hash;
        if (sig.sigAlg == TPM2_ALG_RSASSA) {
                const TPM2B_PUBLIC_KEY_RSA *raw = &sig.signature.rsassa.sig;

                good = signature_fits(key, pcr_algorithm_name((uint16_t)hash), s, raw->buffer, raw->size);
        } else {
                unsigned char *der = NULL;
                int n = ecdsa_der(&sig.signature.ecdsa, &der);

                good = n > 0 && signature_fits(key, pcr_algorithm_name((uint16_t)hash), s, der, (size_t)n);
                OPENSSL_free(der);
        }
        return good ? hash : error_set(e, -EKEYREJECTED, "signature: the key's over this statement expected");
}

/* Signature first: nothing else is looked at before it is known who said it. Returns the scheme's hash. */
static int verify_statement(const struct statement *s, const struct attestation_key *key,
                            const struct statement_demand *d, TPMI_ST_ATTEST type, TPMS_ATTEST *ret,
                            struct error *e)
{
        int r, hash;

        if (!d->nonce || d->nonce_size < QUOTE_NONCE_MIN || d->nonce_size > QUOTE_NONCE_MAX)
                return error_set(e, -EINVAL, "nonce: %u to %u bytes expected, found %zu", QUOTE_NONCE_MIN,
                                 QUOTE_NONCE_MAX, d->nonce_size);
        hash = check_signature(s, key, d->allow_sha1, e);
        if (hash < 0)
                return hash;
        r = read_attest(s, ret, e);
        if (r < 0)
                return r;
        if (ret->magic != TPM2_GENERATED_VALUE || ret->type != type)
                return error_set(e, -EBADMSG, "type: 0x%04x expected, found 0x%04x", type, ret->type);
        if (ret->extraData.size != d->nonce_size ||
            CRYPTO_memcmp(ret->extraData.buffer, d->nonce, d->nonce_size) != 0)
                return error_set(e, -ESTALE,
                                 "nonce: the %zu bytes that were sent expected, found %u other ones",
                                 d->nonce_size, ret->extraData.size);
        return hash;
}

static void keep_clock(const TPMS_ATTEST *a, struct statement_clock *ret)
{
        *ret = (struct statement_clock){
                .clock = a->clockInfo.clock,
                .resets = a->clockInfo.resetCount,
                .restarts = a->clockInfo.restartCount,
                .safe = a->clockInfo.safe,
                .firmware_version = a->firmwareVersion,
        };
}

/* Exactly one selection, of this bank, of these PCRs. */
static int check_selection(const TPML_PCR_SELECTION *l, uint16_t algorithm, uint32_t pcrs, struct error *e)
{
        const TPMS_PCR_SELECTION *s = &l->pcrSelections[0];
        uint32_t found = 0;

        if (l->count != 1)
                return error_set(e, -EPERM, "selection: one bank expected, found %u", l->count);
        if (s->hash != algorithm)
                return error_set(e, -EPERM, "selection: bank 0x%04x expected, found 0x%04x", algorithm,
                                 s->hash);
        for (unsigned i = 0; i < s->sizeofSelect && i < sizeof(s->pcrSelect); i++)
                found |= (uint32_t)s->pcrSelect[i] << 8 * i;
        if (found != pcrs)
                return error_set(e, -EPERM, "selection: PCRs 0x%06x expected, found 0x%06x", pcrs, found);
        return 0;
}

/* pcrDigest: the scheme's hash over the values in ascending order (Part 1, section 17.6). */
static int check_values(const TPM2B_DIGEST *quoted, uint16_t hash, const struct pcr_bank *values,
                        uint32_t pcrs, struct error *e)
{
        uint8_t joined[PCR_COUNT * PCR_DIGEST_MAX], found[PCR_DIGEST_MAX];
        size_t n = 0;

        for (unsigned i = 0; i < PCR_COUNT; i++) {
                if (!(pcrs & 1u << i))
                        continue;
                memcpy(joined + n, values->value[i], values->size);
                n += values->size;
        }
        if (pcr_hash(hash, joined, n, found) < 0 || quoted->size != pcr_digest_size(hash) ||
            CRYPTO_memcmp(quoted->buffer, found, quoted->size) != 0)
                return error_set(e, -EPERM,
                                 "values: the PCR values that were quoted expected, found other ones");
        return 0;
}

int quote_verify(const struct statement *s, const struct attestation_key *key,
                 const struct statement_demand *demand, const struct pcr_bank *values, uint32_t pcrs,
                 struct verified_quote **ret, struct error *e)
{
        _cleanup_(verified_quote_free_ptr) struct verified_quote *q = calloc(1, sizeof(*q));
        TPMS_ATTEST a = {};
        int r, hash;

        if (!q)
                return -ENOMEM;
        if (!pcrs || pcrs >> PCR_COUNT || values->size != pcr_digest_size(values->algorithm) || !values->size)
                return error_set(e, -EINVAL, "selection: PCRs below %u of a bank that we know expected",
                                 PCR_COUNT);
        hash = verify_statement(s, key, demand, TPM2_ST_ATTEST_QUOTE, &a, e);
        if (hash < 0)
                return hash;
        if (values->algorithm == PCR_SHA1 && !demand->allow_sha1)
                return error_set(e, -EPERM, "selection: a bank of SHA-256 or longer expected, found SHA-1");
        r = check_selection(&a.attested.quote.pcrSelect, values->algorithm, pcrs, e);
        if (r >= 0)
                r = check_values(&a.attested.quote.pcrDigest, (uint16_t)hash, values, pcrs, e);
        if (r < 0)
                return r;
        q->bank = *values;
        q->bank.extended = pcrs;
        keep_clock(&a, &q->clock);
        *ret = TAKE_PTR(q);
        return 0;
}

int counter_verify(const struct statement *s, const struct attestation_key *key,
                   const struct statement_demand *demand, const void *name, size_t name_size, uint64_t *ret,
                   struct statement_clock *ret_clock, struct error *e)
{
        const TPMS_NV_CERTIFY_INFO *nv;
        TPMS_ATTEST a = {};
        uint64_t value;
        int r;

        r = verify_statement(s, key, demand, TPM2_ST_ATTEST_NV, &a, e);
        if (r < 0)
                return r;
        nv = &a.attested.nv;
        if (nv->indexName.size != name_size || memcmp(nv->indexName.name, name, name_size) != 0)
                return error_set(e, -EPERM,
                                 "counter: the rollback counter's index expected, found another one");
        if (nv->offset != 0 || nv->nvContents.size != sizeof(value))
                return error_set(e, -EPERM, "counter: its 8 bytes expected, found %u at %u",
                                 nv->nvContents.size, nv->offset);
        memcpy(&value, nv->nvContents.buffer, sizeof(value));
        *ret = be64toh(value);
        keep_clock(&a, ret_clock);
        return 0;
}
