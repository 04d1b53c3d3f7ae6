/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Enrolment: that an attestation key lives in a TPM whose maker vouches for it (TPM 2.0 Library, Part 1,
 * section 24; TCG EK Credential Profile 2.5). The verifier checks the EK certificate, encrypts a secret to EK
 * and AK together, and takes the AK only from who gives the secret back. */
#pragma once

#include <stdbool.h>

#include "tpm/attestation.h"

/* What a machine shows to be enrolled. */
struct enrol_request {
        struct tpm_public ek, ak;
        const void *ek_certificate; /* X.509, DER */
        size_t ek_certificate_size;
};

/* What the verifier keeps until the answer comes; it is good for one answer. */
struct enrol_challenge {
        uint8_t secret[32];
        uint8_t ak_name[TPM_NAME_SIZE];
        bool used;
};

/* Checks an EK certificate against trusted authorities (PEM, roots and intermediates) at the time `at`
 * (seconds since 1970), and that it is of this key. -EBADMSG: not one certificate; -EKEYREJECTED: of another
 * key, for another purpose, or weak; -ENOKEY: no path to a trusted authority; -EKEYEXPIRED: one of the path
 * is not valid then. */
int ek_certificate_verify(const void *der, size_t size, const struct tpm_public *ek, const char *authorities,
                          int64_t at, struct error *e);

/* The verifier's first step: all checks, then a credential for the machine. Errors also as tpm_ak_check(). */
int enrol_begin(const struct enrol_request *q, const char *authorities, int64_t at,
                struct tpm_credential *ret, struct enrol_challenge *ret_challenge, struct error *e);

/* Its second: the secret that the machine found (tpm_activate_credential()). 0: challenge->ak_name is to be
 * trusted. -EKEYREJECTED: another secret, or a second answer. */
int enrol_finish(struct enrol_challenge *challenge, const void *secret, size_t size, struct error *e);
