/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of rollback.h, without a TPM. */
#include "osguard/rollback.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/hex.h"
#include "ipe-policy/ipe-policy.h"

/* Why no record is in force, or NULL: the one of the counter's generation is there. */
static const char *find_record(const struct rollback *found, const struct record **ret)
{
        const unsigned at = found->counter & 1;
        const struct record *record = &found->slot[at];

        for (unsigned i = 0; i < 2; i++) {
                if (found->slot_state[i] == INDEX_FOREIGN)
                        return "a foreign index in the place of a record";
                if (found->slot_state[i] == INDEX_READY && found->slot[i].generation > found->counter + 1)
                        return "a record of a later generation";
        }
        switch (found->slot_state[at]) {
        case INDEX_ABSENT:
        case INDEX_EMPTY:
                *ret = NULL;
                return found->counter == 1 ? NULL : "none";
        case INDEX_READY:
                *ret = record;
                return record->generation == found->counter ? NULL : "one of another generation";
        default:
                return "a damaged one";
        }
}

int rollback_decide(const struct rollback *found, struct rollback_decision *ret, struct error *e)
{
        const struct record *record = NULL;
        const char *reason;

        if (found->counter_state != INDEX_READY)
                return error_set(e, -ENOKEY, "TPM: a counter expected, found none of ours");
        reason = find_record(found, &record);
        if (reason)
                return error_set(e, -ENOKEY, "TPM: record of generation %" PRIu64 " expected, found %s",
                                 found->counter, reason);
        *ret = (struct rollback_decision){.source = record ? ROLLBACK_RECORD : ROLLBACK_FIRST_BOOT};
        ret->record = record ? *record : (struct record){.generation = found->counter};
        return 0;
}

int rollback_accept_token(const struct rollback *found, const struct token *token,
                          const uint8_t endorsement_name[static TPM_NAME_SIZE], struct rollback_decision *ret,
                          struct error *e)
{
        char expected[2 * TPM_NAME_SIZE + 1], given[2 * TPM_NAME_SIZE + 1];

        if (memcmp(token->tpm, endorsement_name, TPM_NAME_SIZE) != 0) {
                hex_encode(endorsement_name, TPM_NAME_SIZE, expected);
                hex_encode(token->tpm, TPM_NAME_SIZE, given);
                return error_set(e, -EKEYREJECTED, "recovery token: tpm: %s expected, found %s", expected,
                                 given);
        }
        if (token->counter != found->counter)
                return error_set(e, -EKEYREJECTED,
                                 "recovery token: counter: %" PRIu64 " expected, found %" PRIu64,
                                 found->counter, token->counter);
        *ret = (struct rollback_decision){
                .source = ROLLBACK_TOKEN, .record = token->record, .keep_volume = token->keep_volume};
        return 0;
}

int rollback_check_floors(const struct record *record, uint64_t image_version,
                          const uint16_t host_version[static 3], struct error *e)
{
        const uint16_t *floor = record->host_floor;

        if (image_version < record->image_floor)
                return error_set(e, -ESTALE,
                                 "image: security version %" PRIu64 " or higher expected, found %" PRIu64,
                                 record->image_floor, image_version);
        if (ipe_policy_compare_versions(host_version, floor) < 0)
                return error_set(
                        e, -ESTALE, "host IPE policy: version %u.%u.%u or higher expected, found %u.%u.%u",
                        floor[0], floor[1], floor[2], host_version[0], host_version[1], host_version[2]);
        return 0;
}

struct record rollback_next(const struct record *record, uint64_t image_version,
                            const uint16_t host_version[static 3])
{
        struct record next = *record;

        next.generation = record->generation + 1;
        if (image_version > next.image_floor)
                next.image_floor = image_version;
        if (ipe_policy_compare_versions(host_version, next.host_floor) > 0)
                memcpy(next.host_floor, host_version, sizeof(next.host_floor));
        return next;
}

const struct record *rollback_candidate(const struct rollback *found)
{
        const unsigned at = (found->counter + 1) & 1;

        return found->slot_state[at] == INDEX_READY && found->slot[at].generation == found->counter + 1
                       ? &found->slot[at]
                       : NULL;
}

/* A candidate that another image left would come into force with this boot's blessing: it is replaced, also
 * by one that says what the record in force says. */
bool rollback_must_write(const struct rollback *found, const struct rollback_decision *decision,
                         const struct record *next)
{
        const struct record *candidate = rollback_candidate(found);

        if (!candidate && decision->source == ROLLBACK_TOKEN)
                return true;
        return !record_same(candidate ?: &decision->record, next);
}
