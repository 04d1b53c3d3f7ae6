/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "ipe-policy/ipe-policy.h"
#include "osguard/osguard.h"

/* The kernel refuses a host policy below the boot policy only after the boot policy can no longer be changed:
 * told here, the reason is plain. */
int step_versions(struct boot *b, struct error *e)
{
        const struct policy_reference *boot = &b->image.ipe_boot, *host = &b->image.ipe_host;

        if (ipe_policy_compare_versions(host->version, boot->version) < 0)
                return error_set(e, -ESTALE,
                                 "host IPE policy: version %u.%u.%u or higher expected, found %u.%u.%u",
                                 boot->version[0], boot->version[1], boot->version[2], host->version[0],
                                 host->version[1], host->version[2]);
        return 0;
}
