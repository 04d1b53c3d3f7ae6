/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm/authorize.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "tpm/internal.h"

/* How many of its PCRs have another value than the policy says; *ret_first is the lowest of them. */
static unsigned count_differences(const struct tpm_pcr_policy *policy, const uint8_t values[][32],
                                  unsigned *ret_first)
{
        unsigned n = 0;

        for (unsigned i = TPM_PCRS; i-- > 0;)
                if (policy->pcrs & 1u << i && memcmp(policy->values[i], values[i], 32) != 0) {
                        *ret_first = i;
                        n++;
                }
        return n;
}

static int none_fits(const struct tpm_authorization *a, const uint8_t values[][32], struct error *e)
{
        const struct tpm_pcr_policy *nearest = NULL;
        char expected[65], found[65];
        unsigned fewest = TPM_PCRS + 1, pcr = 0;

        for (size_t i = 0; i < a->n; i++) {
                unsigned first = 0, n = count_differences(&a->policies[i], values, &first);

                if (n < fewest) {
                        nearest = &a->policies[i];
                        fewest = n;
                        pcr = first;
                }
        }
        if (!nearest)
                return error_set(e, -EPERM, "PCR policies: at least one signed policy expected, found none");
        hex_encode(nearest->values[pcr], 32, expected);
        hex_encode(values[pcr], 32, found);
        return error_set(e, -EPERM, "PCR %u: %s expected by the nearest of %zu signed policies, found %s",
                         pcr, expected, a->n, found);
}

/* Finds the policy that describes the PCRs as they are and bears the authority's signature. */
static int choose(struct tpm *tpm, const struct tpm_authorization *a, const struct tpm_pcr_policy **ret,
                  struct error *e)
{
        uint8_t values[TPM_PCRS][32];
        uint32_t pcrs = 0;
        unsigned first;
        int r, rejected = 0;

        for (size_t i = 0; i < a->n; i++)
                pcrs |= a->policies[i].pcrs;
        r = tpm_pcrs_read(tpm, pcrs, values, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < a->n; i++) {
                if (a->policies[i].pcrs == 0 || count_differences(&a->policies[i], values, &first) > 0)
                        continue;
                rejected = tpm_policy_verify(a->authority, &a->policies[i], e);
                if (rejected == 0) {
                        *ret = &a->policies[i];
                        return 0;
                }
        }
        return rejected < 0 ? rejected : none_fits(a, values, e);
}

int tpm_authorization_check(struct tpm *tpm, const struct tpm_authorization *a, struct error *e)
{
        const struct tpm_pcr_policy *policy;

        return choose(tpm, a, &policy, e);
}

static int policy_pcr(struct tpm *tpm, ESYS_TR session, const struct tpm_pcr_policy *policy, struct error *e)
{
        TPML_PCR_SELECTION selection = tpm_pcr_selection(policy->pcrs);
        TPM2B_DIGEST digest = {.size = 32};
        TSS2_RC rc;
        int r;

        r = tpm_pcr_digest(policy->pcrs, policy->values, digest.buffer, e);
        if (r < 0)
                return r;
        rc = Esys_PolicyPCR(tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &digest,
                            &selection);
        return rc == TSS2_RC_SUCCESS ? 0 : tpm_error(tpm, rc, "PolicyPCR", e);
}

/* The TPM's ticket that the authority signed the policy (Part 3, 20.1). */
static int verify_signature(struct tpm *tpm, ESYS_TR key, const struct tpm_pcr_policy *policy,
                            TPMT_TK_VERIFIED **ret, struct error *e)
{
        const size_t half = TPM_SIGNATURE_SIZE / 2;
        TPMT_SIGNATURE signature = {.sigAlg = TPM2_ALG_ECDSA,
                                    .signature.ecdsa = {.hash = TPM2_ALG_SHA256,
                                                        .signatureR.size = half,
                                                        .signatureS.size = half}};
        uint8_t message[TPM_POLICY_TO_SIGN_SIZE];
        TPM2B_DIGEST digest = {.size = 32};
        TSS2_RC rc;
        int r;

        r = tpm_policy_to_sign(policy, message, e);
        if (r >= 0)
                r = tpm_sha256(message, sizeof(message), digest.buffer, e);
        if (r < 0)
                return r;
        memcpy(signature.signature.ecdsa.signatureR.buffer, policy->signature, half);
        memcpy(signature.signature.ecdsa.signatureS.buffer, policy->signature + half, half);
        rc = Esys_VerifySignature(tpm->esys, key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &digest,
                                  &signature, ret);
        return rc == TSS2_RC_SUCCESS ? 0 : tpm_error(tpm, rc, "VerifySignature", e);
}

/* A ticket for PolicyAuthorize exists only for a key in a hierarchy; a public key may be in any. */
static int get_ticket(struct tpm *tpm, const struct tpm_authorization *a, const struct tpm_pcr_policy *policy,
                      TPMT_TK_VERIFIED **ret, struct error *e)
{
        ESYS_TR key = ESYS_TR_NONE;
        TPM2B_PUBLIC public_area;
        TSS2_RC rc;
        int r;

        r = tpm_public_unmarshal(a->authority, &public_area, e);
        if (r < 0)
                return r;
        rc = Esys_LoadExternal(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &public_area,
                               ESYS_TR_RH_OWNER, &key);
        if (rc != TSS2_RC_SUCCESS)
                return tpm_error(tpm, rc, "LoadExternal", e);
        r = verify_signature(tpm, key, policy, ret, e);
        tpm_flush(tpm, &key);
        return r;
}

static int policy_authorize(struct tpm *tpm, ESYS_TR session, const struct tpm_authorization *a,
                            const struct tpm_pcr_policy *policy, struct error *e)
{
        _cleanup_free_ TPMT_TK_VERIFIED *ticket = NULL;
        TPM2B_NONCE reference = {.size = sizeof(TPM_POLICY_REF) - 1, .buffer = TPM_POLICY_REF};
        TPM2B_DIGEST approved = {.size = TPM_POLICY_SIZE};
        TPM2B_NAME name = {.size = TPM_NAME_SIZE};
        TSS2_RC rc;
        int r;

        r = get_ticket(tpm, a, policy, &ticket, e);
        if (r >= 0)
                r = tpm_policy_pcr(policy, approved.buffer, e);
        if (r < 0)
                return r;
        memcpy(name.name, a->authority->name, TPM_NAME_SIZE);
        rc = Esys_PolicyAuthorize(tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &approved,
                                  &reference, &name, ticket);
        return rc == TSS2_RC_SUCCESS ? 0 : tpm_error(tpm, rc, "PolicyAuthorize", e);
}

int tpm_authorize(struct tpm *tpm, const struct tpm_authorization *a, TPMA_SESSION attributes, ESYS_TR *ret,
                  struct error *e)
{
        const struct tpm_pcr_policy *policy;
        ESYS_TR session;
        int r;

        r = choose(tpm, a, &policy, e);
        if (r < 0)
                return r;
        r = tpm_policy_session(tpm, attributes, &session, e);
        if (r < 0)
                return r;
        r = policy_pcr(tpm, session, policy, e);
        if (r >= 0)
                r = policy_authorize(tpm, session, a, policy, e);
        if (r < 0) {
                tpm_flush(tpm, &session);
                return r;
        }
        *ret = session;
        return 0;
}
