/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm/tpm.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

struct tpm {
        TSS2_TCTI_CONTEXT *tcti;
        ESYS_CONTEXT *esys;
        TPMI_ALG_HASH bank[TPM_BANKS_MAX];
        size_t n_banks;
};

static const struct {
        TPMI_ALG_HASH algorithm;
        uint16_t size;
        const EVP_MD *(*md)(void);
} known_banks[] = {
        {TPM2_ALG_SHA1, 20, EVP_sha1},
        {TPM2_ALG_SHA256, 32, EVP_sha256},
        {TPM2_ALG_SHA384, 48, EVP_sha384},
        {TPM2_ALG_SHA512, 64, EVP_sha512},
};

static int tpm_error(TSS2_RC rc, const char *what, struct error *e)
{
        int r = -EIO;

        if ((rc & ~TSS2_RC_LAYER_MASK) == TSS2_BASE_RC_MEMORY)
                r = -ENOMEM;
        else if (rc == TPM2_RC_LOCKOUT)
                r = -EBUSY;
        else if ((rc & ~TSS2_RC_LAYER_MASK) == TSS2_BASE_RC_IO_ERROR)
                r = -ENODEV;
        return error_set(e, r, "TPM: %s: success expected, found response code 0x%08x", what, rc);
}

struct tpm *tpm_free(struct tpm *tpm)
{
        if (!tpm)
                return NULL;
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
                return tpm_error(rc, "GetCapability(PCRS)", e);
        for (uint32_t i = 0; i < data->data.assignedPCR.count && i < TPM2_NUM_PCR_BANKS; i++) {
                const TPMS_PCR_SELECTION *s = &data->data.assignedPCR.pcrSelections[i];
                bool active = false;

                for (size_t k = 0; k < s->sizeofSelect && k < sizeof(s->pcrSelect); k++)
                        active = active || s->pcrSelect[k] != 0;
                for (size_t k = 0; active && k < ELEMENTSOF(known_banks); k++)
                        if (known_banks[k].algorithm == s->hash && tpm->n_banks < TPM_BANKS_MAX)
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
        /* The TSS would print what we return. */
        (void)setenv("TSS2_LOG", "all+NONE", 0);
        rc = Tss2_TctiLdr_Initialize(tcti, &tpm->tcti);
        if (rc != TSS2_RC_SUCCESS)
                return error_prefix(e, tpm_error(rc, "open", e), "%s", tcti);
        rc = Esys_Initialize(&tpm->esys, tpm->tcti, NULL);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(rc, "Esys_Initialize", e);
        r = read_banks(tpm, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(tpm);
        return 0;
}

int tpm_hash(struct tpm *tpm, const void *data, size_t size, struct tpm_digests *ret, struct error *e)
{
        struct tpm_digests out = {};

        for (size_t i = 0; i < tpm->n_banks; i++)
                for (size_t k = 0; k < ELEMENTSOF(known_banks); k++) {
                        struct tpm_digest *d = &out.digest[out.n];

                        if (known_banks[k].algorithm != tpm->bank[i])
                                continue;
                        if (EVP_Digest(data, size, d->bytes, NULL, known_banks[k].md(), NULL) != 1)
                                return error_set(e, -EIO, "hash 0x%04x of %zu bytes failed", tpm->bank[i],
                                                 size);
                        d->algorithm = tpm->bank[i];
                        d->size = known_banks[k].size;
                        out.n++;
                }
        *ret = out;
        return 0;
}

int tpm_pcr_extend(struct tpm *tpm, unsigned pcr, const struct tpm_digests *digests, struct error *e)
{
        TPML_DIGEST_VALUES values = {.count = (uint32_t)digests->n};
        TSS2_RC rc;

        for (size_t i = 0; i < digests->n; i++) {
                values.digests[i].hashAlg = digests->digest[i].algorithm;
                memcpy(&values.digests[i].digest, digests->digest[i].bytes, digests->digest[i].size);
        }
        rc = Esys_PCR_Extend(tpm->esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                             &values);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(rc, "PCR_Extend", e);
        return 0;
}

int tpm_pcr_read(struct tpm *tpm, unsigned pcr, uint8_t ret[static 32], struct error *e)
{
        TPML_PCR_SELECTION selection = {.count = 1,
                                        .pcrSelections = {{.hash = TPM2_ALG_SHA256, .sizeofSelect = 3}}};
        _cleanup_free_ TPML_DIGEST *digests = NULL;
        TSS2_RC rc;

        selection.pcrSelections[0].pcrSelect[pcr / 8] = (uint8_t)(1u << pcr % 8);
        rc = Esys_PCR_Read(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &selection, NULL, NULL,
                           &digests);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(rc, "PCR_Read", e);
        if (digests->count != 1 || digests->digests[0].size != 32)
                return error_set(e, -EIO, "TPM: one digest of 32 bytes expected for PCR %u", pcr);
        memcpy(ret, digests->digests[0].buffer, 32);
        return 0;
}
