/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm/policy.h"

#include <errno.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm/internal.h"

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

TPML_PCR_SELECTION tpm_pcr_selection(uint32_t pcrs)
{
        return (TPML_PCR_SELECTION){
                .count = 1,
                .pcrSelections = {{.hash = TPM2_ALG_SHA256,
                                   .sizeofSelect = TPM_PCRS / 8,
                                   .pcrSelect = {pcrs & 0xff, pcrs >> 8 & 0xff, pcrs >> 16 & 0xff}}}};
}

int tpm_pcr_digest(uint32_t pcrs, const uint8_t values[][32], uint8_t ret[static 32], struct error *e)
{
        uint8_t all[TPM_PCRS][32];
        size_t n = 0;

        for (unsigned i = 0; i < TPM_PCRS; i++)
                if (pcrs & 1u << i)
                        memcpy(all[n++], values[i], 32);
        return tpm_sha256(all, n * 32, ret, e);
}

/* The digest of a session that stood at zeros: H(zeros, command code, what the command adds). */
static int extend_zeros(TPM2_CC command, const void *data, size_t size, uint8_t ret[static TPM_POLICY_SIZE],
                        struct error *e)
{
        uint8_t bytes[256] = {};
        size_t offset = TPM_POLICY_SIZE;

        if (Tss2_MU_UINT32_Marshal(command, bytes, sizeof(bytes), &offset) != TSS2_RC_SUCCESS ||
            size > sizeof(bytes) - offset)
                return error_set(e, -EIO, "policy of command 0x%x with %zu bytes: too much", command, size);
        memcpy(bytes + offset, data, size);
        return tpm_sha256(bytes, offset + size, ret, e);
}

int tpm_policy_pcr(const struct tpm_pcr_policy *policy, uint8_t ret[static TPM_POLICY_SIZE], struct error *e)
{
        TPML_PCR_SELECTION selection = tpm_pcr_selection(policy->pcrs);
        uint8_t bytes[64];
        size_t size = 0;
        int r;

        if (policy->pcrs == 0 || policy->pcrs >> TPM_PCRS)
                return error_set(e, -EINVAL, "PCR policy: some of PCR 0 to %u expected, found mask 0x%x",
                                 TPM_PCRS - 1, policy->pcrs);
        if (Tss2_MU_TPML_PCR_SELECTION_Marshal(&selection, bytes, sizeof(bytes) - 32, &size) !=
            TSS2_RC_SUCCESS)
                return error_set(e, -EIO, "PCR selection 0x%x cannot be encoded", policy->pcrs);
        r = tpm_pcr_digest(policy->pcrs, policy->values, bytes + size, e);
        if (r < 0)
                return r;
        return extend_zeros(TPM2_CC_PolicyPCR, bytes, size + 32, ret, e);
}

/* PolicyUpdate() of Part 3, 23.2.3: the reference enters in a second step. */
int tpm_policy_authorize(const struct tpm_public *authority, uint8_t ret[static TPM_POLICY_SIZE],
                         struct error *e)
{
        const size_t n = sizeof(TPM_POLICY_REF) - 1;
        uint8_t bytes[TPM_POLICY_SIZE + sizeof(TPM_POLICY_REF)];
        int r;

        r = extend_zeros(TPM2_CC_PolicyAuthorize, authority->name, TPM_NAME_SIZE, bytes, e);
        if (r < 0)
                return r;
        memcpy(bytes + TPM_POLICY_SIZE, TPM_POLICY_REF, n);
        return tpm_sha256(bytes, TPM_POLICY_SIZE + n, ret, e);
}

int tpm_policy_to_sign(const struct tpm_pcr_policy *policy, uint8_t ret[static TPM_POLICY_TO_SIGN_SIZE],
                       struct error *e)
{
        int r;

        r = tpm_policy_pcr(policy, ret, e);
        if (r < 0)
                return r;
        memcpy(ret + TPM_POLICY_SIZE, TPM_POLICY_REF, TPM_POLICY_TO_SIGN_SIZE - TPM_POLICY_SIZE);
        return 0;
}

/* r and s as the DER that OpenSSL verifies; its size, 0 for none. */
static int signature_to_der(const uint8_t signature[static TPM_SIGNATURE_SIZE], uint8_t ret[static 80])
{
        ECDSA_SIG *pair = ECDSA_SIG_new();
        BIGNUM *r = BN_bin2bn(signature, TPM_SIGNATURE_SIZE / 2, NULL);
        BIGNUM *s = BN_bin2bn(signature + TPM_SIGNATURE_SIZE / 2, TPM_SIGNATURE_SIZE / 2, NULL);
        uint8_t *p = ret;
        int size = 0;

        if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
                r = s = NULL;
                size = i2d_ECDSA_SIG(pair, &p);
        }
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(pair);
        return size > 0 ? size : 0;
}

int tpm_policy_verify(const struct tpm_public *authority, const struct tpm_pcr_policy *policy,
                      struct error *e)
{
        _cleanup_(EVP_MD_CTX_free_ptr) EVP_MD_CTX *context = EVP_MD_CTX_new();
        _cleanup_(EVP_PKEY_free_ptr) EVP_PKEY *key = NULL;
        uint8_t message[TPM_POLICY_TO_SIGN_SIZE], der[80];
        int r, size = signature_to_der(policy->signature, der);
        bool ok;

        if (!context)
                return -ENOMEM;
        r = tpm_public_to_key(authority, &key, e);
        if (r >= 0)
                r = tpm_policy_to_sign(policy, message, e);
        if (r < 0)
                return r;
        ok = size > 0 && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
             EVP_DigestVerify(context, der, (size_t)size, message, sizeof(message)) == 1;
        ERR_clear_error();
        if (!ok)
                return error_set(e, -EKEYREJECTED,
                                 "PCR policy: a signature of the authority's key expected, found one that "
                                 "does not verify");
        return 0;
}
