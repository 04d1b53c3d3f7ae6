/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the TPM holds this machine to, against what runs. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "ipe-policy/ipe-policy.h"
#include "osguard/rollback-tpm.h"
#include "osguard/status.h"

/* The text of the last event of this name, or NULL. The caller frees it. */
static char *last_event(const uint8_t *log, size_t size, const char *name)
{
        struct event_record record;
        size_t offset = 0;
        char *text = NULL;

        while (event_log_next(log, size, &offset, &record, NULL) > 0)
                if (strcmp(record.name, name) == 0) {
                        free(text);
                        text = strndup((const char *)record.data, record.data_size);
                }
        return text;
}

/* Blessing may have stepped it since. */
static void add_counter(struct report *p, const struct rollback *found, const char *logged)
{
        uint64_t at_boot = logged ? strtoull(logged, NULL, 10) : 0;
        char expected[64], text[32];

        (void)snprintf(expected, sizeof(expected), "%" PRIu64 " or %" PRIu64 ", as read at boot or blessed",
                       at_boot, at_boot + 1);
        (void)snprintf(text, sizeof(text), "%" PRIu64, found->counter);
        report_add(p, "Generation (TPM counter)", expected, text,
                   found->counter_state == INDEX_READY &&
                           (found->counter == at_boot || found->counter == at_boot + 1));
}

static void add_image_floor(struct report *p, const struct record *record)
{
        char expected[40], found[24];

        (void)snprintf(expected, sizeof(expected), "%" PRIu64 " or higher", record->image_floor);
        (void)snprintf(found, sizeof(found), "%" PRIu64, p->image.security_version);
        report_add(p, "Security version of the image", expected, found,
                   p->image.security_version >= record->image_floor);
}

/* The last `ipe-policy` event is that of the host policy: "DIGEST NAME N.N.N". */
static void add_host_floor(struct report *p, const struct record *record, const char *event)
{
        const char *space = event ? strrchr(event, ' ') : NULL;
        char expected[40], found[64] = "not measured", own[65];
        uint16_t version[3] = {};
        bool ok = space && ipe_policy_parse_version(space + 1, version) >= 0;

        hex_encode(p->image.ipe_host.sha256, 32, own);
        (void)snprintf(expected, sizeof(expected), "%u.%u.%u or higher", record->host_floor[0],
                       record->host_floor[1], record->host_floor[2]);
        if (ok)
                (void)snprintf(found, sizeof(found), "%u.%u.%u, from the %s", version[0], version[1],
                               version[2], strncmp(event, own, 64) == 0 ? "image" : "ESP");
        report_add(p, "Version of the IPE host policy", expected, found,
                   ok && ipe_policy_compare_versions(version, record->host_floor) >= 0);
}

static void add_volume(struct report *p, const struct record *record, const char *event)
{
        char name[2 * TPM_NAME_SIZE + 1] = "tmpfs";

        if (record->has_volume)
                hex_encode(record->volume, TPM_NAME_SIZE, name);
        report_add(p, "Data volume (Name of its key)", name, event ?: "not measured",
                   event && strncmp(event, name, strlen(name)) == 0);
}

void report_state(struct report *p, const struct rollback *found, const uint8_t *log, size_t size,
                  const uint8_t *machine_log, size_t machine_size)
{
        _cleanup_free_ char *counter = last_event(machine_log, machine_size, "counter");
        _cleanup_free_ char *volume = last_event(machine_log, machine_size, "volume");
        _cleanup_free_ char *policy = last_event(log, size, "ipe-policy");
        struct rollback_decision decision;
        const struct record *candidate = rollback_candidate(found);
        struct error e = {};
        char text[64];

        add_counter(p, found, counter);
        if (rollback_decide(found, &decision, &e) < 0) {
                report_add(p, "Rollback record (TPM)", "of the counter's generation", e.message, false);
                return;
        }
        (void)snprintf(text, sizeof(text), "generation %" PRIu64 "%s", decision.record.generation,
                       candidate ? ", the next one waits for the blessing" : "");
        report_add(p, "Rollback record (TPM)", "of the counter's generation", text, true);
        add_image_floor(p, &decision.record);
        add_host_floor(p, &decision.record, policy);
        add_volume(p, candidate ?: &decision.record, volume);
}

void report_rollback(struct report *p, const uint8_t *log, size_t size)
{
        _cleanup_free_ char *machine_log = NULL;
        struct tpm_public authority;
        struct rollback found;
        struct error e = {};
        size_t machine_size = 0;
        int r;

        r = read_file(AT_FDCWD, OSGUARD_MACHINE_LOG, STATUS_LOG_MAX, &machine_log, &machine_size, &e);
        if (r >= 0) {
                report_replay(p, "Measured by osguard (PCR 15)", OSGUARD_MACHINE_PCR, (uint8_t *)machine_log,
                              machine_size);
                r = build_authority_read(OSGUARD_TRUST, &authority, &e);
        }
        if (r >= 0)
                r = p->tpm ? rollback_read(p->tpm, &authority, &found, &e) : error_set(&e, -ENODEV, "no TPM");
        if (r < 0) {
                report_add(p, "Rollback record (TPM)", "readable", e.message, false);
                return;
        }
        report_state(p, &found, log, size, (uint8_t *)machine_log, machine_size);
}
