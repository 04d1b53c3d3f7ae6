/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nothing older than what this machine ran before boots again: the host policy is chosen, the TPM's state is
 * read, and the versions are held against the floors of the record in force. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "osguard/osguard.h"
#include "osguard/rollback-tpm.h"

#define BUILD_CERTIFICATE "build.pem"
#define CERTIFICATE_MAX (64u * 1024)

int build_authority_read(const char *directory, struct tpm_public *ret, struct error *e)
{
        _cleanup_free_ char *path = NULL, *pem = NULL;
        int r;

        if (asprintf(&path, "%s/" BUILD_CERTIFICATE, directory) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = read_file(AT_FDCWD, path, CERTIFICATE_MAX, &pem, NULL, e);
        if (r < 0)
                return r;
        r = tpm_public_from_pem(pem, ret, e);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}

static int decide(struct boot *b, struct error *e)
{
        struct error why = {};
        int r = rollback_decide(&b->rollback, &b->decision, &why);

        return r < 0 ? boot_recover(b, r, &why, e) : 0;
}

static int check_versions(struct boot *b, struct error *e)
{
        const uint16_t *host = b->host.reference.version;
        int r;

        r = rollback_check_floors(&b->decision.record, b->image.security_version, host, e);
        if (r >= 0)
                b->next = rollback_next(&b->decision.record, b->image.security_version, host);
        return r;
}

static int log_counter(struct boot *b, struct error *e)
{
        char text[24];
        int n = snprintf(text, sizeof(text), "%" PRIu64, b->rollback.counter);

        return event_log_append(b->machine_log, "counter", text, (size_t)n, e);
}

static int log_record(struct boot *b, struct error *e)
{
        static const char *const sources[] = {[ROLLBACK_FIRST_BOOT] = "first-boot",
                                              [ROLLBACK_RECORD] = "record",
                                              [ROLLBACK_TOKEN] = "token"};
        const struct record *record = &b->decision.record;
        char text[160], volume[2 * TPM_NAME_SIZE + 1] = "none";
        int n;

        if (record->has_volume)
                hex_encode(record->volume, TPM_NAME_SIZE, volume);
        n = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %u.%u.%u %s %s", record->generation,
                     record->image_floor, record->host_floor[0], record->host_floor[1], record->host_floor[2],
                     volume, sources[b->decision.source]);
        return event_log_append(b->machine_log, "record", text, (size_t)n, e);
}

int boot_take_record(struct boot *b, struct error *e)
{
        int r = log_record(b, e);

        return r < 0 ? r : check_versions(b, e);
}

int boot_read_rollback(struct boot *b, struct error *e)
{
        int r;

        r = rollback_read(b->tpm, &b->authority, &b->rollback, e);
        if (r >= 0 && b->rollback.counter_state == INDEX_FOREIGN)
                r = boot_recover_counter(b, e);
        if (r >= 0)
                r = rollback_start_counter(b->tpm, &b->rollback, e);
        if (r >= 0)
                r = log_counter(b, e);
        if (r >= 0)
                r = decide(b, e);
        return r < 0 ? r : boot_take_record(b, e);
}

int step_versions(struct boot *b, struct error *e)
{
        int r;

        r = host_policy_choose(b->trust, &b->image, OSGUARD_SYSROOT OSGUARD_IPE_HOST, &b->esp, &b->host, e);
        if (r >= 0)
                r = build_authority_read(OSGUARD_TRUST, &b->authority, e);
        return r < 0 ? r : boot_read_rollback(b, e);
}
