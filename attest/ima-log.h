/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's IMA log as binary_runtime_measurements gives it: PCR 4 bytes, SHA-1 of the template data,
 * length and name of the template, length and template data; numbers little-endian (Linux,
 * security/integrity/ima/ima_fs.c and Documentation/security/IMA-templates.rst). Templates ima-ng, ima-ngv2,
 * ima-sig, ima-sigv2 and ima-buf.
 *
 * Every bank is extended with its own hash of the template data. A bank that an old kernel filled with padded
 * SHA-1 digests does not replay here: it would prove no more than SHA-1 does. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/pcr.h"
#include "base/error.h"

#define IMA_LOG_MAX ((size_t)16 * 1024 * 1024)
#define IMA_TEMPLATE_DATA_MAX (1024u * 1024)

/* One entry; all points into the log. */
struct ima_entry {
        uint32_t number; /* counted from 0 */
        uint32_t pcr;
        bool violation; /* a file was open for writing while it was measured; the rest of the entry is not
                           measured */
        char template_name[16];
        const uint8_t *template_data;
        size_t template_size;
        char algorithm[16]; /* of the digest: "sha256", … */
        const uint8_t *digest;
        size_t digest_size;
        const char *name;      /* a file's path, or the name of what buffer holds; NUL-terminated */
        const uint8_t *buffer; /* ima-buf alone: what was measured, and the digest is of it */
        size_t buffer_size;
};

/* Reads the entry at *offset and moves *offset behind it; `number` is what it is to be counted as. 1: an
 * entry; 0: the end; -EBADMSG: not an entry, or its digests are not those of its data. */
int ima_log_next(const void *log, size_t size, size_t *offset, uint32_t number, struct ima_entry *ret,
                 struct error *e);

/* Replays the log into a bank that pcr_bank_start() began. Violations extend ones. */
int ima_log_replay(const void *log, size_t size, struct pcr_bank *bank, struct error *e);

/* A device-mapper table as the kernel loaded it (Documentation/admin-guide/device-mapper/dm-ima.rst). */
struct ima_table {
        char name[128], uuid[129], target[32]; /* of the first target: "verity", "crypt", … */
        uint32_t targets;
        char verity_algorithm[16];
        uint8_t root_digest[64]; /* dm-verity's root hash */
        size_t root_digest_size; /* 0: the table is not one dm-verity target */
};

/* -ENOENT: the entry is not a table; -EBADMSG: a table in another form. */
int ima_table_parse(const struct ima_entry *entry, struct ima_table *ret, struct error *e);
