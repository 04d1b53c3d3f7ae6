/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Our own event logs as a verifier reads them: lib/tpm/event-log.h, held to one PCR. */
#pragma once

#include "attest/pcr.h"
#include "tpm/event-log.h"

/* The PCR of a log, which has at least one record. -EBADMSG: a record that is none, whose number is not the
 * next, whose PCR is another than that of those before, or one of whose digests is not that of its content.
 */
int own_log_check(const void *log, size_t size, unsigned *ret_pcr, struct error *e);

/* Extends the bank, which is SHA-256, by a log that was checked. */
int own_log_replay(const void *log, size_t size, struct pcr_bank *bank, struct error *e);
