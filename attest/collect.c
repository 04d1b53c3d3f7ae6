/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "collect.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "attest/firmware-log.h"
#include "attest/ima-log.h"
#include "attest/own-log.h"
#include "base/file.h"
#include "tpm/attestation.h"
#include "tpm/event-log.h"
#include "tpm/nv.h"
#include "trust/trust.h"

#define QUOTED_PCRS 0xffffu
#define OWN_LOG_MAX ((size_t)4 * 1024 * 1024)

const struct collect_files collect_this_machine = {
        .firmware_log = "/sys/kernel/security/tpm0/binary_bios_measurements",
        .ima_log = "/sys/kernel/security/ima/binary_runtime_measurements",
        .own_logs = {"/run/holdfast/osguard.cel", "/run/holdfast/machine.cel", "/run/holdfast/groupd.cel"},
        .manifest = "/run/holdfast/manifest.p7m",
};

static int copy_part(const void *bytes, size_t size, struct evidence_part *ret)
{
        ret->bytes = malloc(size ?: 1);
        if (!ret->bytes)
                return -ENOMEM;
        memcpy(ret->bytes, bytes, size);
        ret->size = size;
        return 0;
}

static int read_part(const char *path, size_t max, struct evidence_part *ret, struct error *e)
{
        char *bytes = NULL;
        int r = read_file(AT_FDCWD, path, max, &bytes, &ret->size, e);

        if (r >= 0)
                ret->bytes = (uint8_t *)bytes;
        return r;
}

static int read_optional(const char *path, size_t max, struct evidence_part *ret, struct error *e)
{
        int r = path ? file_exists(AT_FDCWD, path) : 0;

        if (r < 0)
                return error_errno(e, r, "%s", path);
        return r == 0 ? 0 : read_part(path, max, ret, e);
}

static int take_statement(const struct tpm_statement *s, struct evidence_part *attest,
                          struct evidence_part *signature)
{
        int r = copy_part(s->attest, s->attest_size, attest);

        return r < 0 ? r : copy_part(s->signature, s->signature_size, signature);
}

static int collect_quote(struct tpm *tpm, const void *nonce, size_t nonce_size, struct evidence *ev,
                         struct error *e)
{
        struct tpm_public ak;
        struct tpm_quote q;
        int r;

        if ((r = tpm_ak_read(tpm, &ak, e)) < 0 ||
            (r = tpm_quote(tpm, nonce, nonce_size, QUOTED_PCRS, &q, e)) < 0 ||
            (r = pcr_bank_start(&ev->values, PCR_SHA256)) < 0)
                return r;
        for (unsigned i = 0; i < PCR_COUNT; i++)
                memcpy(ev->values.value[i], q.values[i], sizeof(q.values[i]));
        ev->values.extended = q.pcrs;
        r = take_statement(&q.statement, &ev->quote, &ev->quote_signature);
        return r < 0 ? r : copy_part(ak.bytes, ak.size, &ev->key);
}

static int collect_identity(struct tpm *tpm, const void *nonce, size_t nonce_size, struct evidence *ev,
                            struct error *e)
{
        struct tpm_statement counter;
        struct error none = {};
        struct tpm_ek ek = {};
        int r;

        r = tpm_certify_counter(tpm, TPM_NV_COUNTER, nonce, nonce_size, &counter, &none);
        if (r >= 0)
                r = take_statement(&counter, &ev->counter, &ev->counter_signature);
        else if (r != -ENOENT) /* a machine that never counted has none */
                return error_set(e, r, "%s", none.message);
        if (r >= 0 || r == -ENOENT)
                r = tpm_ek_read(tpm, &ek, e);
        if (r >= 0 && ek.certificate)
                r = copy_part(ek.certificate, ek.certificate_size, &ev->ek_certificate);
        tpm_ek_done(&ek);
        return r;
}

/* Cuts the IMA log where its replay gives the quoted value. */
static int cut_ima_log(struct evidence *ev, struct error *e)
{
        struct evidence_part *log = &ev->ima_log;
        struct pcr_bank bank;
        size_t offset = 0;
        uint32_t n = 0;
        int r = pcr_bank_start(&bank, PCR_SHA256);

        while (r >= 0) {
                struct ima_entry entry = {};
                size_t before = offset;

                if (memcmp(bank.value[10], ev->values.value[10], bank.size) == 0) {
                        log->size = before;
                        return 0;
                }
                r = ima_log_next(log->bytes, log->size, &offset, n++, &entry, e);
                if (r == 0)
                        return error_set(e, -EAGAIN,
                                         "IMA log: its replay does not reach the quoted value of PCR 10");
                if (r > 0)
                        r = ima_log_replay(log->bytes + before, offset - before, &bank, e);
        }
        return r;
}

/* The same for one of our logs, whose records say which PCR it is of. Nothing is left of a log whose first
 * record is not written or not extended yet. */
static int cut_own_log(const struct evidence *ev, struct evidence_part *log, struct error *e)
{
        struct pcr_bank bank;
        unsigned pcr = PCR_COUNT;
        size_t offset = 0;
        int r = pcr_bank_start(&bank, PCR_SHA256);

        while (r >= 0) {
                struct event_record record = {};
                size_t before = offset;
                int next = event_log_next(log->bytes, log->size, &offset, &record, e);

                if (next > 0 && record.pcr < PCR_COUNT)
                        pcr = record.pcr;
                if (pcr == PCR_COUNT ? next == 0 || next == -ENODATA
                                     : memcmp(bank.value[pcr], ev->values.value[pcr], bank.size) == 0) {
                        log->size = before;
                        return 0;
                }
                if (next == 0)
                        return error_set(e, -EAGAIN, "event log: its replay does not reach the quoted value");
                r = next < 0 ? next : own_log_replay(log->bytes + before, offset - before, &bank, e);
        }
        return r;
}

static int collect_own_logs(const struct collect_files *files, struct evidence *ev, struct error *e)
{
        for (size_t i = 0; i < EVIDENCE_LOGS_MAX; i++) {
                struct evidence_part *log = &ev->logs[ev->n_logs];
                int r = read_optional(files->own_logs[i], OWN_LOG_MAX, log, e);

                if (r < 0)
                        return r;
                if (!log->bytes)
                        continue;
                ev->n_logs++;
                r = cut_own_log(ev, log, e);
                if (r < 0)
                        return error_prefix(e, r, "%s", files->own_logs[i]);
                if (log->size == 0) {
                        free(log->bytes);
                        *log = (struct evidence_part){};
                        ev->n_logs--;
                }
        }
        return 0;
}

int evidence_collect(struct tpm *tpm, const struct collect_files *files, const void *nonce, size_t nonce_size,
                     struct evidence *ret, struct error *e)
{
        _cleanup_evidence_ struct evidence ev = {.kind = EVIDENCE_HOLDFAST};
        int r;

        if ((r = collect_quote(tpm, nonce, nonce_size, &ev, e)) < 0 ||
            (r = collect_identity(tpm, nonce, nonce_size, &ev, e)) < 0 ||
            (r = read_part(files->firmware_log, FIRMWARE_LOG_MAX, &ev.firmware_log, e)) < 0 ||
            (r = read_part(files->ima_log, IMA_LOG_MAX, &ev.ima_log, e)) < 0 ||
            (r = cut_ima_log(&ev, e)) < 0 || (r = collect_own_logs(files, &ev, e)) < 0 ||
            (r = read_optional(files->manifest, TRUST_ATTACHED_MAX, &ev.manifest, e)) < 0)
                return r;
        *ret = ev;
        ev = (struct evidence){};
        return 0;
}
