/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A secret that only this TPM gives out, and only to an approved boot.
 *
 * It is a keyedhash object under the storage root key: fixedTPM, fixedParent, noDA, no authorization value,
 * authPolicy tpm_policy_authorize(). The two blobs may lie anywhere: without the TPM they are worth nothing,
 * and a changed one does not load. */
#pragma once

#include "tpm/authorize.h"

#define TPM_SECRET_MAX 128u /* bytes */
#define TPM_PRIVATE_MAX 512u

struct tpm_sealed {
        struct tpm_public public_area;
        uint8_t private_area[TPM_PRIVATE_MAX]; /* a marshalled TPM2B_PRIVATE */
        size_t private_size;
};

/* Takes the two blobs as they were stored, and looks that the public area is the one that tpm_seal() makes
 * for this authority (its policy, attributes and algorithms). -EBADMSG if not. Needs no TPM. */
int tpm_sealed_parse(const struct tpm_public *authority, const void *public_area, size_t public_size,
                     const void *private_area, size_t private_size, struct tpm_sealed *ret, struct error *e);

/* Seals size bytes, 1 to TPM_SECRET_MAX. The PCRs play no part in it: who may seal need not be able to
 * unseal.
 */
int tpm_seal(struct tpm *tpm, const struct tpm_public *authority, const void *secret, size_t size,
             struct tpm_sealed *ret, struct error *e);

/* Gives the size bytes out. The caller wipes them.
 *   -EPERM, -EKEYREJECTED as in authorize.h
 *   -EBADMSG sealed by another TPM (or its owner cleared it), changed, or not of this size
 *   -EBUSY, -EAGAIN, -EIO, -ENODEV, -EPROTO as in nv.h */
int tpm_unseal(struct tpm *tpm, const struct tpm_sealed *sealed, const struct tpm_authorization *a, void *ret,
               size_t size, struct error *e);
