/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What claims.c may know of verified evidence. */
#pragma once

#include "attest/evidence.h"
#include "attest/firmware-log.h"

struct verified_evidence {
        const struct evidence *evidence;
        struct attestation_key *key;
        struct verified_quote *quote;
        struct firmware_claims firmware; /* if there is a firmware log */
        uint64_t counter;                /* if there is one */
};
