/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the report of `osguard status` is put together. */
#pragma once

#include "osguard/osguard.h"

#define STATUS_LOG_MAX (16u * 1024 * 1024)

struct report {
        sd_json_variant *links;
        struct image image; /* from the event log */
        char *table;        /* of the device-mapper device "root" */
        struct tpm *tpm;    /* NULL: it cannot be opened */
        int r;              /* the first error in making the report itself */
};

void report_add(struct report *p, const char *name, const char *expected, const char *found, bool ok);

/* A link: the replay of a log against its PCR. */
void report_replay(struct report *p, const char *name, unsigned pcr, const uint8_t *log, size_t size);

/* The links of the rollback state. log: osguard's own, of PCR 14. */
void report_rollback(struct report *p, const uint8_t *log, size_t size);

/* Those of them that follow from what the TPM holds and from the two logs. */
void report_state(struct report *p, const struct rollback *found, const uint8_t *log, size_t size,
                  const uint8_t *machine_log, size_t machine_size);
