/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bad TPM: stands between the program and swtpm, and spoils one command. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "swtpm.h"

enum fault_kind {
        FAULT_NONE,     /* commands are only counted */
        FAULT_RC,       /* the TPM does not see the command; the answer is `rc` */
        FAULT_LOST,     /* the TPM executes the command; the answer is `rc` */
        FAULT_DROP,     /* the connection ends instead of the command */
        FAULT_CUT,      /* the TPM executes the command; the connection ends instead of an answer */
        FAULT_HANG,     /* no answer, ever */
        FAULT_GARBLE,   /* one bit of the answer, behind its header, is another */
        FAULT_TRUNCATE, /* half of the answer, its size is said rightly */
        FAULT_OVERSIZE, /* the answer says that it is larger than any may be */
        FAULT_RECORD,   /* nothing is spoiled; the answer is kept for */
        FAULT_REPLAY,   /* the TPM does not see the command; the answer is the one recorded */
};

struct fault_proxy;

/* Listens beside swtpm's sockets. The proxy is a thread of the test. */
struct fault_proxy *fault_start(const struct swtpm *s);

/* For tpm_open(). */
const char *fault_tcti(const struct fault_proxy *p);

/* Forgets what was heard and counts from 1 anew; the nth command from here is spoiled, once. */
void fault_set(struct fault_proxy *p, unsigned nth, enum fault_kind kind, uint32_t rc);

/* How many commands came since then. */
unsigned fault_count(struct fault_proxy *p);

/* Whether these bytes stood in any command or answer since then. */
bool fault_heard(struct fault_proxy *p, const void *bytes, size_t size);

/* Flushes the objects and sessions that are still loaded, as the kernel's resource manager does when a
 * descriptor is closed. Nobody may use the TPM meanwhile. */
void fault_flush(const struct fault_proxy *p);

void fault_stop(struct fault_proxy *p);
