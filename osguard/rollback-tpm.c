/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "osguard/rollback-tpm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "tpm/nv.h"

/* What a reading means. Its message is an error's only where it is one. */
static int to_state(int r, const struct error *why, enum index_state *ret, struct error *e)
{
        switch (r) {
        case 0:
                *ret = INDEX_READY;
                return 0;
        case -ENOENT:
                *ret = INDEX_ABSENT;
                return 0;
        case -ENODATA:
                *ret = INDEX_EMPTY;
                return 0;
        case -EBADMSG:
        case -EACCES: /* a public area does not tell of a password, and ours have none */
                *ret = INDEX_FOREIGN;
                return 0;
        default:
                return error_set(e, r, "%s", why->message);
        }
}

static int read_counter(struct tpm *tpm, struct rollback *found, struct error *e)
{
        struct error why = {};
        int r = tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &found->counter, &why);

        return to_state(r, &why, &found->counter_state, e);
}

static int read_slot(struct tpm *tpm, const struct tpm_public *authority, unsigned slot,
                     struct rollback *found, struct error *e)
{
        uint8_t bytes[RECORD_SIZE];
        struct error why = {};
        int r;

        r = tpm_nv_read_record(tpm, TPM_NV_RECORD + slot, authority, bytes, sizeof(bytes), &why);
        r = to_state(r, &why, &found->slot_state[slot], e);
        if (r < 0 || found->slot_state[slot] != INDEX_READY)
                return r;
        r = record_decode(bytes, sizeof(bytes), &found->slot[slot], &why);
        if (r == -EBADMSG) {
                found->slot_state[slot] = INDEX_DAMAGED;
                return 0;
        }
        return r < 0 ? error_set(e, r, "%s", why.message) : 0;
}

int rollback_read(struct tpm *tpm, const struct tpm_public *authority, struct rollback *ret, struct error *e)
{
        struct rollback found = {};
        int r;

        r = read_counter(tpm, &found, e);
        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = read_slot(tpm, authority, i, &found, e);
        if (r < 0)
                return r;
        *ret = found;
        return 0;
}

int rollback_remove_counter(struct tpm *tpm, struct rollback *found, struct error *e)
{
        int r = tpm_nv_undefine(tpm, TPM_NV_COUNTER, e);

        if (r >= 0)
                found->counter_state = INDEX_ABSENT;
        return r;
}

/* A counter that never counted is made anew: it may have somebody's password. */
int rollback_start_counter(struct tpm *tpm, struct rollback *found, struct error *e)
{
        int r = 0;

        if (found->counter_state == INDEX_EMPTY)
                r = rollback_remove_counter(tpm, found, e);
        if (r >= 0 && found->counter_state == INDEX_ABSENT)
                r = tpm_nv_define_counter(tpm, TPM_NV_COUNTER, e);
        if (r >= 0 && found->counter_state == INDEX_ABSENT) {
                r = tpm_nv_increment(tpm, TPM_NV_COUNTER, e);
                if (r >= 0)
                        r = tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &found->counter, e);
                if (r >= 0)
                        found->counter_state = INDEX_READY;
        }
        return r;
}

static int remove_foreign(struct tpm *tpm, struct rollback *found, struct error *e)
{
        for (unsigned i = 0; i < 2; i++) {
                int r;

                if (found->slot_state[i] != INDEX_FOREIGN)
                        continue;
                r = tpm_nv_undefine(tpm, TPM_NV_RECORD + i, e);
                if (r < 0)
                        return r;
                found->slot_state[i] = INDEX_ABSENT;
        }
        return 0;
}

/* Both at once, so that no later boot depends on the room in the TPM. */
static int define_absent(struct tpm *tpm, const struct tpm_public *authority, struct rollback *found,
                         struct error *e)
{
        for (unsigned i = 0; i < 2; i++) {
                int r;

                if (found->slot_state[i] != INDEX_ABSENT)
                        continue;
                r = tpm_nv_define_record(tpm, TPM_NV_RECORD + i, authority, RECORD_SIZE, e);
                if (r < 0)
                        return r;
                found->slot_state[i] = INDEX_EMPTY;
        }
        return 0;
}

int rollback_write(struct tpm *tpm, const struct tpm_authorization *a, struct rollback *found, bool replace,
                   const struct record *next, struct error *e)
{
        const unsigned slot = next->generation & 1;
        uint8_t bytes[RECORD_SIZE];
        int r;

        r = record_encode(next, bytes, e);
        if (r >= 0 && replace)
                r = remove_foreign(tpm, found, e);
        if (r >= 0)
                r = define_absent(tpm, a->authority, found, e);
        if (r >= 0)
                r = tpm_nv_write_record(tpm, TPM_NV_RECORD + slot, a, bytes, sizeof(bytes), e);
        if (r < 0)
                return r;
        found->slot_state[slot] = INDEX_READY;
        found->slot[slot] = *next;
        return 0;
}

int generation_read(const char *path, uint64_t *ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        char *end;
        int r;

        r = file_exists(AT_FDCWD, path);
        if (r < 0)
                return error_errno(e, r, "%s", path);
        if (r == 0) {
                *ret = 0;
                return 0;
        }
        r = read_file(AT_FDCWD, path, 32, &text, NULL, e);
        if (r < 0)
                return r;
        errno = 0;
        *ret = strtoull(text, &end, 10);
        if (errno != 0 || text[0] < '0' || text[0] > '9' || strcmp(end, "\n") != 0)
                return error_set(e, -EBADMSG, "%s: a number expected, found \"%s\"", path, text);
        return 0;
}

/* The counter comes first: a file that is behind does no harm, a file that is ahead refuses the next boot. */
static int write_generation(const char *path, uint64_t counter, struct error *e)
{
        uint64_t there = 0;
        char text[24];
        int n;

        if (generation_read(path, &there, NULL) >= 0 && there == counter)
                return 0;
        n = snprintf(text, sizeof(text), "%" PRIu64 "\n", counter);
        return write_file_atomic(AT_FDCWD, path, text, (size_t)n, 0600, e);
}

/* The record in force, after the counter was stepped to the candidate if there is one. */
static int step(struct tpm *tpm, struct rollback *found, struct record *ret, struct error *e)
{
        const struct record *candidate = rollback_candidate(found);
        struct rollback_decision decision;
        int r;

        if (found->counter_state == INDEX_READY && candidate) {
                r = tpm_nv_increment(tpm, TPM_NV_COUNTER, e);
                if (r >= 0)
                        r = tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &found->counter, e);
                if (r < 0)
                        return r;
        }
        r = rollback_decide(found, &decision, e);
        if (r >= 0)
                *ret = decision.record;
        return r;
}

int rollback_bless(struct tpm *tpm, const struct tpm_public *authority, const char *path, struct record *ret,
                   struct error *e)
{
        struct rollback found;
        struct record record;
        int r;

        r = rollback_read(tpm, authority, &found, e);
        if (r >= 0)
                r = step(tpm, &found, &record, e);
        if (r >= 0)
                r = write_generation(path, found.counter, e);
        if (r >= 0)
                *ret = record;
        return r;
}
