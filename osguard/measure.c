/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this boot is, before it is so: PCR 14 holds what image and policies determine, PCR 15 what belongs to
 * the machine. */
#include <string.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "osguard/osguard.h"

/* Opens the TPM and starts the logs with what this image is. Nobody else is there to share it with: the
 * kernel's resource manager would load and save session and objects around each command, which takes three
 * times as long. */
int step_tpm(struct boot *b, struct error *e)
{
        int r;

        r = tpm_open("device:/dev/tpm0", &b->tpm, e);
        if (r >= 0)
                r = event_log_create(OSGUARD_LOG, OSGUARD_PCR, b->tpm, &b->log, e);
        if (r >= 0)
                r = event_log_create(OSGUARD_MACHINE_LOG, OSGUARD_MACHINE_PCR, b->tpm, &b->machine_log, e);
        if (r < 0)
                return r;
        return event_log_append(b->log, "image", b->image.text, b->image.size, e);
}

/* The policies that later steps load. From here to the payload PCR 14 has the value that the PCR policies of
 * the build manifest name. */
int step_measure(struct boot *b, struct error *e)
{
        _cleanup_free_ char *policy = NULL;
        char hex[65];
        size_t size = 0;
        int r;

        r = ipe_policy_measure(b->log, &b->host.reference, e);
        if (r >= 0)
                r = selinux_policy_read(&b->image, &policy, &size, e);
        if (r < 0)
                return r;
        hex_encode(b->image.selinux_sha256, 32, hex);
        return event_log_append(b->log, "selinux-policy", hex, strlen(hex), e);
}
