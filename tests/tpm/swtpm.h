/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TPM of the test's own: swtpm in a scratch directory. What goes wrong fails the test. */
#pragma once

#include <sys/types.h>

struct swtpm {
        char directory[64]; /* scratch, the caller may put files there; removed by swtpm_done() */
        char tcti[128];     /* for tpm_open() and TPM2TOOLS_TCTI */
        pid_t pid;          /* 0: powered off */
};

/* A new TPM that has seen nothing yet, powered on (TPM2_Startup(CLEAR)). */
void swtpm_start(struct swtpm *s);

/* The same with an EK certificate in NV by a CA whose certificates then lie in DIRECTORY/ca/. */
void swtpm_start_certified(struct swtpm *s);

/* Power off without TPM2_Shutdown, as by a power cut; power on: PCRs are zeros, NV is as it was. */
void swtpm_stop(struct swtpm *s);
void swtpm_restart(struct swtpm *s);

/* Copies the TPM's permanent state to DIRECTORY/NAME, and puts it back (power off, copy, power on). */
void swtpm_snapshot(const struct swtpm *s, const char *name);
void swtpm_restore(struct swtpm *s, const char *name);

/* Power off, remove the directory. */
void swtpm_done(struct swtpm *s);
