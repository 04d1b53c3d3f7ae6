/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys for tests: a directory that holds KEY and certificate of each purpose, and is a trust store too. */
#pragma once

#include "trust/trust.h"

struct signers {
        char directory[64];
        struct trust_signer *signer[TRUST_PURPOSES];
        struct trust_store *trust;
};

/* Makes keys for the purposes named, up to TRUST_PURPOSES; criterion ends the test where that fails. */
void signers_make(struct signers *s, const enum trust_purpose *purposes, size_t n);
void signers_done(struct signers *s);

/* Signs with content; the result is to be freed. */
void signers_sign(const struct signers *s, enum trust_purpose purpose, const void *data, size_t size,
                  uint8_t **ret_der, size_t *ret_size);
