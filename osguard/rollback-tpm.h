/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of rollback.h in a TPM. Errors besides those named are those of tpm/nv.h. */
#pragma once

#include "osguard/rollback.h"
#include "tpm/authorize.h"

/* Reads the counter and both records. What is absent, foreign or damaged is an answer, not an error. */
int rollback_read(struct tpm *tpm, const struct tpm_public *authority, struct rollback *ret, struct error *e);

/* Makes the counter and steps it once, where it was never stepped; else does nothing. found->counter is then
 * the TPM's own authenticated word. -ENOSPC: no room in the TPM. */
int rollback_start_counter(struct tpm *tpm, struct rollback *found, struct error *e);

/* Removes the foreign index in the counter's place, as a token permitted it. */
int rollback_remove_counter(struct tpm *tpm, struct rollback *found, struct error *e);

/* Writes `next` as the candidate, after it made the indexes that are absent. Foreign indexes are removed if
 * `replace`, else they are -EBADMSG. -EPERM: this boot is not an approved one, see tpm/authorize.h. */
int rollback_write(struct tpm *tpm, const struct tpm_authorization *a, struct rollback *found, bool replace,
                   const struct record *next, struct error *e);

/* Steps the counter if there is a candidate, then writes the counter's value to the file `path` unless it is
 * there: a TPM that went back is known by it. *ret is the record in force then. May be repeated after a power
 * cut at any moment. */
int rollback_bless(struct tpm *tpm, const struct tpm_public *authority, const char *path, struct record *ret,
                   struct error *e);

/* The generation in the file `path`; 0 if there is no such file. -EBADMSG: no number. */
int generation_read(const char *path, uint64_t *ret, struct error *e);
