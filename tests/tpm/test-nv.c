/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters and records in a real TPM's NV. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/process.h"
#include "fixture.h"
#include "swtpm.h"
#include "tpm/nv.h"

#define RECORD_SIZE 64

static struct swtpm machine;
static struct authority owner;
static struct tpm *tpm;

static void open_tpm(void)
{
        struct error e = {};

        cr_assert_eq(tpm_open(machine.tcti, &tpm, &e), 0, "%s", e.message);
}

static void start(void)
{
        swtpm_start(&machine);
        authority_make(&owner);
        open_tpm();
}

static void stop(void)
{
        tpm_free(tpm);
        authority_done(&owner);
        swtpm_done(&machine);
}

static void reboot(void)
{
        tpm_free(tpm);
        swtpm_restart(&machine);
        open_tpm();
}

static uint64_t read_counter(void)
{
        struct error e = {};
        uint64_t value = 0;

        cr_assert_eq(tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &value, &e), 0, "%s", e.message);
        return value;
}

TestSuite(nv, .init = start, .fini = stop);

Test(nv, counter_steps)
{
        struct error e = {};
        uint64_t value;

        cr_expect_eq(tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &value, NULL), -ENOENT);
        cr_expect_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, NULL), -ENOENT);
        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_expect_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, NULL), -EEXIST);
        cr_expect_eq(tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &value, NULL), -ENODATA);
        for (uint64_t i = 1; i < 4; i++) {
                cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
                cr_expect_eq(read_counter(), i);
        }
        reboot();
        cr_expect_eq(read_counter(), 3);
}

/* What the rollback rule stands on: no counter ever starts where one has been. */
Test(nv, counter_made_again_goes_on)
{
        struct error e = {};

        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        for (int i = 0; i < 3; i++)
                cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_undefine(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_expect_eq(tpm_nv_undefine(tpm, TPM_NV_COUNTER, NULL), -ENOENT);
        reboot();
        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_expect_eq(read_counter(), 4);
}

Test(nv, record_is_written_by_an_approved_boot_alone)
{
        uint8_t written[RECORD_SIZE] = "the record", found[RECORD_SIZE];
        struct tpm_pcr_policy approved;
        struct tpm_authorization a = {&owner.public_area, &approved, 1};
        struct error e = {};

        extend(tpm, 14, "image");
        authority_approve(&owner, tpm, &approved);
        cr_expect_eq(tpm_nv_write_record(tpm, TPM_NV_RECORD, &a, written, RECORD_SIZE, NULL), -ENOENT);
        cr_assert_eq(tpm_nv_define_record(tpm, TPM_NV_RECORD, a.authority, RECORD_SIZE, &e), 0, "%s",
                     e.message);
        cr_expect_eq(tpm_nv_read_record(tpm, TPM_NV_RECORD, a.authority, found, RECORD_SIZE, NULL), -ENODATA);
        cr_assert_eq(tpm_nv_write_record(tpm, TPM_NV_RECORD, &a, written, RECORD_SIZE, &e), 0, "%s",
                     e.message);
        cr_assert_eq(tpm_nv_read_record(tpm, TPM_NV_RECORD, a.authority, found, RECORD_SIZE, &e), 0, "%s",
                     e.message);
        cr_expect_arr_eq(found, written, RECORD_SIZE);

        extend(tpm, 14, "cap");
        written[0] ^= 1;
        cr_expect_eq(tpm_nv_write_record(tpm, TPM_NV_RECORD, &a, written, RECORD_SIZE, &e), -EPERM);
        cr_expect(strstr(e.message, "PCR 14: ") && strstr(e.message, "expected") &&
                          strstr(e.message, "found"),
                  "%s", e.message);
        reboot();
        cr_expect_eq(tpm_nv_write_record(tpm, TPM_NV_RECORD, &a, written, RECORD_SIZE, &e), -EPERM, "zeros");
        cr_assert_eq(tpm_nv_read_record(tpm, TPM_NV_RECORD, a.authority, found, RECORD_SIZE, &e), 0, "%s",
                     e.message);
        written[0] ^= 1;
        cr_expect_arr_eq(found, written, RECORD_SIZE);
}

/* An index that somebody else made, or made otherwise, is never taken for ours. */
Test(nv, foreign)
{
        struct authority stranger;
        uint8_t found[RECORD_SIZE];
        struct error e = {};
        uint64_t value;

        authority_make(&stranger);
        cr_assert_eq(tpm_nv_define_record(tpm, TPM_NV_RECORD, &stranger.public_area, RECORD_SIZE, &e), 0,
                     "%s", e.message);
        cr_expect_eq(tpm_nv_read_record(tpm, TPM_NV_RECORD, &owner.public_area, found, RECORD_SIZE, &e),
                     -EBADMSG);
        cr_expect(strstr(e.message, "another policy"), "%s", e.message);
        cr_expect_eq(
                tpm_nv_read_record(tpm, TPM_NV_RECORD, &stranger.public_area, found, RECORD_SIZE - 1, &e),
                -EBADMSG);
        cr_expect(strstr(e.message, "63 bytes"), "%s", e.message);
        cr_expect_eq(tpm_nv_read_counter(tpm, TPM_NV_RECORD, &value, NULL), -EBADMSG);
        cr_expect_eq(tpm_nv_increment(tpm, TPM_NV_RECORD, NULL), -EBADMSG);
        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_expect_eq(tpm_nv_read_record(tpm, TPM_NV_COUNTER, &owner.public_area, found, 8, NULL), -EBADMSG);
        authority_done(&stranger);
}

/* Fills the NV; what does not fit has its own answer, and what was there still works. */
Test(nv, full)
{
        struct error e = {};
        int r = 0;

        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        for (uint32_t i = 0; r == 0 && i < 1000; i++)
                r = tpm_nv_define_record(tpm, 0x01810000 + i, &owner.public_area, TPM_NV_RECORD_MAX, &e);
        cr_expect_eq(r, -ENOSPC, "%s", e.message);
        cr_expect_eq(tpm_nv_define_record(tpm, TPM_NV_RECORD, &owner.public_area, TPM_NV_RECORD_MAX, NULL),
                     -ENOSPC);
        cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_expect_eq(read_counter(), 1);
        cr_assert_eq(tpm_nv_undefine(tpm, 0x01810000, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_define_record(tpm, TPM_NV_RECORD, &owner.public_area, RECORD_SIZE, &e), 0, "%s",
                     e.message);
}

static void run_tools(const char *script)
{
        char whole[1024];
        char *argv[] = {"sh", "-c", whole, NULL};
        struct error e = {};

        tpm = tpm_free(tpm);
        (void)snprintf(whole, sizeof(whole), "set -e; cd %s; export TPM2TOOLS_TCTI=%s\n%s", machine.directory,
                       machine.tcti, script);
        cr_assert_eq(process_check(argv, &(struct process_options){.timeout_ms = 60 * 1000}, &e), 0, "%s",
                     e.message);
        open_tpm();
}

/* A TPM in lock-out refuses what is subject to dictionary attacks; nothing of ours is. */
Test(nv, lockout)
{
        uint8_t record[RECORD_SIZE] = {1};
        struct tpm_pcr_policy approved;
        struct tpm_authorization a = {&owner.public_area, &approved, 1};
        struct error e = {};

        run_tools("tpm2_dictionarylockout -Q --setup-parameters --max-tries=1 --recovery-time=1000 "
                  "--lockout-recovery-time=1000\n"
                  "tpm2_createprimary -Q -C o -G ecc -c p.ctx -p right; tpm2_flushcontext -t\n"
                  "! tpm2_create -Q -C p.ctx -P wrong -u u -r r; tpm2_flushcontext -t\n"
                  "tpm2_getcap properties-variable | grep -q 'inLockout: *1'");
        authority_approve(&owner, tpm, &approved);
        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_expect_eq(read_counter(), 1);
        cr_assert_eq(tpm_nv_define_record(tpm, TPM_NV_RECORD, a.authority, RECORD_SIZE, &e), 0, "%s",
                     e.message);
        cr_assert_eq(tpm_nv_write_record(tpm, TPM_NV_RECORD, &a, record, RECORD_SIZE, &e), 0, "%s",
                     e.message);
        cr_assert_eq(tpm_nv_read_record(tpm, TPM_NV_RECORD, a.authority, record, RECORD_SIZE, &e), 0, "%s",
                     e.message);
}

/* TPM2_Clear takes the index away and not the count. */
Test(nv, cleared)
{
        struct error e = {};
        uint64_t value;

        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        for (int i = 0; i < 3; i++)
                cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        run_tools("tpm2_clear");
        cr_expect_eq(tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &value, NULL), -ENOENT);
        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_expect_eq(read_counter(), 4);
}

Test(nv, owner_has_a_password)
{
        struct error e = {};

        run_tools("tpm2_changeauth -Q -c owner secret");
        cr_expect_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), -EACCES, "%s", e.message);
}

Test(nv, sizes)
{
        uint8_t found[1];

        cr_expect_eq(tpm_nv_define_record(tpm, TPM_NV_RECORD, &owner.public_area, 0, NULL), -EINVAL);
        cr_expect_eq(
                tpm_nv_define_record(tpm, TPM_NV_RECORD, &owner.public_area, TPM_NV_RECORD_MAX + 1, NULL),
                -EINVAL);
        cr_expect_eq(tpm_nv_read_record(tpm, TPM_NV_RECORD, &owner.public_area, found, 1, NULL), -ENOENT);
}
