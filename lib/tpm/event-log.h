/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An event log of our own: TCG Canonical Event Log, TLV encoding (CEL, version 1.0, section 5.1). EVENTS.md
 * in this folder lists every event.
 *
 * A record is written, then its PCR extended, then the record marked in a file beside the log (`PATH.mark`,
 * the number of records extended). A record that is written but not marked may or may not be in the PCR:
 * whoever opens the log next can tell by replay. */
#pragma once

#include "tpm/tpm.h"

/* CEL TLV types (CEL section 5.1.2) and our content type, in the range left to implementations. */
enum {
        CEL_SEQUENCE = 0,
        CEL_PCR = 1,
        CEL_DIGESTS = 3,
        CEL_CONTENT_HOLDFAST = 0x48,
        HOLDFAST_EVENT_NAME = 0,
        HOLDFAST_EVENT_DATA = 1,
};

#define EVENT_DATA_MAX (64u * 1024)

struct event_log;

/* A new log for one PCR. `path` is created; -EEXIST when it is there. `tpm` is borrowed. The caller frees
 * *ret. */
int event_log_create(const char *path, unsigned pcr, struct tpm *tpm, struct event_log **ret,
                     struct error *e);
struct event_log *event_log_free(struct event_log *log);
DEFINE_CLEANUP(struct event_log *, event_log_free)

/* Writes, extends and marks one event. The digest is over the content: the TLVs of name and data. After an
 * error the record is gone unless the PCR has it; -EIO from then on where the TPM does not say. */
int event_log_append(struct event_log *log, const char *name, const void *data, size_t size, struct error *e);

/* SHA-256 of an event's content: what event_log_append() extends into that bank. Needs no TPM. */
int event_digest(const char *name, const void *data, size_t size, uint8_t ret[static 32], struct error *e);

/* One record as it stands in a log; name and data point into the log's buffer. */
struct event_record {
        uint64_t sequence;
        uint32_t pcr;
        struct tpm_digests digests;
        const uint8_t *content;
        size_t content_size;
        char name[64];
        const uint8_t *data;
        size_t data_size;
};

/* Reads the record at *offset and moves *offset behind it. 1: a record; 0: the end; -EBADMSG: not a log. A
 * record cut short by a killed writer is the end only when it is the last thing in the buffer: -ENODATA. */
int event_log_next(const uint8_t *log, size_t size, size_t *offset, struct event_record *ret,
                   struct error *e);

/* The SHA-256 PCR value that a log gives when it is replayed from zeros; checks that each record's digest is
 * that of its content and that sequence numbers count from 0. */
int event_log_replay(const uint8_t *log, size_t size, uint8_t ret[static 32], struct error *e);
