/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A prediction against a log of a real boot. */
#include <errno.h>
#include <stdio.h>

#include "attest/firmware-log.h"
#include "attest/pcr.h"
#include "attest/predict/prediction.h"
#include "base/hex.h"
#include "tpm/event-log.h"

/* How far the comparison came in each PCR. */
struct comparison {
        const struct prediction *p;
        size_t next[PREDICTION_PCRS]; /* index of the predicted event that comes next */
        size_t seen[PREDICTION_PCRS]; /* events of the log */
};

static const struct predicted_event *next_predicted(const struct comparison *c, unsigned pcr)
{
        for (size_t i = c->next[pcr]; i < c->p->n; i++)
                if (c->p->events[i].pcr == pcr)
                        return &c->p->events[i];
        return NULL;
}

static const char *type_name(uint32_t type)
{
        return type == PREDICTION_OWN_EVENT ? "osguard" : firmware_event_type_name(type) ?: "unknown type";
}

/* `what` describes the event found. */
static int compare_event(struct comparison *c, unsigned pcr, uint32_t type, const uint8_t *digest,
                         const char *what, struct error *e)
{
        const struct predicted_event *expected;
        char found_hex[65], expected_hex[65];

        if (pcr >= PREDICTION_PCRS || !(c->p->pcrs & 1u << pcr))
                return 0;
        expected = next_predicted(c, pcr);
        hex_encode(digest, 32, found_hex);
        c->seen[pcr]++;
        if (!expected)
                return error_set(e, -EBADMSG, "PCR %u, event %zu: none expected, found %s (%s) %s", pcr,
                                 c->seen[pcr], type_name(type), what, found_hex);
        hex_encode(expected->digest, 32, expected_hex);
        if (expected->type != type || (!expected->open && memcmp(expected->digest, digest, 32) != 0))
                return error_set(e, -EBADMSG, "PCR %u, event %zu: %s (%s) %s expected, found %s (%s) %s", pcr,
                                 c->seen[pcr], type_name(expected->type), expected->source,
                                 expected->open ? "of any digest" : expected_hex, type_name(type), what,
                                 found_hex);
        c->next[pcr] = (size_t)(expected - c->p->events) + 1;
        return 0;
}

/* All that was predicted for these PCRs has come. */
static int compare_end(const struct comparison *c, uint32_t pcrs, struct error *e)
{
        for (unsigned pcr = 0; pcr < PREDICTION_PCRS; pcr++) {
                const struct predicted_event *expected = next_predicted(c, pcr);

                if (pcrs & c->p->pcrs & 1u << pcr && expected)
                        return error_set(e, -EBADMSG,
                                         "PCR %u, event %zu: %s (%s) expected, found the log's end", pcr,
                                         c->seen[pcr] + 1, type_name(expected->type), expected->source);
        }
        return 0;
}

/* Events of PCRs 8 and above come from boot loaders and the kernel's stub: they are in the same log. */
#define FIRMWARE_PCRS 0x1fffu

static int compare_firmware(struct comparison *c, const void *log, size_t size, struct error *e)
{
        struct firmware_event ev;
        struct firmware_log l;
        char what[128];
        int r;

        r = firmware_log_open(log, size, &l, e);
        if (r < 0)
                return r;
        while ((r = firmware_log_next(&l, &ev, e)) > 0) {
                const uint8_t *digest = firmware_event_digest(&ev, PCR_SHA256);

                if (ev.type == EV_NO_ACTION)
                        continue;
                if (!digest)
                        return error_set(e, -ENOTSUP, "firmware log: a SHA-256 bank expected, found none");
                firmware_event_describe(&ev, sizeof(what), what);
                r = compare_event(c, ev.pcr, ev.type, digest, what, e);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : compare_end(c, FIRMWARE_PCRS, e);
}

static int compare_own(struct comparison *c, const void *log, size_t size, struct error *e)
{
        struct event_record record;
        uint8_t value[32];
        size_t offset = 0;
        int r;

        r = event_log_replay(log, size, value, e);
        while (r >= 0 && (r = event_log_next(log, size, &offset, &record, e)) > 0) {
                uint8_t digest[32];

                r = pcr_hash(PCR_SHA256, record.content, record.content_size, digest);
                if (r >= 0)
                        r = compare_event(c, record.pcr, PREDICTION_OWN_EVENT, digest, record.name, e);
        }
        return r < 0 ? r : compare_end(c, 1u << 14, e);
}

int prediction_compare(const struct prediction *p, const void *log, size_t size, struct error *e)
{
        /* A CEL record begins with its sequence number: type 0, length 8. */
        static const uint8_t own[] = {CEL_SEQUENCE, 0, 0, 0, 8};
        struct comparison c = {.p = p};

        if (size >= sizeof(own) && memcmp(log, own, sizeof(own)) == 0)
                return compare_own(&c, log, size, e);
        return compare_firmware(&c, log, size, e);
}
