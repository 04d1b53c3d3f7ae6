/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm/tpm.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tctildr.h>

#include "tpm/internal.h"

struct tpm *tpm_free(struct tpm *tpm)
{
        if (!tpm)
                return NULL;
        tpm_flush(tpm, &tpm->session);
        Esys_Finalize(&tpm->esys);
        Tss2_TctiLdr_Finalize(&tpm->tcti);
        free(tpm);
        return NULL;
}

/* A bank counts as active when at least one PCR is allocated in it (TPM 2.0 Library, Part 2, 10.9.7). */
static int read_banks(struct tpm *tpm, struct error *e)
{
        _cleanup_free_ TPMS_CAPABILITY_DATA *data = NULL;
        bool have_sha256 = false;
        TPMI_YES_NO more;
        TSS2_RC rc;

        rc = Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_PCRS, 0, 1,
                                &more, &data);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "GetCapability(PCRS)", e);
        for (uint32_t i = 0; i < data->data.assignedPCR.count && i < TPM2_NUM_PCR_BANKS; i++) {
                const TPMS_PCR_SELECTION *s = &data->data.assignedPCR.pcrSelections[i];
                bool active = false;

                for (size_t k = 0; k < s->sizeofSelect && k < sizeof(s->pcrSelect); k++)
                        active = active || s->pcrSelect[k] != 0;
                if (active && tpm_digest(s->hash) && tpm->n_banks < TPM_BANKS_MAX)
                        tpm->bank[tpm->n_banks++] = s->hash;
                have_sha256 = have_sha256 || (active && s->hash == TPM2_ALG_SHA256);
        }
        if (!have_sha256)
                return error_set(e, -ENOTSUP, "TPM: an active SHA-256 PCR bank expected, not found");
        return 0;
}

int tpm_open(const char *tcti, struct tpm **ret, struct error *e)
{
        _cleanup_(tpm_free_ptr) struct tpm *tpm = calloc(1, sizeof(*tpm));
        TSS2_RC rc;
        int r;

        if (!tpm)
                return -ENOMEM;
        tpm->session = ESYS_TR_NONE;
        rc = Tss2_TctiLdr_Initialize(tcti, &tpm->tcti);
        if (rc != TSS2_RC_SUCCESS)
                return error_prefix(e, tpm_error(tpm, rc, "open", e), "%s", tcti);
        rc = Esys_Initialize(&tpm->esys, tpm->tcti, NULL);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "Esys_Initialize", e);
        rc = Esys_SetCryptoCallbacks(tpm->esys, &tpm_crypto);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "Esys_SetCryptoCallbacks", e);
        r = read_banks(tpm, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(tpm);
        return 0;
}

int tpm_hash(struct tpm *tpm, const void *data, size_t size, struct tpm_digests *ret, struct error *e)
{
        struct tpm_digests out = {};

        for (; out.n < tpm->n_banks; out.n++) {
                const EVP_MD *md = tpm_digest(tpm->bank[out.n]);
                struct tpm_digest *d = &out.digest[out.n];

                d->algorithm = tpm->bank[out.n];
                d->size = (uint16_t)EVP_MD_get_size(md);
                if (EVP_Digest(data, size, d->bytes, NULL, md, NULL) != 1)
                        return error_set(e, -EIO, "hash 0x%04x of %zu bytes failed", d->algorithm, size);
        }
        *ret = out;
        return 0;
}

int tpm_pcr_extend(struct tpm *tpm, unsigned pcr, const struct tpm_digests *digests, struct error *e)
{
        TPML_DIGEST_VALUES values = {.count = (uint32_t)digests->n};
        ESYS_TR session;
        TSS2_RC rc;
        int r;

        for (size_t i = 0; i < digests->n; i++) {
                values.digests[i].hashAlg = digests->digest[i].algorithm;
                memcpy(&values.digests[i].digest, digests->digest[i].bytes, digests->digest[i].size);
        }
        r = tpm_session(tpm, TPMA_SESSION_AUDIT, &session, e);
        if (r < 0)
                return r;
        rc = Esys_PCR_Extend(tpm->esys, ESYS_TR_PCR0 + pcr, session, ESYS_TR_NONE, ESYS_TR_NONE, &values);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "PCR_Extend", e);
        return 0;
}

/* Reads some of the PCRs, as many as the TPM gives at once, and says which they were. */
static int read_some(struct tpm *tpm, uint32_t pcrs, uint32_t *ret_pcrs, uint8_t ret[][32], struct error *e)
{
        TPML_PCR_SELECTION selection = tpm_pcr_selection(pcrs);
        _cleanup_free_ TPML_PCR_SELECTION *read = NULL;
        _cleanup_free_ TPML_DIGEST *digests = NULL;
        uint32_t found = 0;
        ESYS_TR session;
        TSS2_RC rc;
        size_t n = 0;
        int r;

        r = tpm_session(tpm, TPMA_SESSION_AUDIT, &session, e);
        if (r < 0)
                return r;
        rc = Esys_PCR_Read(tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, &selection, NULL, &read, &digests);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "PCR_Read", e);
        for (unsigned i = 0; read->count == 1 && i < TPM_PCRS; i++)
                found |= (read->pcrSelections[0].pcrSelect[i / 8] >> i % 8 & 1u) << i;
        for (unsigned i = 0; i < TPM_PCRS; i++) {
                if (!(found & 1u << i))
                        continue;
                if (!(pcrs & 1u << i) || n >= digests->count || digests->digests[n].size != 32)
                        return error_set(e, -EPROTO,
                                         "TPM: PCR_Read: one digest of 32 bytes for each PCR expected");
                memcpy(ret[i], digests->digests[n++].buffer, 32);
        }
        *ret_pcrs = found;
        return 0;
}

int tpm_pcrs_read(struct tpm *tpm, uint32_t pcrs, uint8_t ret[][32], struct error *e)
{
        while (pcrs != 0) {
                uint32_t read = 0;
                int r;

                r = read_some(tpm, pcrs, &read, ret, e);
                if (r < 0)
                        return r;
                if (read == 0)
                        return error_set(e, -ENOTSUP,
                                         "TPM: PCRs 0x%06x in the SHA-256 bank expected, not found", pcrs);
                pcrs &= ~read;
        }
        return 0;
}

int tpm_pcr_read(struct tpm *tpm, unsigned pcr, uint8_t ret[static 32], struct error *e)
{
        uint8_t values[TPM_PCRS][32];
        int r;

        r = tpm_pcrs_read(tpm, 1u << pcr, values, e);
        if (r < 0)
                return r;
        memcpy(ret, values[pcr], 32);
        return 0;
}
