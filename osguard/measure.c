/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "osguard/osguard.h"

/* Opens the TPM and starts the log with what this image is. */
int step_tpm(struct boot *b, struct error *e)
{
        int r;

        r = tpm_open("device:/dev/tpmrm0", &b->tpm, e);
        if (r < 0)
                return r;
        r = event_log_create(OSGUARD_LOG, OSGUARD_PCR, b->tpm, &b->log, e);
        if (r < 0)
                return r;
        return event_log_append(b->log, "image", b->image.text, b->image.size, e);
}
