/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The storage root key and the sessions salted with it (TPM 2.0 Library, Part 1, section 19). */
#include <errno.h>

#include "tpm/internal.h"

static const TPMT_SYM_DEF encryption = {
        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};

void tpm_flush(struct tpm *tpm, ESYS_TR *handle)
{
        if (*handle != ESYS_TR_NONE)
                (void)Esys_FlushContext(tpm->esys, *handle);
        *handle = ESYS_TR_NONE;
}

int tpm_create_primary(struct tpm *tpm, ESYS_TR hierarchy, const TPM2B_PUBLIC *template, ESYS_TR *ret,
                       struct tpm_public *ret_public, struct error *e)
{
        const TPM2B_SENSITIVE_CREATE no_authorization = {};
        const TPML_PCR_SELECTION no_pcrs = {};
        const TPM2B_DATA no_data = {};
        _cleanup_free_ TPM2B_PUBLIC *public_area = NULL;
        ESYS_TR handle = ESYS_TR_NONE;
        TSS2_RC rc;
        int r = 0;

        rc = Esys_CreatePrimary(tpm->esys, hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                &no_authorization, template, &no_data, &no_pcrs, &handle, &public_area, NULL,
                                NULL, NULL);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "CreatePrimary", e);
        if (!tpm_same_template(public_area, template))
                r = error_set(e, -EPROTO,
                              "TPM: CreatePrimary: a key of the template asked for expected, found another");
        if (r >= 0 && ret_public)
                r = tpm_public_marshal(public_area, ret_public, e);
        if (r < 0) {
                tpm_flush(tpm, &handle);
                return r;
        }
        *ret = handle;
        return 0;
}

int tpm_srk(struct tpm *tpm, ESYS_TR *ret, struct error *e)
{
        int r = tpm_create_primary(tpm, ESYS_TR_RH_OWNER, &tpm_template_srk, ret, NULL, e);

        return r < 0 ? error_prefix(e, r, "storage root key") : 0;
}

/* The key does not stay loaded: the kernel's resource manager would load and save it around every command. */
static int start(struct tpm *tpm, TPM2_SE type, ESYS_TR *ret, struct error *e)
{
        ESYS_TR srk = ESYS_TR_NONE;
        TSS2_RC rc;
        int r;

        r = tpm_srk(tpm, &srk, e);
        if (r < 0)
                return r;
        rc = Esys_StartAuthSession(tpm->esys, srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                   NULL, type, &encryption, TPM2_ALG_SHA256, ret);
        tpm_flush(tpm, &srk);
        if (rc != TSS2_RC_SUCCESS) {
                *ret = ESYS_TR_NONE;
                return tpm_error(tpm, rc, "StartAuthSession", e);
        }
        return 0;
}

static int set_attributes(struct tpm *tpm, ESYS_TR session, TPMA_SESSION attributes, struct error *e)
{
        TSS2_RC rc = Esys_TRSess_SetAttributes(tpm->esys, session, attributes | TPMA_SESSION_CONTINUESESSION,
                                               0xff);

        return rc == TSS2_RC_SUCCESS ? 0 : tpm_error(tpm, rc, "session attributes", e);
}

int tpm_session(struct tpm *tpm, TPMA_SESSION attributes, ESYS_TR *ret, struct error *e)
{
        int r;

        if (tpm->session == ESYS_TR_NONE) {
                r = start(tpm, TPM2_SE_HMAC, &tpm->session, e);
                if (r < 0)
                        return r;
        }
        r = set_attributes(tpm, tpm->session, attributes, e);
        if (r < 0)
                return r;
        *ret = tpm->session;
        return 0;
}

int tpm_policy_session(struct tpm *tpm, TPMA_SESSION attributes, ESYS_TR *ret, struct error *e)
{
        ESYS_TR session = ESYS_TR_NONE;
        int r;

        r = start(tpm, TPM2_SE_POLICY, &session, e);
        if (r < 0)
                return r;
        r = set_attributes(tpm, session, attributes, e);
        if (r < 0) {
                tpm_flush(tpm, &session);
                return r;
        }
        *ret = session;
        return 0;
}
