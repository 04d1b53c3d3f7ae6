/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The attestation key and what it signs. */
#include <errno.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm/attestation.h"
#include "tpm/internal.h"

#define QUOTE_TRIES 5

/* The scheme of the key itself. */
static const TPMT_SIG_SCHEME own_scheme = {.scheme = TPM2_ALG_NULL};

int tpm_ak_create(struct tpm *tpm, ESYS_TR *ret, struct tpm_public *ret_public, struct error *e)
{
        int r = tpm_create_primary(tpm, ESYS_TR_RH_ENDORSEMENT, &tpm_template_ak, ret, ret_public, e);

        return r < 0 ? error_prefix(e, r, "attestation key") : 0;
}

int tpm_ak_read(struct tpm *tpm, struct tpm_public *ret, struct error *e)
{
        ESYS_TR handle = ESYS_TR_NONE;
        int r;

        r = tpm_ak_create(tpm, &handle, ret, e);
        tpm_flush(tpm, &handle);
        return r;
}

int tpm_ak_check(const struct tpm_public *ak, struct error *e)
{
        TPM2B_PUBLIC p;
        int r;

        r = tpm_public_unmarshal(ak, &p, e);
        if (r < 0)
                return r;
        if (!tpm_same_template(&p, &tpm_template_ak))
                return error_set(e, -EBADMSG,
                                 "attestation key: type 0x%04x, attributes 0x%08x, ECDSA with SHA-256 on "
                                 "P-256 expected, "
                                 "found type 0x%04x, attributes 0x%08x or another scheme",
                                 tpm_template_ak.publicArea.type, tpm_template_ak.publicArea.objectAttributes,
                                 p.publicArea.type, p.publicArea.objectAttributes);
        return 0;
}

static int take_nonce(const void *nonce, size_t size, TPM2B_DATA *ret, struct error *e)
{
        if (size == 0 || size > TPM_NONCE_MAX)
                return error_set(e, -EINVAL, "nonce: 1 to %u bytes expected, found %zu", TPM_NONCE_MAX, size);
        *ret = (TPM2B_DATA){.size = (uint16_t)size};
        memcpy(ret->buffer, nonce, size);
        return 0;
}

static int take_statement(const TPM2B_ATTEST *attest, const TPMT_SIGNATURE *signature,
                          struct tpm_statement *ret, struct error *e)
{
        struct tpm_statement s = {.attest_size = attest->size};

        if (attest->size > sizeof(s.attest) ||
            Tss2_MU_TPMT_SIGNATURE_Marshal(signature, s.signature, sizeof(s.signature), &s.signature_size) !=
                    TSS2_RC_SUCCESS)
                return error_set(e, -EPROTO, "TPM: a statement of at most %u bytes expected, found %u",
                                 TPM_ATTEST_MAX, attest->size);
        memcpy(s.attest, attest->attestationData, attest->size);
        *ret = s;
        return 0;
}

/* --- quotes --- */

static int quote_once(struct tpm *tpm, ESYS_TR ak, const TPM2B_DATA *nonce, uint32_t pcrs,
                      struct tpm_statement *ret, struct error *e)
{
        TPML_PCR_SELECTION selection = tpm_pcr_selection(pcrs);
        _cleanup_free_ TPMT_SIGNATURE *signature = NULL;
        _cleanup_free_ TPM2B_ATTEST *attest = NULL;
        ESYS_TR session;
        TSS2_RC rc;
        int r;

        r = tpm_session(tpm, TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT, &session, e);
        if (r < 0)
                return r;
        rc = Esys_Quote(tpm->esys, ak, session, ESYS_TR_NONE, ESYS_TR_NONE, nonce, &own_scheme, &selection,
                        &attest, &signature);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "Quote", e);
        return take_statement(attest, signature, ret, e);
}

/* 1: the quote is over these values, 0: it is over others. */
static int is_over(const struct tpm_quote *q, struct error *e)
{
        uint8_t digest[32];
        TPMS_ATTEST attest;
        size_t offset = 0;
        int r;

        if (Tss2_MU_TPMS_ATTEST_Unmarshal(q->statement.attest, q->statement.attest_size, &offset, &attest) !=
                    TSS2_RC_SUCCESS ||
            attest.type != TPM2_ST_ATTEST_QUOTE || attest.attested.quote.pcrDigest.size != sizeof(digest))
                return error_set(e, -EPROTO,
                                 "TPM: Quote: a quote over SHA-256 expected, found something else");
        r = tpm_pcr_digest(q->pcrs, q->values, digest, e);
        if (r < 0)
                return r;
        return memcmp(attest.attested.quote.pcrDigest.buffer, digest, sizeof(digest)) == 0;
}

int tpm_quote(struct tpm *tpm, const void *nonce, size_t nonce_size, uint32_t pcrs, struct tpm_quote *ret,
              struct error *e)
{
        struct tpm_quote q = {.pcrs = pcrs};
        ESYS_TR ak = ESYS_TR_NONE;
        TPM2B_DATA data;
        int r;

        if (pcrs == 0 || pcrs >> TPM_PCRS)
                return error_set(e, -EINVAL, "quote: some of PCR 0 to %u expected, found mask 0x%x",
                                 TPM_PCRS - 1, pcrs);
        r = take_nonce(nonce, nonce_size, &data, e);
        if (r >= 0)
                r = tpm_ak_create(tpm, &ak, NULL, e);
        if (r < 0)
                return r;
        r = 0;
        for (unsigned i = 0; r == 0 && i < QUOTE_TRIES; i++) {
                r = quote_once(tpm, ak, &data, pcrs, &q.statement, e);
                if (r >= 0)
                        r = tpm_pcrs_read(tpm, pcrs, q.values, e);
                if (r >= 0)
                        r = is_over(&q, e);
        }
        tpm_flush(tpm, &ak);
        if (r == 0)
                return error_set(e, -EAGAIN,
                                 "quote: PCRs that stand still expected, found others in each of %u tries",
                                 QUOTE_TRIES);
        if (r < 0)
                return r;
        *ret = q;
        return 0;
}

/* --- the counter --- */

static int certify(struct tpm *tpm, ESYS_TR ak, ESYS_TR index, const TPM2B_DATA *nonce,
                   struct tpm_statement *ret, struct error *e)
{
        _cleanup_free_ TPMT_SIGNATURE *signature = NULL;
        _cleanup_free_ TPM2B_ATTEST *attest = NULL;
        ESYS_TR session;
        TSS2_RC rc;
        int r;

        r = tpm_session(tpm, TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT, &session, e);
        if (r < 0)
                return r;
        rc = Esys_NV_Certify(tpm->esys, ak, index, index, session, ESYS_TR_PASSWORD, ESYS_TR_NONE, nonce,
                             &own_scheme, 8, 0, &attest, &signature);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "NV_Certify", e);
        return take_statement(attest, signature, ret, e);
}

int tpm_certify_counter(struct tpm *tpm, uint32_t index, const void *nonce, size_t nonce_size,
                        struct tpm_statement *ret, struct error *e)
{
        TPMS_NV_PUBLIC p = tpm_nv_counter_public(index);
        ESYS_TR ak = ESYS_TR_NONE, handle;
        TPM2B_DATA data;
        int r;

        r = take_nonce(nonce, nonce_size, &data, e);
        if (r >= 0)
                r = tpm_nv_open(tpm, &p, true, &handle, e);
        if (r < 0)
                return r;
        r = tpm_ak_create(tpm, &ak, NULL, e);
        if (r >= 0)
                r = certify(tpm, ak, handle, &data, ret, e);
        tpm_flush(tpm, &ak);
        (void)Esys_TR_Close(tpm->esys, &handle);
        return r;
}
