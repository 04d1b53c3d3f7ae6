/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of rollback, without a TPM: every state that one can be in. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "osguard/rollback.h"

static const struct record full = {.generation = 0x0102030405060708,
                                   .image_floor = 7,
                                   .host_floor = {1, 2, 65535},
                                   .has_volume = true,
                                   .volume = {0x00, 0x0b, 1, 2, 3, [33] = 4}};

Test(record, what_is_written_is_read)
{
        struct record records[] = {full, {.generation = 2}, {.generation = UINT64_MAX}};
        struct error e = {};

        for (size_t i = 0; i < ELEMENTSOF(records); i++) {
                uint8_t bytes[RECORD_SIZE];
                struct record found = {};

                cr_assert_eq(record_encode(&records[i], bytes, &e), 0, "%s", e.message);
                cr_assert_eq(record_decode(bytes, sizeof(bytes), &found, &e), 0, "%s", e.message);
                cr_expect_eq(found.generation, records[i].generation);
                cr_expect(record_same(&found, &records[i]));
        }
}

Test(record, any_byte_changed_and_any_other_size)
{
        uint8_t bytes[RECORD_SIZE + 1] = {};
        struct record found = {};
        struct error e = {};

        cr_assert_eq(record_encode(&full, bytes, &e), 0);
        for (size_t i = 0; i < RECORD_SIZE; i++) {
                bytes[i] ^= 0x40;
                cr_expect_eq(record_decode(bytes, RECORD_SIZE, &found, &e), -EBADMSG, "byte %zu", i);
                bytes[i] ^= 0x40;
        }
        for (size_t size = 0; size <= sizeof(bytes); size++)
                cr_expect_eq(record_decode(bytes, size, &found, &e), size == RECORD_SIZE ? 0 : -EBADMSG,
                             "%zu bytes", size);
}

Test(record, same)
{
        struct record other = full;

        other.generation++;
        cr_expect(record_same(&full, &other), "generations do not count");
        other.image_floor++;
        cr_expect_not(record_same(&full, &other));
        other = full;
        other.host_floor[2]--;
        cr_expect_not(record_same(&full, &other));
        other = full;
        other.volume[33] ^= 1;
        cr_expect_not(record_same(&full, &other));
        other.has_volume = false;
        cr_expect_not(record_same(&full, &other));
}

struct slot {
        enum index_state state;
        int64_t ahead; /* of a record that is there: its generation less the counter */
};

static const struct slot slots[] = {
        {INDEX_ABSENT, 0}, {INDEX_EMPTY, 0}, {INDEX_FOREIGN, 0}, {INDEX_DAMAGED, 0}, {INDEX_READY, -2},
        {INDEX_READY, -1}, {INDEX_READY, 0}, {INDEX_READY, 1},   {INDEX_READY, 2},   {INDEX_READY, 3},
};

static struct record make_record(uint64_t counter, int64_t ahead, uint64_t floor)
{
        return (struct record){.generation = ahead < 0 && counter < 2 ? 0 : counter + (uint64_t)ahead,
                               .image_floor = floor};
}

static struct rollback make_state(enum index_state counter_state, uint64_t counter,
                                  const struct slot *current, const struct slot *other)
{
        struct rollback state = {.counter_state = counter_state, .counter = counter};
        const unsigned at = counter & 1;

        state.slot_state[at] = current->state;
        state.slot[at] = make_record(counter, current->ahead, 5);
        state.slot_state[!at] = other->state;
        state.slot[!at] = make_record(counter, other->ahead, 9);
        return state;
}

static bool is_later(const struct slot *s)
{
        return s->state == INDEX_READY && s->ahead > 1;
}

/* In force is the record of the counter's generation; where the counter is 1 and its place is free, the one
 * that needs no writing. Nothing foreign and nothing from the future lies beside it. */
static bool is_healthy(enum index_state counter_state, uint64_t counter, const struct slot *current,
                       const struct slot *other)
{
        if (counter_state != INDEX_READY || current->state == INDEX_FOREIGN ||
            other->state == INDEX_FOREIGN || is_later(current) || is_later(other))
                return false;
        if (current->state == INDEX_READY)
                return current->ahead == 0;
        return counter == 1 && (current->state == INDEX_ABSENT || current->state == INDEX_EMPTY);
}

static void check_state(enum index_state counter_state, uint64_t counter, const struct slot *current,
                        const struct slot *other)
{
        const struct rollback state = make_state(counter_state, counter, current, other);
        struct rollback_decision decision = {};
        struct error e = {};
        int r = rollback_decide(&state, &decision, &e);

        if (!is_healthy(counter_state, counter, current, other)) {
                cr_expect_eq(r, -ENOKEY, "counter %d %lu, slots %d %d", counter_state, counter,
                             current->state, other->state);
                cr_expect(strstr(e.message, "expected, found"), "%s", e.message);
                return;
        }
        cr_assert_eq(r, 0, "%s", e.message);
        cr_expect_eq(decision.record.generation, counter);
        cr_expect_eq(decision.source, current->state == INDEX_READY ? ROLLBACK_RECORD : ROLLBACK_FIRST_BOOT);
        cr_expect_eq(decision.record.image_floor, current->state == INDEX_READY ? 5 : 0);
}

Test(rollback, every_state)
{
        static const enum index_state states[] = {INDEX_ABSENT, INDEX_EMPTY, INDEX_FOREIGN, INDEX_READY};
        static const uint64_t counters[] = {1, 2, 7, 1000};

        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                for (size_t c = 0; c < ELEMENTSOF(counters); c++)
                        for (size_t k = 0; k < ELEMENTSOF(slots); k++)
                                for (size_t l = 0; l < ELEMENTSOF(slots); l++)
                                        check_state(states[i], counters[c], &slots[k], &slots[l]);
}

Test(rollback, messages)
{
        static const struct {
                struct slot current, other;
                const char *message;
        } rows[] = {
                {{INDEX_ABSENT, 0}, {INDEX_READY, -1}, "record of generation 7 expected, found none"},
                {{INDEX_READY, -2}, {INDEX_READY, -1}, "found one of another generation"},
                {{INDEX_DAMAGED, 0}, {INDEX_READY, -1}, "found a damaged one"},
                {{INDEX_READY, 0}, {INDEX_FOREIGN, 0}, "found a foreign index in the place of a record"},
                {{INDEX_READY, 2}, {INDEX_READY, -1}, "found a record of a later generation"},
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const struct rollback state = make_state(INDEX_READY, 7, &rows[i].current, &rows[i].other);
                struct rollback_decision decision;
                struct error e = {};

                cr_expect_eq(rollback_decide(&state, &decision, &e), -ENOKEY);
                cr_expect(strstr(e.message, rows[i].message), "row %zu: %s", i, e.message);
        }
}

Test(rollback, tokens)
{
        const struct rollback state = make_state(INDEX_READY, 7, &slots[0], &slots[0]);
        struct token token = {.tpm = {0, 11, 1},
                              .counter = 7,
                              .record = {.generation = 7, .image_floor = 3},
                              .keep_volume = true};
        uint8_t name[TPM_NAME_SIZE] = {0, 11, 1};
        struct rollback_decision decision = {};
        struct error e = {};

        cr_assert_eq(rollback_accept_token(&state, &token, name, &decision, &e), 0, "%s", e.message);
        cr_expect_eq(decision.source, ROLLBACK_TOKEN);
        cr_expect(decision.keep_volume && decision.record.image_floor == 3);
        name[33] = 1;
        cr_expect_eq(rollback_accept_token(&state, &token, name, &decision, &e), -EKEYREJECTED);
        cr_expect(strstr(e.message, "tpm: 000b01"), "%s", e.message);
        name[33] = 0;
        for (token.counter = 0; token.counter < 20; token.counter++)
                cr_expect_eq(rollback_accept_token(&state, &token, name, &decision, &e),
                             token.counter == 7 ? 0 : -EKEYREJECTED);
        cr_expect(strstr(e.message, "counter: 7 expected, found 19"), "%s", e.message);
}

Test(rollback, floors)
{
        const struct record record = {.image_floor = 5, .host_floor = {1, 2, 3}};
        static const struct {
                uint64_t image;
                uint16_t host[3];
                int r;
                const char *message;
        } rows[] = {
                {5, {1, 2, 3}, 0, NULL},
                {6, {1, 2, 4}, 0, NULL},
                {9, {2, 0, 0}, 0, NULL},
                {4, {1, 2, 3}, -ESTALE, "image: security version 5 or higher expected, found 4"},
                {0, {9, 9, 9}, -ESTALE, "image: security version 5"},
                {5, {1, 2, 2}, -ESTALE, "version 1.2.3 or higher expected, found 1.2.2"},
                {5, {1, 1, 9}, -ESTALE, "found 1.1.9"},
                {5, {0, 9, 9}, -ESTALE, "found 0.9.9"},
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct error e = {};

                cr_expect_eq(rollback_check_floors(&record, rows[i].image, rows[i].host, &e), rows[i].r,
                             "row %zu", i);
                cr_expect(!rows[i].message || strstr(e.message, rows[i].message), "row %zu: %s", i,
                          e.message);
        }
}

Test(rollback, the_next_record_never_falls)
{
        const struct record record = {.generation = 7,
                                      .image_floor = 5,
                                      .host_floor = {1, 2, 3},
                                      .has_volume = true,
                                      .volume = {9}};
        struct record next = rollback_next(&record, 6, (const uint16_t[]){1, 2, 3});

        cr_expect_eq(next.generation, 8);
        cr_expect_eq(next.image_floor, 6);
        cr_expect_eq(next.host_floor[2], 3);
        cr_expect(next.has_volume && next.volume[0] == 9);
        next = rollback_next(&record, 5, (const uint16_t[]){2, 0, 0});
        cr_expect_eq(next.image_floor, 5);
        cr_expect_eq(next.host_floor[0], 2);
        cr_expect_eq(next.host_floor[1], 0);
}

Test(rollback, when_a_candidate_is_written)
{
        const struct slot now = {INDEX_READY, 0}, promised = {INDEX_READY, 1}, before = {INDEX_READY, -1};
        struct rollback state = make_state(INDEX_READY, 7, &now, &before);
        struct rollback_decision decision;
        struct record next;

        cr_assert_eq(rollback_decide(&state, &decision, NULL), 0);
        next = rollback_next(&decision.record, 5, (const uint16_t[]){0, 0, 0});
        cr_expect_not(rollback_must_write(&state, &decision, &next), "nothing changes");
        next.image_floor = 6;
        cr_expect(rollback_must_write(&state, &decision, &next), "a floor rises");

        /* Another image promised 9 and was never blessed. */
        state = make_state(INDEX_READY, 7, &now, &promised);
        cr_expect_eq(rollback_candidate(&state)->image_floor, 9);
        cr_expect(rollback_must_write(&state, &decision, &next),
                  "it would come into force with our blessing");
        next.image_floor = 5;
        cr_expect(rollback_must_write(&state, &decision, &next), "the same, though nothing changes");
        next.image_floor = 9;
        cr_expect_not(rollback_must_write(&state, &decision, &next), "it says the same");

        /* A token is spent by a step of the counter, so there must be something to step to. */
        state = make_state(INDEX_READY, 7, &before, &before);
        decision.source = ROLLBACK_TOKEN;
        next = rollback_next(&decision.record, 5, (const uint16_t[]){0, 0, 0});
        cr_expect(rollback_must_write(&state, &decision, &next));
}
