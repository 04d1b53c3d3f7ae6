/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an operation needs whose policy is tpm_policy_authorize(). */
#pragma once

#include "tpm/policy.h"
#include "tpm/tpm.h"

/* The authority and what it signed. All is borrowed. */
struct tpm_authorization {
        const struct tpm_public *authority;
        const struct tpm_pcr_policy *policies;
        size_t n;
};

/* Asks whether one of the policies describes the PCRs as they are and bears the authority's signature,
 * without using it. Operations that take an authorization do the same by themselves, and return what this
 * returns: -EPERM        no policy fits; the message names PCR, expected and found value of the one that fits
 * most -EKEYREJECTED one fits, but the authority did not sign it */
int tpm_authorization_check(struct tpm *tpm, const struct tpm_authorization *a, struct error *e);
