/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a TPM policy demands, reckoned without a TPM (TPM 2.0 Library, Part 3, section 23).
 *
 * Whatever only an approved boot may do has one fixed policy: PolicyAuthorize by the authority's key with the
 * reference TPM_POLICY_REF. The authority signs a PCR policy for every state that it approves of, also long
 * after something was sealed; tpm_authorize() in authorize.h shows one of them to the TPM. */
#pragma once

#include "tpm/public.h"

#define TPM_POLICY_REF "holdfast-volume"
#define TPM_PCRS 24u
#define TPM_POLICY_SIZE 32u    /* bytes of a policy digest (SHA-256) */
#define TPM_SIGNATURE_SIZE 64u /* bytes of r and s, ECDSA on P-256 */

/* One state of PCRs (SHA-256 bank) that the authority approves of. */
struct tpm_pcr_policy {
        uint32_t pcrs; /* bit n: PCR n */
        uint8_t values[TPM_PCRS][32];
        uint8_t signature[TPM_SIGNATURE_SIZE]; /* over the bytes of tpm_policy_to_sign() */
};

/* The digest of a session after TPM2_PolicyPCR with these values. -EINVAL if no PCR is named or one above 23.
 */
int tpm_policy_pcr(const struct tpm_pcr_policy *policy, uint8_t ret[static TPM_POLICY_SIZE], struct error *e);

/* The authPolicy that only the authority's word satisfies: the digest after TPM2_PolicyAuthorize. */
int tpm_policy_authorize(const struct tpm_public *authority, uint8_t ret[static TPM_POLICY_SIZE],
                         struct error *e);

/* What the authority signs with ECDSA and SHA-256: the policy's digest, then TPM_POLICY_REF.
 * trust_sign_ecdsa() makes the signature from these bytes. */
#define TPM_POLICY_TO_SIGN_SIZE (TPM_POLICY_SIZE + sizeof(TPM_POLICY_REF) - 1)
int tpm_policy_to_sign(const struct tpm_pcr_policy *policy, uint8_t ret[static TPM_POLICY_TO_SIGN_SIZE],
                       struct error *e);

/* Checks policy->signature. -EKEYREJECTED if the authority's key did not make it. */
int tpm_policy_verify(const struct tpm_public *authority, const struct tpm_pcr_policy *policy,
                      struct error *e);
