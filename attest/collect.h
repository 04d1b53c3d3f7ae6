/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence of this machine, from its TPM and its logs. */
#pragma once

#include "attest/evidence.h"
#include "tpm/tpm.h"

/* Where the logs lie; a test has its own. */
struct collect_files {
        const char *firmware_log;                /* the kernel's binary_bios_measurements */
        const char *ima_log;                     /* its binary_runtime_measurements */
        const char *own_logs[EVIDENCE_LOGS_MAX]; /* NULL: none; a file that is absent is left out */
        const char *manifest;                    /* the build manifest, or NULL */
};
extern const struct collect_files collect_this_machine;

/* Quotes PCRs 0 to 15 (SHA-256) with this nonce and gathers what belongs to it. The logs are read after the
 * quote and cut to what was quoted, since they go on growing. *ret is to be freed with evidence_done().
 * -EAGAIN: a log does not reach the quoted value. */
int evidence_collect(struct tpm *tpm, const struct collect_files *files, const void *nonce, size_t nonce_size,
                     struct evidence *ret, struct error *e);
