/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "evidence-machine.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "attest/firmware-log.h"
#include "attest/ima-log.h"
#include "base/file.h"
#include "base/hex.h"
#include "tpm/attestation.h"
#include "tpm/event-log.h"
#include "tpm/nv.h"

static void extend_digest(struct tpm *tpm, unsigned pcr, const uint8_t digest[32])
{
        struct tpm_digests digests = {.n = 1, .digest = {{.algorithm = PCR_SHA256, .size = 32}}};
        struct error e = {};

        memcpy(digests.digest[0].bytes, digest, 32);
        cr_assert_eq(tpm_pcr_extend(tpm, pcr, &digests, &e), 0, "%s", e.message);
}

static void measure_firmware(struct evidence_machine *m)
{
        struct firmware_event ev = {};
        struct firmware_log l;

        cr_assert_eq(firmware_log_open(m->firmware.bytes, m->firmware.size, &l, NULL), 0);
        while (firmware_log_next(&l, &ev, NULL) > 0)
                if (ev.type != EV_NO_ACTION)
                        extend_digest(m->tpm, ev.pcr, firmware_event_digest(&ev, PCR_SHA256));
}

static void measure_ima(struct evidence_machine *m)
{
        struct ima_entry entry = {};
        size_t offset = 0;

        while (ima_log_next(m->ima.bytes, m->ima.size, &offset, 0, &entry, NULL) > 0) {
                uint8_t digest[PCR_DIGEST_MAX];

                cr_assert_eq(pcr_hash(PCR_SHA256, entry.template_data, entry.template_size, digest), 0);
                extend_digest(m->tpm, entry.pcr, digest);
        }
}

static void write_path(struct evidence_machine *m, unsigned i, const char *name, const void *data,
                       size_t size)
{
        char path[sizeof(m->paths[i])];
        struct error e = {};

        (void)snprintf(path, sizeof(path), "%s/%s", m->swtpm.directory, name);
        memcpy(m->paths[i], path, sizeof(path));
        if (data)
                cr_assert_eq(write_file_atomic(AT_FDCWD, m->paths[i], data, size, 0600, &e), 0, "%s",
                             e.message);
}

static void write_own_logs(struct evidence_machine *m, const char *late)
{
        static const struct {
                unsigned file, pcr;
                const char *name, *data;
        } events[] = {
                {2, 14, "image", MACHINE_IMAGE},
                {2, 14, "ipe-policy", "aabb boot 1.0.0"},
                {2, 14, "root", MACHINE_ROOT_HASH},
                {2, 14, "ipe-policy", "ccdd host 2.0.0"},
                {2, 14, "selinux-policy", MACHINE_ROOT_HASH},
                {2, 14, "cap", "switch-root"},
                {3, 15, "slot", "11111111-2222-3333-4444-555555555555"},
                {3, 15, "counter", "1"},
                {3, 15, "counter", "0"}, /* as somebody may add who became root */
        };
        struct event_log *logs[4] = {};
        struct error e = {};

        for (size_t i = 0; i < ELEMENTSOF(events); i++) {
                struct event_log **log = &logs[events[i].file];

                if (!*log)
                        cr_assert_eq(
                                event_log_create(m->paths[events[i].file], events[i].pcr, m->tpm, log, &e), 0,
                                "%s", e.message);
                cr_assert_eq(
                        event_log_append(*log, events[i].name, events[i].data, strlen(events[i].data), &e), 0,
                        "%s", e.message);
        }
        if (late)
                cr_assert_eq(event_log_append(logs[2], late, "x", 1, &e), 0, "%s", e.message);
        event_log_free(logs[2]);
        event_log_free(logs[3]);
}

static void nothing(struct written_log *l, void *userdata)
{
}

void evidence_machine_start(struct evidence_machine *m, const char *late)
{
        struct error e = {};
        struct tpm_public ak;

        *m = (struct evidence_machine){};
        swtpm_start(&m->swtpm);
        cr_assert_eq(tpm_open(m->swtpm.tcti, &m->tpm, &e), 0, "%s", e.message);
        log_write_boot(&m->firmware, LOG_END, nothing, NULL);
        ima_add_file(&m->ima, "sha256", MACHINE_ROOT_HASH, "boot_aggregate");
        ima_add_verity(&m->ima, "root", MACHINE_ROOT_HASH);
        measure_firmware(m);
        measure_ima(m);
        write_path(m, 0, "firmware", m->firmware.bytes, m->firmware.size);
        write_path(m, 1, "ima", m->ima.bytes, m->ima.size);
        write_path(m, 2, "osguard.cel", NULL, 0);
        write_path(m, 3, "machine.cel", NULL, 0);
        write_own_logs(m, late);
        cr_assert_eq(tpm_nv_define_counter(m->tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_increment(m->tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_ak_read(m->tpm, &ak, &e), 0, "%s", e.message);
        hex_encode(ak.name, sizeof(ak.name), m->key_name);
        m->files = (struct collect_files){.firmware_log = m->paths[0],
                                          .ima_log = m->paths[1],
                                          .own_logs = {m->paths[2], m->paths[3], "/nonexistent/groupd.cel"}};
}

void evidence_machine_done(struct evidence_machine *m)
{
        tpm_free(m->tpm);
        swtpm_done(&m->swtpm);
}

void evidence_machine_collect(struct evidence_machine *m, struct evidence *ret)
{
        struct error e = {};

        cr_assert_eq(evidence_collect(m->tpm, &m->files, MACHINE_NONCE, MACHINE_NONCE_SIZE, ret, &e), 0, "%s",
                     e.message);
}
