/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place where a TSS2_RC becomes an errno. */
#include <errno.h>
#include <tss2/tss2_rc.h>

#include "tpm/internal.h"

struct meaning {
        TSS2_RC rc;
        int r;
};

/* From the TPM, or from a resource manager in its stead; format-one codes without the number of the handle,
 * session or parameter (Part 2, 6.6). */
static const struct meaning tpm_codes[] = {
        {TPM2_RC_HANDLE, -ENOENT},           {TPM2_RC_NV_DEFINED, -EEXIST},
        {TPM2_RC_NV_SPACE, -ENOSPC},         {TPM2_RC_NV_UNINITIALIZED, -ENODATA},
        {TPM2_RC_LOCKOUT, -EBUSY},           {TPM2_RC_RETRY, -EAGAIN},
        {TPM2_RC_TESTING, -EAGAIN},          {TPM2_RC_YIELDED, -EAGAIN},
        {TPM2_RC_NV_RATE, -EAGAIN},          {TPM2_RC_NV_UNAVAILABLE, -EAGAIN},
        {TPM2_RC_POLICY_FAIL, -EPERM},       {TPM2_RC_PCR_CHANGED, -EPERM},
        {TPM2_RC_SIGNATURE, -EKEYREJECTED},  {TPM2_RC_AUTH_FAIL, -EACCES},
        {TPM2_RC_BAD_AUTH, -EACCES},         {TPM2_RC_AUTH_UNAVAILABLE, -EACCES},
        {TPM2_RC_NV_AUTHORIZATION, -EACCES}, {TPM2_RC_INTEGRITY, -EBADMSG},
        {TPM2_RC_MEMORY, -ENOMEM},           {TPM2_RC_OBJECT_MEMORY, -ENOMEM},
        {TPM2_RC_SESSION_MEMORY, -ENOMEM},
};

/* From our side of the wire, in whichever layer. */
static const struct meaning tss_codes[] = {
        {TSS2_BASE_RC_MEMORY, -ENOMEM},
        {TSS2_BASE_RC_IO_ERROR, -ENODEV},
        {TSS2_BASE_RC_NO_CONNECTION, -ENODEV},
        {TSS2_BASE_RC_BAD_SEQUENCE, -ENODEV}, /* ESYS, ever after the connection broke */
        {TSS2_BASE_RC_RSP_AUTH_FAILED, -EPROTO},
        {TSS2_BASE_RC_MALFORMED_RESPONSE, -EPROTO},
        {TSS2_BASE_RC_INSUFFICIENT_RESPONSE, -EPROTO},
        {TSS2_BASE_RC_INSUFFICIENT_BUFFER, -EPROTO},
        {TSS2_BASE_RC_BAD_SIZE, -EPROTO},
        {TSS2_BASE_RC_BAD_VALUE, -EPROTO},
};

static int find(const struct meaning *table, size_t n, TSS2_RC rc)
{
        for (size_t i = 0; i < n; i++)
                if (table[i].rc == rc)
                        return table[i].r;
        return -EIO;
}

int tpm_rc_to_errno(TSS2_RC rc)
{
        TSS2_RC layer = rc & TSS2_RC_LAYER_MASK, code = rc & ~TSS2_RC_LAYER_MASK;

        if (layer != TSS2_TPM_RC_LAYER && layer != TSS2_RESMGR_TPM_RC_LAYER)
                return find(tss_codes, ELEMENTSOF(tss_codes), code);
        if (code & TPM2_RC_FMT1)
                code &= TPM2_RC_FMT1 | 0x3fu;
        return find(tpm_codes, ELEMENTSOF(tpm_codes), code);
}

int tpm_error(struct tpm *tpm, TSS2_RC rc, const char *what, struct error *e)
{
        tpm_flush(tpm, &tpm->session);
        return error_set(e, tpm_rc_to_errno(rc), "TPM: %s: success expected, found response code 0x%08x (%s)",
                         what, rc, Tss2_RC_Decode(rc));
}
