/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs of real machines replay to the values that an independent program computed; what breaks the grammar is
 * named.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attest/firmware-log.h"
#include "base/hex.h"
#include "base/json.h"
#include "mutate.h"
#include "vectors.h"

static void compare_bank(const char *name, const uint8_t *log, size_t size, const char *algorithm,
                         sd_json_variant *values)
{
        struct error e = {};
        struct pcr_bank bank;
        const char *pcr;
        sd_json_variant *value;

        cr_assert_eq(firmware_log_replay(log, size, pcr_algorithm_from_name(algorithm), &bank, &e), 0,
                     "%s: %s", name, e.message);
        OBJECT_FOREACH(pcr, value, values)
        {
                char hex[2 * PCR_DIGEST_MAX + 1];

                hex_encode(bank.value[atoi(pcr)], bank.size, hex);
                cr_expect_str_eq(hex, sd_json_variant_string(value), "%s: %s PCR %s", name, algorithm, pcr);
        }
}

/* Files that hold no firmware log are expected to be refused. */
static void compare_file(const char *name, sd_json_variant *expected)
{
        char path[256];
        size_t size;
        _cleanup_free_ uint8_t *log = NULL;
        const char *algorithm;
        sd_json_variant *values;
        struct firmware_log l;

        (void)snprintf(path, sizeof(path), "eventlog/%s", name);
        log = vector_decode(path, &size);
        if (sd_json_variant_by_key(expected, "error")) {
                cr_expect_eq(firmware_log_open(log, size, &l, NULL), -EBADMSG, "%s", name);
                return;
        }
        OBJECT_FOREACH(algorithm, values, sd_json_variant_by_key(expected, "pcrs"))
        if (sd_json_variant_elements(values) > 0)
                compare_bank(name, log, size, algorithm, values);
}

Test(firmware_log, replay_equals_independent_values)
{
        _cleanup_json_ sd_json_variant *all = vector_json("eventlog/expected_pcrs.json");
        sd_json_variant *expected;
        const char *name;

        OBJECT_FOREACH(name, expected, all)
        compare_file(name, expected);
}

Test(firmware_log, replay_equals_real_machines)
{
        _cleanup_json_ sd_json_variant *all = vector_json("eventlog/real-pcrs-from-go-tests.json");
        sd_json_variant *banks, *values;
        const char *name, *algorithm;

        OBJECT_FOREACH(name, banks, all)
        {
                char path[256];
                size_t size;
                _cleanup_free_ uint8_t *log = NULL;

                (void)snprintf(path, sizeof(path), "eventlog/%s", name);
                log = vector_decode(path, &size);
                OBJECT_FOREACH(algorithm, values, banks)
                compare_bank(name, log, size, algorithm, values);
        }
}

/* Which of the vectors' logs keep to the grammar, and what the others break. */
static const struct {
        const char *name;
        uint16_t bank;
        bool secure_boot;
        size_t applications, authorities;
        const char *broken; /* part of the message; NULL: it is accepted */
} judged[] = {
        {"tpm/arch-linux-workstation.bin", PCR_SHA256, false, 2, 0, NULL},
        {"tpm/cos-101-amd-sev.bin", PCR_SHA256, true, 4, 3, NULL},
        {"tpm/eventlogwithsp800155.bin", PCR_SHA256, true, 3, 4, NULL},
        {"tpm/ubuntu-1804-amd-sev.bin", PCR_SHA256, false, 2, 0, NULL},
        {"tpm/ubuntu-2104-no-dbx.bin", PCR_SHA256, false, 2, 1, NULL},
        {"tpm2-tools/event-bootorder.bin", PCR_SHA256, false, 2, 0, NULL},
        {"tpm2-tools/event-moklisttrusted.bin", PCR_SHA256, true, 4, 4, NULL},
        {"tpm2-tools/event-sd-boot-fedora37.bin", PCR_SHA256, false, 0, 0, NULL},
        {"tpm2-tools/event-uefi-sha1-log.bin", PCR_SHA1, false, 2, 0, NULL},
        {"legacy/coreos_36_shielded_vm_no_secure_boot_eventlog", PCR_SHA256, false, 2, 2, NULL},
        {"legacy/crypto_agile_eventlog", PCR_SHA256, false, 2, 0, NULL},
        {"legacy/ebs_event_missing_eventlog", PCR_SHA1, false, 1, 0, NULL},
        {"legacy/option_rom_eventlog", PCR_SHA1, true, 1, 2, NULL},
        {"keylime/binary_bios_measurements", PCR_SHA256, false, 3, 1, NULL},
        {"keylime/binary_bios_measurements-secureboot", PCR_SHA256, true, 3, 3, NULL},
        {"keylime/mb_log.b64", PCR_SHA256, true, 4, 2, NULL},
        /* Shim before 15.3 logs another length than it hashes. */
        {"tpm/cos-85-amd-sev.bin", PCR_SHA256, false, 0, 0, "its digest is not that of its data"},
        {"tpm/debian-10.bin", PCR_SHA1, false, 0, 0, "its digest is not that of its data"},
        {"legacy/sb_cert_eventlog", PCR_SHA256, false, 0, 0, "its digest is not that of its data"},
        /* Firmware that measures four zero bytes as its own code. */
        {"tpm/glinux-alex.bin", PCR_SHA256, false, 0, 0, "a separator's digest under another type"},
        /* A log of one event. */
        {"tpm2-tools/event.bin", PCR_SHA256, false, 0, 0, "a separator expected"},
        {"tpm2-tools/event-uefiservices.bin", PCR_SHA256, false, 0, 0, "a separator expected"},
        {"tpm2-tools/event-uefiaction.bin", PCR_SHA384, false, 0, 0,
         "a digest for the bank asked for expected"},
        {"tpm2-tools/specid-vendordata.bin", PCR_SHA256, false, 0, 0, "another size than its fields"},
        {"legacy/short_no_action_eventlog", PCR_SHA1, false, 0, 0, "a separator expected"},
        /* A log of a confidential virtual machine counts registers, not PCRs. */
        {"ccel/cos-113-intel-tdx-dupe-separator.bin", PCR_SHA384, false, 0, 0, "belongs to PCR 0"},
        {"ccel/event_log.bin", PCR_SHA384, false, 0, 0, "belongs to PCR 0"},
};

Test(firmware_log, grammar_of_real_logs)
{
        for (size_t i = 0; i < ELEMENTSOF(judged); i++) {
                struct firmware_claims claims = {};
                struct error e = {};
                char path[256];
                size_t size;
                _cleanup_free_ uint8_t *log = NULL;
                int r;

                (void)snprintf(path, sizeof(path), "eventlog/%s", judged[i].name);
                log = vector_decode(path, &size);
                r = firmware_log_check(log, size, judged[i].bank, &claims, &e);
                if (judged[i].broken) {
                        cr_expect_eq(r, -EBADMSG, "%s", judged[i].name);
                        cr_expect(strstr(e.message, judged[i].broken), "%s: %s", judged[i].name, e.message);
                        continue;
                }
                cr_expect_eq(r, 0, "%s: %s", judged[i].name, e.message);
                cr_expect_eq(claims.secure_boot, judged[i].secure_boot, "%s", judged[i].name);
                cr_expect_eq(claims.n_applications, judged[i].applications, "%s", judged[i].name);
                cr_expect_eq(claims.n_authorities, judged[i].authorities, "%s", judged[i].name);
        }
}

/* Bytes of the attacks on other verifiers' parsers, which begin at different places of a log. */
static int open_spec_id(const char *name, struct firmware_log *ret)
{
        uint8_t log[256] = {[4] = EV_NO_ACTION};
        size_t size;
        _cleanup_free_ uint8_t *data = vector_read(name, &size);

        cr_assert_lt(size, 200);
        log[28] = (uint8_t)size;
        memcpy(log + 32, data, size);
        return firmware_log_open(log, 32 + size, ret, NULL);
}

Test(firmware_log, malformed)
{
        struct firmware_event ev;
        struct firmware_log l;
        size_t size;
        _cleanup_free_ uint8_t *large =
                vector_read("eventlog/malformed-inline/event_size_too_large.bin", &size);
        _cleanup_free_ uint8_t *empty = NULL;

        cr_expect_eq(firmware_log_open(large, size, &l, NULL), -EBADMSG);
        empty = vector_read("eventlog/malformed-inline/event_size_zero_valid_tcg1.bin", &size);
        cr_assert_eq(firmware_log_open(empty, size, &l, NULL), 0);
        cr_assert_eq(firmware_log_next(&l, &ev, NULL), 1);
        cr_expect_eq(ev.pcr, 4);
        cr_expect_eq(ev.data_size, 0);
        cr_expect_eq(firmware_log_next(&l, &ev, NULL), 0);
        cr_expect_eq(open_spec_id("eventlog/malformed-inline/specid_malicious_number_of_algs.bin", &l),
                     -EBADMSG);
        cr_expect_eq(open_spec_id("eventlog/malformed-inline/specid_invalid_version.bin", &l), -EBADMSG);
        cr_expect_eq(open_spec_id("eventlog/malformed-inline/specid_sha1.bin", &l), 0);
        cr_expect_eq(l.n_banks, 1);
        cr_expect_eq(open_spec_id("eventlog/malformed-inline/specid_sha1_and_sha256.bin", &l), 0);
        cr_expect_eq(l.n_banks, 2);
}

static bool same_variable(const struct firmware_variable *a, const struct firmware_variable *b)
{
        return a->size == b->size && (a->size == 0 || memcmp(a->value, b->value, a->size) == 0);
}

static bool same_claims(const struct firmware_claims *a, const struct firmware_claims *b)
{
        bool same = a->secure_boot == b->secure_boot && a->boot_services_exited == b->boot_services_exited &&
                    same_variable(&a->pk, &b->pk) && same_variable(&a->kek, &b->kek) &&
                    same_variable(&a->db, &b->db) && same_variable(&a->dbx, &b->dbx) &&
                    a->n_applications == b->n_applications && a->n_authorities == b->n_authorities;

        for (size_t i = 0; same && i < a->n_authorities; i++)
                same = same_variable(&a->authorities[i].variable, &b->authorities[i].variable);
        for (size_t i = 0; same && i < a->n_applications; i++)
                same = memcmp(a->applications[i].digest.bytes, b->applications[i].digest.bytes,
                              a->applications[i].digest.size) == 0;
        return same;
}

/* A log that was changed is refused, gives other PCRs, or says the same as before. */
static void mutate_log(const char *name, uint16_t bank, unsigned rounds)
{
        uint64_t state = 0x9e3779b97f4a7c15;
        struct firmware_claims original = {}, claims;
        struct pcr_bank expected, found;
        char path[256];
        size_t size;
        _cleanup_free_ uint8_t *log = NULL, *copy = NULL;

        (void)snprintf(path, sizeof(path), "eventlog/%s", name);
        log = vector_decode(path, &size);
        copy = malloc(size);
        cr_assert(copy);
        cr_assert_eq(firmware_log_check(log, size, bank, &original, NULL), 0);
        cr_assert_eq(firmware_log_replay(log, size, bank, &expected, NULL), 0);
        for (unsigned i = 0; i < rounds; i++) {
                size_t n = i % 8 ? size : random_next(&state) % size;

                memcpy(copy, log, size);
                mutate(copy, n, &state);
                if (firmware_log_replay(copy, n, bank, &found, NULL) < 0 ||
                    memcmp(&expected, &found, sizeof(found)) != 0 ||
                    firmware_log_check(copy, n, bank, &claims, NULL) < 0)
                        continue;
                cr_assert(same_claims(&original, &claims), "%s: mutation %u", name, i);
        }
}

Test(firmware_log, mutations, .timeout = 900)
{
        for (size_t i = 0; i < ELEMENTSOF(judged); i++)
                if (!judged[i].broken)
                        mutate_log(judged[i].name, judged[i].bank, 10000);
}
