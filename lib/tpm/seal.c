/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm/seal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm/internal.h"

static int bad_private(size_t size, struct error *e)
{
        return error_set(e, -EBADMSG,
                         "sealed object: TPM2B_PRIVATE of at most %u bytes expected, found %zu bytes",
                         TPM_PRIVATE_MAX, size);
}

static int unmarshal_private(const struct tpm_sealed *s, TPM2B_PRIVATE *ret, struct error *e)
{
        size_t offset = 0;

        if (Tss2_MU_TPM2B_PRIVATE_Unmarshal(s->private_area, s->private_size, &offset, ret) !=
                    TSS2_RC_SUCCESS ||
            offset != s->private_size)
                return bad_private(s->private_size, e);
        return 0;
}

static int check_template(const struct tpm_public *authority, const struct tpm_public *found, struct error *e)
{
        TPM2B_PUBLIC expected, public_area;
        int r;

        r = tpm_template_sealed(authority, &expected, e);
        if (r >= 0)
                r = tpm_public_unmarshal(found, &public_area, e);
        if (r < 0)
                return r;
        if (!tpm_same_template(&public_area, &expected))
                return error_set(e, -EBADMSG,
                                 "sealed object: our attributes and the authority's policy expected, found "
                                 "type 0x%04x, "
                                 "attributes 0x%08x, a policy of %u bytes",
                                 public_area.publicArea.type, public_area.publicArea.objectAttributes,
                                 public_area.publicArea.authPolicy.size);
        return 0;
}

int tpm_sealed_parse(const struct tpm_public *authority, const void *public_area, size_t public_size,
                     const void *private_area, size_t private_size, struct tpm_sealed *ret, struct error *e)
{
        struct tpm_sealed s = {.private_size = private_size};
        TPM2B_PRIVATE private = {};
        int r;

        if (private_size > sizeof(s.private_area))
                return bad_private(private_size, e);
        memcpy(s.private_area, private_area, private_size);
        r = unmarshal_private(&s, &private, e);
        if (r >= 0)
                r = tpm_public_parse(public_area, public_size, &s.public_area, e);
        if (r >= 0)
                r = check_template(authority, &s.public_area, e);
        if (r < 0)
                return error_prefix(e, r, "sealed object");
        *ret = s;
        return 0;
}

/* The response as tpm_sealed_parse() wants it. */
static int take(const struct tpm_public *authority, const TPM2B_PUBLIC *public_area,
                const TPM2B_PRIVATE *private, struct tpm_sealed *ret, struct error *e)
{
        uint8_t bytes[TPM_PRIVATE_MAX];
        struct tpm_public p;
        size_t size = 0;
        int r;

        r = tpm_public_marshal(public_area, &p, e);
        if (r < 0)
                return r;
        if (Tss2_MU_TPM2B_PRIVATE_Marshal(private, bytes, sizeof(bytes), &size) != TSS2_RC_SUCCESS)
                return bad_private(private->size, e);
        return tpm_sealed_parse(authority, p.bytes, p.size, bytes, size, ret, e);
}

static int create(struct tpm *tpm, const TPM2B_PUBLIC *template, const TPM2B_SENSITIVE_CREATE *sensitive,
                  TPM2B_PUBLIC **ret_public, TPM2B_PRIVATE **ret_private, struct error *e)
{
        const TPML_PCR_SELECTION no_pcrs = {};
        const TPM2B_DATA no_data = {};
        ESYS_TR srk = ESYS_TR_NONE, session;
        TSS2_RC rc;
        int r;

        r = tpm_session(tpm, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT, &session, e);
        if (r >= 0)
                r = tpm_srk(tpm, &srk, e);
        if (r < 0)
                return r;
        rc = Esys_Create(tpm->esys, srk, session, ESYS_TR_NONE, ESYS_TR_NONE, sensitive, template, &no_data,
                         &no_pcrs, ret_private, ret_public, NULL, NULL, NULL);
        tpm_flush(tpm, &srk);
        return rc == TSS2_RC_SUCCESS ? 0 : tpm_error(tpm, rc, "Create", e);
}

int tpm_seal(struct tpm *tpm, const struct tpm_public *authority, const void *secret, size_t size,
             struct tpm_sealed *ret, struct error *e)
{
        _cleanup_free_ TPM2B_PRIVATE *private = NULL;
        _cleanup_free_ TPM2B_PUBLIC *public_area = NULL;
        TPM2B_SENSITIVE_CREATE sensitive = {.sensitive.data.size = (uint16_t)size};
        TPM2B_PUBLIC template;
        int r;

        if (size == 0 || size > TPM_SECRET_MAX)
                return error_set(e, -EINVAL, "secret to seal: 1 to %u bytes expected, found %zu",
                                 TPM_SECRET_MAX, size);
        r = tpm_template_sealed(authority, &template, e);
        if (r < 0)
                return r;
        memcpy(sensitive.sensitive.data.buffer, secret, size);
        r = create(tpm, &template, &sensitive, &public_area, &private, e);
        OPENSSL_cleanse(&sensitive, sizeof(sensitive));
        if (r < 0)
                return r;
        return take(authority, public_area, private, ret, e);
}

static int load(struct tpm *tpm, const struct tpm_sealed *sealed, ESYS_TR *ret, struct error *e)
{
        TPM2B_PRIVATE private = {};
        TPM2B_PUBLIC public_area;
        ESYS_TR srk = ESYS_TR_NONE, session;
        TSS2_RC rc;
        int r;

        r = unmarshal_private(sealed, &private, e);
        if (r >= 0)
                r = tpm_public_unmarshal(&sealed->public_area, &public_area, e);
        if (r >= 0)
                r = tpm_session(tpm, TPMA_SESSION_DECRYPT, &session, e);
        if (r >= 0)
                r = tpm_srk(tpm, &srk, e);
        if (r < 0)
                return r;
        rc = Esys_Load(tpm->esys, srk, session, ESYS_TR_NONE, ESYS_TR_NONE, &private, &public_area, ret);
        tpm_flush(tpm, &srk);
        if (rc == TSS2_RC_SUCCESS)
                return 0;
        return error_prefix(e, tpm_error(tpm, rc, "Load", e), "an object sealed by this TPM expected");
}

int tpm_unseal(struct tpm *tpm, const struct tpm_sealed *sealed, const struct tpm_authorization *a, void *ret,
               size_t size, struct error *e)
{
        TPM2B_SENSITIVE_DATA *data = NULL;
        ESYS_TR object = ESYS_TR_NONE, session = ESYS_TR_NONE;
        TSS2_RC rc;
        int r;

        r = tpm_authorize(tpm, a, TPMA_SESSION_ENCRYPT, &session, e);
        if (r >= 0)
                r = load(tpm, sealed, &object, e);
        if (r >= 0) {
                rc = Esys_Unseal(tpm->esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, &data);
                if (rc != TSS2_RC_SUCCESS)
                        r = tpm_error(tpm, rc, "Unseal", e);
        }
        tpm_flush(tpm, &session);
        tpm_flush(tpm, &object);
        if (r >= 0 && data->size != size)
                r = error_set(e, -EBADMSG, "sealed object: a secret of %zu bytes expected, found %u", size,
                              data->size);
        if (r >= 0)
                memcpy(ret, data->buffer, size);
        if (data)
                OPENSSL_cleanse(data, sizeof(*data));
        Esys_Free(data);
        return r;
}
