/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The endorsement key, its certificate, and the proof that the attestation key lives beside it. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm/attestation.h"
#include "tpm/internal.h"

/* What every TPM lets read of NV at once. */
#define NV_PIECE 512u

/* The keys that we know, the one preferred first, with the indexes of their certificates (TCG EK Credential
 * Profile, 2.2.1.4). */
static const struct {
        const TPM2B_PUBLIC *template;
        TPM2_NV_INDEX certificate;
} known[] = {
        {&tpm_template_ek_ecc, 0x01c0000a},
        {&tpm_template_ek_rsa, 0x01c00002},
};

void tpm_ek_done(struct tpm_ek *ek)
{
        free(ek->certificate);
        *ek = (struct tpm_ek){};
}

/* How many of the bytes are the certificate: some TPMs fill the index up. 0 if they hold none. */
static size_t certificate_size(const uint8_t *bytes, size_t size)
{
        const uint8_t *end = bytes;
        X509 *certificate = d2i_X509(NULL, &end, (long)size);
        bool found = certificate;

        X509_free(certificate);
        return found ? (size_t)(end - bytes) : 0;
}

static int read_nv(struct tpm *tpm, ESYS_TR index, uint8_t *ret, size_t size, struct error *e)
{
        for (size_t offset = 0; offset < size; offset += NV_PIECE) {
                uint16_t n = (uint16_t)(size - offset < NV_PIECE ? size - offset : NV_PIECE);
                _cleanup_free_ TPM2B_MAX_NV_BUFFER *data = NULL;
                ESYS_TR session;
                TSS2_RC rc;
                int r;

                r = tpm_session(tpm, TPMA_SESSION_AUDIT, &session, e);
                if (r < 0)
                        return r;
                rc = Esys_NV_Read(tpm->esys, index, index, session, ESYS_TR_NONE, ESYS_TR_NONE, n,
                                  (uint16_t)offset, &data);
                if (rc != TSS2_RC_SUCCESS)
                        return tpm_error(tpm, rc, "NV_Read", e);
                if (data->size != n)
                        return error_set(e, -EPROTO, "TPM: NV_Read: %u bytes expected, found %u", n,
                                         data->size);
                memcpy(ret + offset, data->buffer, n);
        }
        return 0;
}

/* The certificate in an index that is open. */
static int read_certificate(struct tpm *tpm, ESYS_TR index, struct tpm_ek *ret, struct error *e)
{
        _cleanup_free_ TPM2B_NV_PUBLIC *public_area = NULL;
        uint8_t bytes[TPM_CERTIFICATE_MAX];
        size_t size;
        TSS2_RC rc;
        int r;

        rc = Esys_NV_ReadPublic(tpm->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public_area,
                                NULL);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "NV_ReadPublic", e);
        if (public_area->nvPublic.dataSize > sizeof(bytes))
                return error_set(e, -EFBIG, "EK certificate: at most %u bytes expected, found %u",
                                 TPM_CERTIFICATE_MAX, public_area->nvPublic.dataSize);
        r = read_nv(tpm, index, bytes, public_area->nvPublic.dataSize, e);
        if (r < 0)
                return r;
        size = certificate_size(bytes, public_area->nvPublic.dataSize);
        if (size == 0)
                return error_set(e, -EBADMSG, "EK certificate: X.509 in DER expected, found something else");
        ret->certificate = malloc(size);
        if (!ret->certificate)
                return -ENOMEM;
        memcpy(ret->certificate, bytes, size);
        ret->certificate_size = size;
        return 0;
}

/* -ENOENT if the TPM has no such index. */
static int find_certificate(struct tpm *tpm, TPM2_NV_INDEX index, struct tpm_ek *ret, struct error *e)
{
        ESYS_TR handle, session;
        TSS2_RC rc;
        int r;

        r = tpm_session(tpm, TPMA_SESSION_AUDIT, &session, e);
        if (r < 0)
                return r;
        rc = Esys_TR_FromTPMPublic(tpm->esys, index, session, ESYS_TR_NONE, ESYS_TR_NONE, &handle);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "EK certificate", e);
        r = read_certificate(tpm, handle, ret, e);
        (void)Esys_TR_Close(tpm->esys, &handle);
        return r;
}

static int create_ek(struct tpm *tpm, const TPM2B_PUBLIC *template, ESYS_TR *ret,
                     struct tpm_public *ret_public, struct error *e)
{
        int r = tpm_create_primary(tpm, ESYS_TR_RH_ENDORSEMENT, template, ret, ret_public, e);

        return r < 0 ? error_prefix(e, r, "endorsement key") : 0;
}

int tpm_ek_read(struct tpm *tpm, struct tpm_ek *ret, struct error *e)
{
        struct tpm_ek ek = {};
        ESYS_TR handle = ESYS_TR_NONE;
        size_t which = 0;
        int r = -ENOENT;

        for (size_t i = 0; r == -ENOENT && i < ELEMENTSOF(known); i++) {
                r = find_certificate(tpm, known[i].certificate, &ek, e);
                if (r >= 0)
                        which = i;
        }
        if (r >= 0 || r == -ENOENT)
                r = create_ek(tpm, known[which].template, &handle, &ek.public_area, e);
        tpm_flush(tpm, &handle);
        if (r < 0) {
                tpm_ek_done(&ek);
                return r;
        }
        *ret = ek;
        return 0;
}

int tpm_ek_name(struct tpm *tpm, uint8_t ret[static TPM_NAME_SIZE], struct error *e)
{
        ESYS_TR handle = ESYS_TR_NONE;
        struct tpm_public found;
        int r;

        r = create_ek(tpm, &tpm_template_ek_ecc, &handle, &found, e);
        if (r < 0)
                return r;
        tpm_flush(tpm, &handle);
        memcpy(ret, found.name, TPM_NAME_SIZE);
        return 0;
}

/* --- credential activation --- */

static int load_ek(struct tpm *tpm, const struct tpm_public *expected, ESYS_TR *ret, struct error *e)
{
        struct tpm_public found;
        TPM2B_PUBLIC p;
        int r;

        r = tpm_public_unmarshal(expected, &p, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(known); i++) {
                if (!tpm_same_template(&p, known[i].template))
                        continue;
                r = create_ek(tpm, known[i].template, ret, &found, e);
                if (r < 0)
                        return r;
                if (memcmp(found.name, expected->name, TPM_NAME_SIZE) == 0)
                        return 0;
                tpm_flush(tpm, ret);
                break;
        }
        return error_set(e, -EKEYREJECTED, "endorsement key: the one of this TPM expected, found another");
}

/* The policy of the EK templates: PolicySecret(TPM_RH_ENDORSEMENT). */
static int ek_session(struct tpm *tpm, ESYS_TR *ret, struct error *e)
{
        ESYS_TR policy = ESYS_TR_NONE, session;
        TSS2_RC rc;
        int r;

        r = tpm_policy_session(tpm, 0, &policy, e);
        if (r < 0)
                return r;
        r = tpm_session(tpm, TPMA_SESSION_AUDIT, &session, e);
        if (r >= 0) {
                rc = Esys_PolicySecret(tpm->esys, ESYS_TR_RH_ENDORSEMENT, policy, session, ESYS_TR_NONE,
                                       ESYS_TR_NONE, NULL, NULL, NULL, 0, NULL, NULL);
                if (rc != TSS2_RC_SUCCESS)
                        r = tpm_error(tpm, rc, "PolicySecret", e);
        }
        if (r < 0) {
                tpm_flush(tpm, &policy);
                return r;
        }
        *ret = policy;
        return 0;
}

static int activate(struct tpm *tpm, ESYS_TR ak, ESYS_TR ek, const struct tpm_credential *c,
                    TPM2B_DIGEST **ret, struct error *e)
{
        ESYS_TR session, policy = ESYS_TR_NONE;
        TPM2B_ENCRYPTED_SECRET seed = {};
        TPM2B_ID_OBJECT blob = {};
        size_t blob_end = 0, seed_end = 0;
        TSS2_RC rc;
        int r;

        if (c->blob_size > sizeof(c->blob) || c->seed_size > sizeof(c->seed) ||
            Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(c->blob, c->blob_size, &blob_end, &blob) != TSS2_RC_SUCCESS ||
            Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(c->seed, c->seed_size, &seed_end, &seed) !=
                    TSS2_RC_SUCCESS ||
            blob_end != c->blob_size || seed_end != c->seed_size)
                return error_set(e, -EBADMSG,
                                 "credential: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET expected, found "
                                 "something else");
        r = ek_session(tpm, &policy, e);
        if (r >= 0)
                r = tpm_session(tpm, TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT, &session, e);
        if (r >= 0) {
                rc = Esys_ActivateCredential(tpm->esys, ak, ek, session, policy, ESYS_TR_NONE, &blob, &seed,
                                             ret);
                if (rc != TSS2_RC_SUCCESS)
                        r = tpm_error(tpm, rc, "ActivateCredential", e);
                if (r == -EBADMSG) /* its HMAC is over another Name, or of another seed */
                        r = -EKEYREJECTED;
        }
        tpm_flush(tpm, &policy);
        return r;
}

int tpm_activate_credential(struct tpm *tpm, const struct tpm_public *ek, const struct tpm_credential *c,
                            uint8_t ret[static 32], size_t *ret_size, struct error *e)
{
        ESYS_TR ak = ESYS_TR_NONE, ek_handle = ESYS_TR_NONE;
        TPM2B_DIGEST *secret = NULL;
        int r;

        r = load_ek(tpm, ek, &ek_handle, e);
        if (r >= 0)
                r = tpm_ak_create(tpm, &ak, NULL, e);
        if (r >= 0)
                r = activate(tpm, ak, ek_handle, c, &secret, e);
        tpm_flush(tpm, &ak);
        tpm_flush(tpm, &ek_handle);
        if (r >= 0 && secret->size > 32)
                r = error_set(e, -EPROTO, "TPM: ActivateCredential: at most 32 bytes expected, found %u",
                              secret->size);
        if (r >= 0) {
                memcpy(ret, secret->buffer, secret->size);
                *ret_size = secret->size;
        }
        if (secret)
                OPENSSL_cleanse(secret, sizeof(*secret));
        Esys_Free(secret);
        return r;
}
