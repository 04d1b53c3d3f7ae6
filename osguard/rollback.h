/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the TPM remembers between boots, so that nothing older than what ran before boots again.
 *
 * A TPM counter is a generation, not a version: it only steps by one, and a counter that was deleted starts
 * above every counter the TPM ever had (TPM 2.0 Library, Part 3, NV_Increment). The record whose generation
 * equals the counter is in force. A boot writes the record of the next generation, the candidate, while PCR
 * 14 still has the value that the owner approved; `osguard-bless` steps the counter once the machine is
 * ready. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tpm/policy.h"
#include "trust/trust.h"

struct tpm;

/* What a boot may not fall below, and which volume belongs to it. */
struct record {
        uint64_t generation;
        uint64_t image_floor;   /* of image.json's security_version */
        uint16_t host_floor[3]; /* of the IPE host policy's version */
        bool has_volume;
        uint8_t volume[TPM_NAME_SIZE]; /* Name of the object that holds the volume's key */
};

/* Bytes of a record in NV: magic, the fields in their order, big endian, then SHA-256 of all that. */
#define RECORD_SIZE 98u

int record_encode(const struct record *record, uint8_t ret[static RECORD_SIZE], struct error *e);

/* -EBADMSG if these bytes are no record. */
int record_decode(const uint8_t *bytes, size_t size, struct record *ret, struct error *e);

/* The same floors and the same volume; generations are not compared. */
bool record_same(const struct record *a, const struct record *b);

/* A recovery token: the owner's word, signed for the purpose `build`, for one TPM at one value of its
 * counter. It stands for the record in force where that is lost, and is spent as soon as the counter steps.
 */
struct token {
        uint8_t tpm[TPM_NAME_SIZE]; /* Name of the endorsement key */
        uint64_t counter;           /* 0: permits to remove a foreign index in the counter's place */
        struct record record;       /* what it stands for; its generation is the counter */
        bool keep_volume;           /* the volume that is there is the machine's, whatever its Name */
};

/* Checks the signature of a token (CMS with content) and reads it. -EBADMSG, -ENOKEY, -EKEYREJECTED of the
 * signature, -EINVAL of a field. */
int token_read(const struct trust_store *trust, const void *der, size_t size, struct token *ret,
               struct error *e);
int token_parse(const char *text, size_t size, struct token *ret, struct error *e);

/* What was found at one of our NV handles. */
enum index_state {
        INDEX_ABSENT,
        INDEX_EMPTY,   /* ours, never written */
        INDEX_FOREIGN, /* another public area than ours */
        INDEX_DAMAGED, /* ours, and what it holds is no record */
        INDEX_READY,
};

/* All that the TPM says; slot[g & 1] is where the record of generation g lies. */
struct rollback {
        enum index_state counter_state, slot_state[2];
        uint64_t counter;
        struct record slot[2];
};

/* Which record is in force, and why. */
enum rollback_source {
        ROLLBACK_FIRST_BOOT, /* the counter is 1: nothing was ever promised on this TPM */
        ROLLBACK_RECORD,
        ROLLBACK_TOKEN,
};

struct rollback_decision {
        enum rollback_source source;
        struct record record; /* in force; its generation is the counter */
        bool keep_volume;     /* see struct token */
};

/* Decides by what was read, without touching anything. -ENOKEY: no record is in force; the message says what
 * was found instead. */
int rollback_decide(const struct rollback *found, struct rollback_decision *ret, struct error *e);

/* Lets a token stand for the record in force. -EKEYREJECTED: it is for another TPM (by the Name of its
 * endorsement key) or for another value of the counter. */
int rollback_accept_token(const struct rollback *found, const struct token *token,
                          const uint8_t endorsement_name[static TPM_NAME_SIZE], struct rollback_decision *ret,
                          struct error *e);

/* Refuses versions below the floors: -ESTALE, with both numbers. */
int rollback_check_floors(const struct record *record, uint64_t image_version,
                          const uint16_t host_version[static 3], struct error *e);

/* The candidate of this boot: the next generation, the higher of floors and versions. */
struct record rollback_next(const struct record *record, uint64_t image_version,
                            const uint16_t host_version[static 3]);

/* The record of the next generation where one was found, else NULL. */
const struct record *rollback_candidate(const struct rollback *found);

/* Whether `next` has to be written: not if the candidate, or without one the record in force, says the same.
 */
bool rollback_must_write(const struct rollback *found, const struct rollback_decision *decision,
                         const struct record *next);
