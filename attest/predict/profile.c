/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "attest/firmware-log.h"
#include "attest/pcr.h"
#include "base/hex.h"

#define MACHINE_PCRS (1u << 0 | 1u << 1 | 1u << 2 | 1u << 3 | 1u << 6)
/* Option ROMs are the machine's, whatever is predicted without knowing them. */
#define ROM_PCRS (1u << 2 | 1u << 3)

static bool is_machine(uint64_t pcr)
{
        return pcr < PREDICTION_PCRS && (MACHINE_PCRS & 1u << pcr);
}

static int check_name(const char *name, struct error *e)
{
        size_t n = strlen(name);

        for (size_t i = 0; i < n; i++)
                if (name[i] <= 0x20 || name[i] > 0x7e)
                        n = 0;
        if (n < 1 || n > 64)
                return error_set(e, -EINVAL,
                                 "profile: name: 1 to 64 printable characters without blanks expected");
        return 0;
}

/* --- recording --- */

static int append_event(sd_json_variant **events, const struct firmware_event *ev, struct error *e)
{
        const uint8_t *digest = firmware_event_digest(ev, PCR_SHA256);
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        if (!digest)
                return error_set(e, -ENOTSUP, "firmware log: a SHA-256 bank expected, found none");
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("pcr", ev->pcr),
                           SD_JSON_BUILD_PAIR_UNSIGNED("type", ev->type),
                           SD_JSON_BUILD_PAIR("digest", SD_JSON_BUILD_HEX(digest, 32)));
        return r < 0 ? r : sd_json_variant_append_array(events, v);
}

static int collect_events(const void *log, size_t size, sd_json_variant **ret, struct error *e)
{
        struct firmware_event ev = {};
        struct firmware_log l;
        int r;

        r = firmware_log_open(log, size, &l, e);
        if (r < 0)
                return r;
        while ((r = firmware_log_next(&l, &ev, e)) > 0) {
                if (ev.type == EV_NO_ACTION || !is_machine(ev.pcr))
                        continue;
                r = append_event(ret, &ev, e);
                if (r < 0)
                        return r;
        }
        return r;
}

int profile_record(const char *name, const void *log, size_t size, char **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *events = NULL, *v = NULL;
        struct firmware_claims claims;
        int r;

        r = check_name(name, e);
        if (r >= 0)
                r = firmware_log_check(log, size, PCR_SHA256, &claims, e);
        if (r >= 0)
                r = collect_events(log, size, &events, e);
        if (r < 0)
                return r;
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("version", 1),
                           SD_JSON_BUILD_PAIR_STRING("name", name),
                           SD_JSON_BUILD_PAIR_VARIANT("events", events));
        if (r >= 0)
                r = sd_json_variant_format(v, SD_JSON_FORMAT_NEWLINE, ret);
        return r < 0 ? error_errno(e, r, "profile") : 0;
}

/* --- reading --- */

static int parse_event(sd_json_variant *v, const char *name, struct predicted_event *ret, struct error *e)
{
        struct predicted_event ev = {};
        uint64_t pcr = 0, type = 0;
        const char *hex = NULL;
        int r;

        r = json_unsigned(v, "events", "pcr", PREDICTION_PCRS - 1, &pcr, e);
        if (r >= 0 && !is_machine(pcr))
                r = error_set(e, -EINVAL, "events: pcr: 0, 1, 2, 3 or 6 expected, found %u", (unsigned)pcr);
        if (r >= 0)
                r = json_unsigned(v, "events", "type", UINT32_MAX, &type, e);
        if (r >= 0)
                r = json_string(v, "events", "digest", &hex, e);
        if (r >= 0 && hex_decode(hex, ev.digest, sizeof(ev.digest)) < 0)
                r = error_set(e, -EINVAL, "events: digest: 64 hexadecimal digits expected, found \"%.80s\"",
                              hex);
        if (r < 0)
                return r;
        ev.pcr = (unsigned)pcr;
        ev.type = (uint32_t)type;
        (void)snprintf(ev.source, sizeof(ev.source), "profile %s", name);
        *ret = ev;
        return 0;
}

static int parse_events(sd_json_variant *root, struct profile *profile, struct error *e)
{
        sd_json_variant *list = NULL;
        int r;

        r = json_array(root, "profile", "events", &list, e);
        if (r < 0)
                return r;
        if (sd_json_variant_elements(list) > PREDICTION_EVENTS_MAX)
                return error_set(e, -E2BIG, "profile: events: at most %u expected, found %zu",
                                 PREDICTION_EVENTS_MAX, sd_json_variant_elements(list));
        for (; profile->n < sd_json_variant_elements(list); profile->n++) {
                r = parse_event(sd_json_variant_by_index(list, profile->n), profile->name,
                                &profile->events[profile->n], e);
                if (r < 0)
                        return r;
        }
        return 0;
}

int profile_parse(const char *text, size_t size, struct profile *ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *root = NULL;
        _cleanup_free_ char *copy = NULL;
        struct profile profile = {};
        const char *name = NULL;
        uint64_t version = 0;
        int r;

        if (size > PROFILE_MAX || memchr(text, '\0', size))
                return error_set(e, -EINVAL, "profile: text of at most %zu bytes expected", PROFILE_MAX);
        copy = strndup(text, size);
        if (!copy)
                return -ENOMEM;
        r = json_parse("profile", copy, &root, e);
        if (r >= 0)
                r = json_unsigned(root, "profile", "version", UINT32_MAX, &version, e);
        if (r >= 0 && version != 1)
                r = error_set(e, -EINVAL, "profile: version: 1 expected, found %lu", (unsigned long)version);
        if (r >= 0)
                r = json_string(root, "profile", "name", &name, e);
        if (r >= 0)
                r = check_name(name, e);
        if (r < 0)
                return r;
        memcpy(profile.name, name, strlen(name) + 1);
        r = parse_events(root, &profile, e);
        if (r >= 0)
                *ret = profile;
        return r;
}

/* --- applying --- */

static const struct predicted_event *next_of(const struct profile *profile, unsigned pcr, size_t *index)
{
        while (*index < profile->n) {
                const struct predicted_event *ev = &profile->events[(*index)++];

                if (ev->pcr == pcr)
                        return ev;
        }
        return NULL;
}

/* The firmware's own measurements: those that are predicted have to be the ones that were recorded. */
static int close_events(const struct profile *profile, unsigned pcr, struct prediction *p, struct error *e)
{
        size_t index = 0;

        for (size_t i = 0; i < p->n; i++) {
                struct predicted_event *ev = &p->events[i];
                const struct predicted_event *recorded;

                if (ev->pcr != pcr)
                        continue;
                recorded = next_of(profile, pcr, &index);
                if (!recorded || recorded->type != ev->type ||
                    (!ev->open && memcmp(recorded->digest, ev->digest, 32) != 0))
                        return error_set(
                                e, -EBADMSG,
                                "profile %s: PCR %u: %s as this firmware has it expected, found another",
                                profile->name, pcr, ev->source);
                if (ev->open)
                        *ev = *recorded;
        }
        if (next_of(profile, pcr, &index))
                return error_set(e, -EBADMSG,
                                 "profile %s: PCR %u: no more events than this firmware's expected",
                                 profile->name, pcr);
        return 0;
}

static int add_events(const struct profile *profile, unsigned pcr, struct prediction *p, struct error *e)
{
        const struct predicted_event *ev;
        size_t index = 0;
        int r = 0;

        while (r >= 0 && (ev = next_of(profile, pcr, &index)))
                r = prediction_add(p, pcr, ev->type, ev->digest, ev->source, e);
        p->pcrs |= 1u << pcr;
        return r;
}

static void drop_events(struct prediction *p, uint32_t pcrs)
{
        size_t kept = 0;

        for (size_t i = 0; i < p->n; i++)
                if (!(pcrs & 1u << p->events[i].pcr))
                        p->events[kept++] = p->events[i];
        p->n = kept;
        p->pcrs &= ~pcrs;
}

int profile_apply(const struct profile *profile, struct prediction *p, struct error *e)
{
        int r = 0;

        drop_events(p, ROM_PCRS);
        for (unsigned pcr = 0; r >= 0 && pcr < PREDICTION_PCRS; pcr++) {
                if (!is_machine(pcr))
                        continue;
                r = p->pcrs & 1u << pcr ? close_events(profile, pcr, p, e) : add_events(profile, pcr, p, e);
        }
        return r;
}
