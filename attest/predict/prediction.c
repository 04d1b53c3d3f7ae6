/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/prediction.h"

#include <errno.h>
#include <stdio.h>

#include "attest/firmware-log.h"
#include "attest/pcr.h"
#include "base/cleanup.h"
#include "base/hex.h"
#include "trust/trust.h"

static struct predicted_event *append(struct prediction *p, unsigned pcr, uint32_t type, const char *source,
                                      struct error *e)
{
        struct predicted_event *ev;

        if (p->n == PREDICTION_EVENTS_MAX) {
                (void)error_set(e, -E2BIG, "prediction: at most %u events expected", PREDICTION_EVENTS_MAX);
                return NULL;
        }
        ev = &p->events[p->n++];
        *ev = (struct predicted_event){.pcr = pcr, .type = type};
        (void)snprintf(ev->source, sizeof(ev->source), "%s", source);
        return ev;
}

int prediction_add(struct prediction *p, unsigned pcr, uint32_t type, const uint8_t digest[static 32],
                   const char *source, struct error *e)
{
        struct predicted_event *ev = append(p, pcr, type, source, e);

        if (!ev)
                return -E2BIG;
        memcpy(ev->digest, digest, sizeof(ev->digest));
        return 0;
}

int prediction_add_data(struct prediction *p, unsigned pcr, uint32_t type, const void *data, size_t size,
                        const char *source, struct error *e)
{
        uint8_t digest[32];

        if (trust_sha256(data, size, digest) < 0)
                return error_set(e, -EIO, "prediction: SHA-256 failed");
        return prediction_add(p, pcr, type, digest, source, e);
}

int prediction_add_separator(struct prediction *p, unsigned pcr, struct error *e)
{
        static const uint8_t zeros[4];

        return prediction_add_data(p, pcr, EV_SEPARATOR, zeros, sizeof(zeros), "separator", e);
}

int prediction_add_open(struct prediction *p, unsigned pcr, uint32_t type, const char *source,
                        struct error *e)
{
        struct predicted_event *ev = append(p, pcr, type, source, e);

        if (!ev)
                return -E2BIG;
        ev->open = true;
        return 0;
}

int prediction_value(const struct prediction *p, unsigned pcr, enum prediction_moment moment,
                     uint8_t ret[static 32], struct error *e)
{
        struct pcr_bank bank;

        if (pcr >= PREDICTION_PCRS || !(p->pcrs & 1u << pcr))
                return error_set(e, -ENODATA, "PCR %u: a predicted value expected, found none", pcr);
        if (pcr_bank_start(&bank, PCR_SHA256) < 0)
                return error_set(e, -EIO, "PCR %u: no SHA-256", pcr);
        for (size_t i = 0; i < p->n; i++) {
                const struct predicted_event *ev = &p->events[i];

                if (ev->pcr != pcr || (ev->after_volume && moment == PREDICTION_VOLUME))
                        continue;
                if (ev->open)
                        return error_set(e, -ENODATA, "PCR %u: %s depends on the machine: a profile expected",
                                         pcr, ev->source);
                if (pcr_bank_extend(&bank, pcr, ev->digest) < 0)
                        return error_set(e, -EIO, "PCR %u: SHA-256 failed", pcr);
        }
        memcpy(ret, bank.value[pcr], 32);
        return 0;
}

static int event_to_json(const struct predicted_event *ev, sd_json_variant **ret)
{
        const char *type = ev->type == PREDICTION_OWN_EVENT ? "osguard" : firmware_event_type_name(ev->type);
        char hex[65];

        hex_encode(ev->digest, 32, hex);
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("pcr", ev->pcr),
                              SD_JSON_BUILD_PAIR_STRING("type", type ?: "unknown"),
                              SD_JSON_BUILD_PAIR_CONDITION(!ev->open, "digest", SD_JSON_BUILD_STRING(hex)),
                              SD_JSON_BUILD_PAIR_STRING("source", ev->source));
}

static int values_to_json(const struct prediction *p, sd_json_variant **ret)
{
        int r = 0;

        for (unsigned pcr = 0; r >= 0 && pcr < PREDICTION_PCRS; pcr++) {
                uint8_t value[32];
                char name[8], hex[65];

                if (prediction_value(p, pcr, PREDICTION_READY, value, NULL) < 0)
                        continue;
                (void)snprintf(name, sizeof(name), "%u", pcr);
                hex_encode(value, sizeof(value), hex);
                r = sd_json_variant_set_field_string(ret, name, hex);
        }
        return r;
}

int prediction_to_json(const struct prediction *p, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *values = NULL, *events = NULL;
        int r = values_to_json(p, &values);

        for (size_t i = 0; r >= 0 && i < p->n; i++) {
                _cleanup_json_ sd_json_variant *ev = NULL;

                r = event_to_json(&p->events[i], &ev);
                if (r >= 0)
                        r = sd_json_variant_append_array(&events, ev);
        }
        return r < 0 ? r
                     : sd_json_buildo(ret, SD_JSON_BUILD_PAIR_VARIANT("pcrs", values),
                                      SD_JSON_BUILD_PAIR_VARIANT("events", events));
}
