/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TAP version 13 for programs that run in the guest, with the kernel's record of every refusal.
 *
 * A check line is `ok N - NAME # record: RECORD; refused by: LAYER`: RECORD is the kernel's log line about
 * the refusal (or the errno where the layer writes none), LAYER one of IPE, SELinux, lockdown, dm-verity,
 * module signature, Yama, mount option, capability, kernel. A check that had to work has no comment. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum verdict {
        ATTEMPT_VOID,    /* could not be tried: the surroundings are wrong. Never a success. */
        ATTEMPT_WORKED,  /* the thing was done */
        ATTEMPT_REFUSED, /* the kernel refused it */
};

/* What became of one attempt. */
struct outcome {
        enum verdict verdict;
        int error;      /* errno of the refusal, or of the failed preparation */
        char step[120]; /* the call or the path at which it ended */
};

struct tap {
        bool blind; /* the kernel's log is out of reach: refusals are judged by errno */
        FILE *out;
        int kmsg; /* /dev/kmsg, read position at the start of the current attempt; -1 without */
        unsigned count, failed;
};

/* Opens the kernel's log (failure is no error: records are then missing and checks that ask for one fail) and
 * writes the version line to out, which stays the caller's. */
void tap_start(struct tap *t, FILE *out);

/* The same where the kernel's log cannot be read: tap_refused() then asks for the errno, and whoever reads
 * the output finds in `to be refused by` which records to look for. */
void tap_start_blind(struct tap *t, FILE *out);

/* The virtio-serial port with that name, for writing and reading. It is found without udev's links. NULL if
 * there is none. */
FILE *tap_open_port(const char *name);

/* Writes the plan. Returns 0 if every check passed, else 1. */
int tap_finish(struct tap *t);

/* A check that needs no attempt. detail, if not NULL, becomes a comment of the line. */
void tap_check(struct tap *t, bool ok, const char *name, const char *detail);

/* Prints, as `record: …`, every line of the kernel's log that contains text. Returns how many. */
unsigned tap_records(struct tap *t, const char *text);

/* Says that the current attempt has this process: the kernel's records about others are not about the
 * attempt. */
void tap_child(pid_t pid);

/* Forgets what the kernel logged so far, and the children; to be called before an attempt whose outcome goes
 * to the two below.
 */
void tap_mark(struct tap *t);

/* The attempt had to work. */
void tap_worked(struct tap *t, const char *name, const struct outcome *o);

/* The attempt had to be refused by one of the layers, names separated by '|'. For layers that write records
 * (IPE, SELinux, lockdown, dm-verity) the record must be in the kernel's log since tap_mark(). Any other name
 * is accepted when no such record was written and error is the errno of the refusal. Of several records the
 * last counts: it is the one that ended the attempt. */
void tap_refused(struct tap *t, const char *name, const struct outcome *o, const char *layers, int error);

/* One line of a table of checks: what is tried, and whether it must work (refused_by NULL) or which layers
 * refuse it, with the errno where they keep no record. */
struct tap_row {
        const char *name;
        struct outcome (*attempt)(void);
        const char *refused_by;
        int error;
};

/* Runs n rows; each name gets "prefix: " in front. */
void tap_rows(struct tap *t, const char *prefix, const struct tap_row *rows, size_t n);
