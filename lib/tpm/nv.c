/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm/nv.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm/internal.h"

#define TYPE(t) ((TPMA_NV)(t) << TPMA_NV_TPM2_NT_SHIFT)
#define ANYBODY_READS (TPMA_NV_AUTHREAD | TPMA_NV_NO_DA)

/* An index of ours in words, for messages. */
static const char *index_name(uint32_t index, char ret[static 24])
{
        (void)snprintf(ret, 24, "NV index 0x%08x", index);
        return ret;
}

TPMS_NV_PUBLIC tpm_nv_counter_public(uint32_t index)
{
        return (TPMS_NV_PUBLIC){.nvIndex = index,
                                .nameAlg = TPM2_ALG_SHA256,
                                .attributes = TYPE(TPM2_NT_COUNTER) | ANYBODY_READS | TPMA_NV_AUTHWRITE,
                                .dataSize = 8};
}

static int record_public(uint32_t index, const struct tpm_public *authority, size_t size, TPMS_NV_PUBLIC *ret,
                         struct error *e)
{
        TPMS_NV_PUBLIC p = {.nvIndex = index,
                            .nameAlg = TPM2_ALG_SHA256,
                            .attributes = TYPE(TPM2_NT_ORDINARY) | ANYBODY_READS | TPMA_NV_POLICYWRITE,
                            .authPolicy.size = TPM_POLICY_SIZE,
                            .dataSize = (uint16_t)size};
        int r;

        if (size == 0 || size > TPM_NV_RECORD_MAX)
                return error_set(e, -EINVAL, "NV index 0x%08x: 1 to %u bytes expected, found %zu", index,
                                 TPM_NV_RECORD_MAX, size);
        r = tpm_policy_authorize(authority, p.authPolicy.buffer, e);
        if (r < 0)
                return r;
        *ret = p;
        return 0;
}

static int name_of(const TPMS_NV_PUBLIC *p, TPMA_NV more_attributes, uint8_t ret[static TPM_NAME_SIZE],
                   struct error *e)
{
        TPMS_NV_PUBLIC copy = *p;
        uint8_t bytes[sizeof(copy)];
        size_t size = 0;

        copy.attributes |= more_attributes;
        if (Tss2_MU_TPMS_NV_PUBLIC_Marshal(&copy, bytes, sizeof(bytes), &size) != TSS2_RC_SUCCESS)
                return error_set(e, -EIO, "NV index 0x%08x: its public area cannot be encoded", p->nvIndex);
        ret[0] = TPM2_ALG_SHA256 >> 8;
        ret[1] = TPM2_ALG_SHA256 & 0xff;
        return tpm_sha256(bytes, size, ret + 2, e);
}

int tpm_nv_counter_name(uint32_t index, uint8_t ret[static TPM_NAME_SIZE], struct error *e)
{
        TPMS_NV_PUBLIC p = tpm_nv_counter_public(index);

        return name_of(&p, TPMA_NV_WRITTEN, ret, e);
}

/* --- opening --- */

static int foreign(struct tpm *tpm, const TPMS_NV_PUBLIC *expected, ESYS_TR handle, struct error *e)
{
        _cleanup_free_ TPM2B_NV_PUBLIC *found = NULL;
        char name[24];
        ESYS_TR session;
        TSS2_RC rc;
        int r;

        r = tpm_session(tpm, TPMA_SESSION_ENCRYPT, &session, e);
        if (r < 0)
                return r;
        rc = Esys_NV_ReadPublic(tpm->esys, handle, session, ESYS_TR_NONE, ESYS_TR_NONE, &found, NULL);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "NV_ReadPublic", e);
        return error_set(
                e, -EBADMSG,
                "TPM: %s: attributes 0x%08x, %u bytes, our policy expected, found attributes 0x%08x, %u "
                "bytes, "
                "%s policy: it is not ours",
                index_name(expected->nvIndex, name), expected->attributes, expected->dataSize,
                found->nvPublic.attributes, found->nvPublic.dataSize,
                memcmp(&found->nvPublic.authPolicy, &expected->authPolicy, sizeof(expected->authPolicy)) == 0
                        ? "the same"
                        : "another");
}

/* Whatever it is. */
static int open_any(struct tpm *tpm, uint32_t index, ESYS_TR *ret, struct error *e)
{
        ESYS_TR session;
        char name[24];
        TSS2_RC rc;
        int r;

        r = tpm_session(tpm, TPMA_SESSION_ENCRYPT, &session, e);
        if (r < 0)
                return r;
        rc = Esys_TR_FromTPMPublic(tpm->esys, index, session, ESYS_TR_NONE, ESYS_TR_NONE, ret);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, index_name(index, name), e);
        return 0;
}

/* 1: it is as expected and was written, 0: it was not yet; else -EBADMSG. */
static int compare(struct tpm *tpm, const TPMS_NV_PUBLIC *expected, ESYS_TR handle, struct error *e)
{
        _cleanup_free_ TPM2B_NAME *found = NULL;
        uint8_t unwritten[TPM_NAME_SIZE], written[TPM_NAME_SIZE];
        TSS2_RC rc;
        int r;

        r = name_of(expected, 0, unwritten, e);
        if (r >= 0)
                r = name_of(expected, TPMA_NV_WRITTEN, written, e);
        if (r < 0)
                return r;
        rc = Esys_TR_GetName(tpm->esys, handle, &found);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "TR_GetName", e);
        if (found->size == TPM_NAME_SIZE && memcmp(found->name, written, TPM_NAME_SIZE) == 0)
                return 1;
        if (found->size == TPM_NAME_SIZE && memcmp(found->name, unwritten, TPM_NAME_SIZE) == 0)
                return 0;
        return foreign(tpm, expected, handle, e);
}

int tpm_nv_open(struct tpm *tpm, const TPMS_NV_PUBLIC *expected, bool written, ESYS_TR *ret, struct error *e)
{
        ESYS_TR handle;
        char name[24];
        int r;

        r = open_any(tpm, expected->nvIndex, &handle, e);
        if (r < 0)
                return r;
        r = compare(tpm, expected, handle, e);
        if (r == 0 && written)
                r = error_set(e, -ENODATA, "TPM: %s: a value expected, found none: it was never written",
                              index_name(expected->nvIndex, name));
        if (r < 0) {
                (void)Esys_TR_Close(tpm->esys, &handle);
                return r;
        }
        *ret = handle;
        return 0;
}

/* --- what both kinds have in common --- */

static int define(struct tpm *tpm, const TPMS_NV_PUBLIC *p, struct error *e)
{
        const TPM2B_AUTH no_authorization = {};
        TPM2B_NV_PUBLIC public_area = {.nvPublic = *p};
        ESYS_TR session, handle;
        char name[24];
        TSS2_RC rc;
        int r;

        r = tpm_session(tpm, TPMA_SESSION_DECRYPT, &session, e);
        if (r < 0)
                return r;
        rc = Esys_NV_DefineSpace(tpm->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                 &no_authorization, &public_area, &handle);
        if (rc != TSS2_RC_SUCCESS)
                return error_prefix(e, tpm_error(tpm, rc, "NV_DefineSpace", e), "%s",
                                    index_name(p->nvIndex, name));
        (void)Esys_TR_Close(tpm->esys, &handle);
        return 0;
}

static int read_all(struct tpm *tpm, const TPMS_NV_PUBLIC *expected, void *ret, struct error *e)
{
        _cleanup_free_ TPM2B_MAX_NV_BUFFER *data = NULL;
        ESYS_TR handle, session;
        char name[24];
        TSS2_RC rc = TSS2_RC_SUCCESS;
        int r;

        r = tpm_nv_open(tpm, expected, true, &handle, e);
        if (r < 0)
                return r;
        r = tpm_session(tpm, TPMA_SESSION_ENCRYPT, &session, e);
        if (r >= 0)
                rc = Esys_NV_Read(tpm->esys, handle, handle, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                  expected->dataSize, 0, &data);
        if (rc != TSS2_RC_SUCCESS)
                r = error_prefix(e, tpm_error(tpm, rc, "NV_Read", e), "%s",
                                 index_name(expected->nvIndex, name));
        (void)Esys_TR_Close(tpm->esys, &handle);
        if (r < 0)
                return r;
        if (data->size != expected->dataSize)
                return error_set(e, -EPROTO, "TPM: %s: %u bytes expected, found %u",
                                 index_name(expected->nvIndex, name), expected->dataSize, data->size);
        memcpy(ret, data->buffer, data->size);
        return 0;
}

int tpm_nv_undefine(struct tpm *tpm, uint32_t index, struct error *e)
{
        ESYS_TR handle, session;
        char name[24];
        TSS2_RC rc;
        int r;

        r = open_any(tpm, index, &handle, e);
        if (r < 0)
                return r;
        r = tpm_session(tpm, TPMA_SESSION_AUDIT, &session, e);
        if (r >= 0) {
                rc = Esys_NV_UndefineSpace(tpm->esys, ESYS_TR_RH_OWNER, handle, session, ESYS_TR_NONE,
                                           ESYS_TR_NONE);
                if (rc == TSS2_RC_SUCCESS)
                        return 0; /* that closed the handle */
                r = error_prefix(e, tpm_error(tpm, rc, "NV_UndefineSpace", e), "%s", index_name(index, name));
        }
        (void)Esys_TR_Close(tpm->esys, &handle);
        return r;
}

/* --- counters --- */

int tpm_nv_define_counter(struct tpm *tpm, uint32_t index, struct error *e)
{
        TPMS_NV_PUBLIC p = tpm_nv_counter_public(index);

        return define(tpm, &p, e);
}

int tpm_nv_read_counter(struct tpm *tpm, uint32_t index, uint64_t *ret, struct error *e)
{
        TPMS_NV_PUBLIC p = tpm_nv_counter_public(index);
        uint64_t value;
        int r;

        r = read_all(tpm, &p, &value, e);
        if (r < 0)
                return r;
        *ret = be64toh(value);
        return 0;
}

int tpm_nv_increment(struct tpm *tpm, uint32_t index, struct error *e)
{
        TPMS_NV_PUBLIC p = tpm_nv_counter_public(index);
        ESYS_TR handle, session;
        char name[24];
        TSS2_RC rc;
        int r;

        r = tpm_nv_open(tpm, &p, false, &handle, e);
        if (r < 0)
                return r;
        r = tpm_session(tpm, TPMA_SESSION_AUDIT, &session, e);
        if (r >= 0) {
                rc = Esys_NV_Increment(tpm->esys, handle, handle, session, ESYS_TR_NONE, ESYS_TR_NONE);
                if (rc != TSS2_RC_SUCCESS)
                        r = error_prefix(e, tpm_error(tpm, rc, "NV_Increment", e), "%s",
                                         index_name(index, name));
        }
        (void)Esys_TR_Close(tpm->esys, &handle);
        return r;
}

/* --- records --- */

int tpm_nv_define_record(struct tpm *tpm, uint32_t index, const struct tpm_public *authority, size_t size,
                         struct error *e)
{
        TPMS_NV_PUBLIC p;
        int r;

        r = record_public(index, authority, size, &p, e);
        if (r < 0)
                return r;
        return define(tpm, &p, e);
}

int tpm_nv_read_record(struct tpm *tpm, uint32_t index, const struct tpm_public *authority, void *ret,
                       size_t size, struct error *e)
{
        TPMS_NV_PUBLIC p;
        int r;

        r = record_public(index, authority, size, &p, e);
        if (r < 0)
                return r;
        return read_all(tpm, &p, ret, e);
}

int tpm_nv_write_record(struct tpm *tpm, uint32_t index, const struct tpm_authorization *a, const void *data,
                        size_t size, struct error *e)
{
        TPM2B_MAX_NV_BUFFER buffer = {.size = (uint16_t)size};
        ESYS_TR handle, session = ESYS_TR_NONE;
        TPMS_NV_PUBLIC p;
        char name[24];
        TSS2_RC rc;
        int r;

        r = record_public(index, a->authority, size, &p, e);
        if (r < 0)
                return r;
        memcpy(buffer.buffer, data, size);
        r = tpm_nv_open(tpm, &p, false, &handle, e);
        if (r < 0)
                return r;
        r = tpm_authorize(tpm, a, TPMA_SESSION_DECRYPT, &session, e);
        if (r >= 0) {
                rc = Esys_NV_Write(tpm->esys, handle, handle, session, ESYS_TR_NONE, ESYS_TR_NONE, &buffer,
                                   0);
                if (rc != TSS2_RC_SUCCESS)
                        r = error_prefix(e, tpm_error(tpm, rc, "NV_Write", e), "%s", index_name(index, name));
        }
        tpm_flush(tpm, &session);
        (void)Esys_TR_Close(tpm->esys, &handle);
        return r;
}
