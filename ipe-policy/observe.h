/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of this machine, as IPE sees them. */
#pragma once

#include "ipe-policy/ipe-policy.h"

#define OBSERVE_TABLE_MAX 4096
#define OBSERVE_ALGORITHM_MAX 31
#define OBSERVE_DIGEST_MAX 64

struct ipe_observation {
        struct ipe_subject subject; /* points into the rest */
        char algorithm[OBSERVE_ALGORITHM_MAX + 1], root_hash[2 * OBSERVE_DIGEST_MAX + 1];
        char fsverity_digest[2 * OBSERVE_DIGEST_MAX + 1];
};

/* What IPE's properties are for this file. Needs the right to read device-mapper's tables where the file is
 * on such a device. -EOPNOTSUPP for files of an overlay, since it is not told where they come from. *ret must
 * not be moved. */
int ipe_observe_file(const char *path, struct ipe_observation *ret, struct error *e);

/* Root hash and signature from the parameters of a verity target in a device-mapper table. */
int ipe_observe_table(const char *parameters, struct ipe_observation *ret, struct error *e);
