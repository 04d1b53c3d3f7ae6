/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a boot will extend into the PCRs, reckoned from the files that it boots from. SHA-256 bank.
 *
 * Each predict_…() adds the events of the PCRs that its input determines, in the order in which they are
 * extended. An event may be left open: its place is known, its digest depends on the machine. A PCR with an
 * open event has no value until a machine profile closes it. README.md says what is behind each event. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/predict/firmware-volume.h"
#include "attest/predict/image-json.h"
#include "attest/predict/uki.h"
#include "attest/slice.h"
#include "base/error.h"
#include "base/json.h"

#define PREDICTION_PCRS 16u
#define PREDICTION_EVENTS_MAX 256u

/* The type of events in osguard's own log; the firmware's types are those of firmware-log.h. */
#define PREDICTION_OWN_EVENT 0u

struct predicted_event {
        unsigned pcr;
        uint32_t type;
        bool open;         /* no digest yet */
        bool after_volume; /* PCR 14: extended after the data volume was opened */
        uint8_t digest[32];
        char source[80]; /* where it comes from, for people */
};

struct prediction {
        struct predicted_event events[PREDICTION_EVENTS_MAX];
        size_t n;
        uint32_t pcrs; /* bit n: all events of PCR n are there */
};

/* Adds one event. data: what is hashed. -E2BIG: too many. */
int prediction_add(struct prediction *p, unsigned pcr, uint32_t type, const uint8_t digest[static 32],
                   const char *source, struct error *e);
int prediction_add_data(struct prediction *p, unsigned pcr, uint32_t type, const void *data, size_t size,
                        const char *source, struct error *e);
int prediction_add_separator(struct prediction *p, unsigned pcr, struct error *e);
int prediction_add_open(struct prediction *p, unsigned pcr, uint32_t type, const char *source,
                        struct error *e);

/* PCR 0; PCRs 2 and 3 of a machine without option ROMs. The volume that runs in place stays open. */
int predict_firmware(struct prediction *p, const struct firmware *f, struct error *e);

/* PCR 7, from the variable store of a machine that is off. -EKEYREJECTED: Secure Boot is off, or this
 * firmware would not start the UKI. */
int predict_secure_boot(struct prediction *p, struct slice variables, const struct uki *uki, struct error *e);

/* PCRs 4, 9, 11 and 12: Secure Boot is on, the first boot option starts the UKI, and nothing lies beside it
 * on the ESP. */
int predict_uki(struct prediction *p, const struct uki *uki, struct error *e);

/* PCR 5, from the first GPT_HEAD_SIZE bytes of the disk. */
int predict_disk(struct prediction *p, struct slice head, struct error *e);

/* PCR 14. host: instead of the image's IPE host policy, or NULL. payload: root hash of the payload disk in
 * hex, or NULL if there is none; -EINVAL for the variant prod, which opens none. */
int predict_osguard(struct prediction *p, const struct image_json *image, const struct image_policy *host,
                    const char *payload, struct error *e);

/* Which moment of the boot a value is for. */
enum prediction_moment {
        PREDICTION_VOLUME, /* osguard opens the data volume */
        PREDICTION_READY,  /* osguard is done */
};

/* The value of a PCR. -ENODATA if it is not predicted, or an event is open. */
int prediction_value(const struct prediction *p, unsigned pcr, enum prediction_moment moment,
                     uint8_t ret[static 32], struct error *e);

/* Compares with a real log, the firmware's or osguard's: for each PCR that both have, the same events in the
 * same order. Open events match any of their type. -EBADMSG names the first that differs. */
int prediction_compare(const struct prediction *p, const void *log, size_t size, struct error *e);

/* {"pcrs": {"4": HEX, …}, "events": [{"pcr", "type", "digest", "source"}, …]}; open events have no digest. */
int prediction_to_json(const struct prediction *p, sd_json_variant **ret);
