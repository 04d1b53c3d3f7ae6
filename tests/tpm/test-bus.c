/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Somebody sits on the bus between processor and TPM: what he hears, and what becomes of what he says. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fault.h"
#include "fixture.h"
#include "tpm/nv.h"
#include "tpm/seal.h"

#define RECORD_SIZE 64

static struct swtpm machine;
static struct fault_proxy *listener;
static struct authority owner;
static struct tpm_pcr_policy approved;
static struct tpm_authorization authorization;
static struct tpm *tpm;

static void open_tpm(void)
{
        struct error e = {};

        tpm = tpm_free(tpm);
        cr_assert_eq(tpm_open(fault_tcti(listener), &tpm, &e), 0, "%s", e.message);
}

static void start(void)
{
        swtpm_start(&machine);
        authority_make(&owner);
        listener = fault_start(&machine);
        open_tpm();
        authority_approve(&owner, tpm, &approved);
        authorization = (struct tpm_authorization){&owner.public_area, &approved, 1};
}

static void stop(void)
{
        tpm_free(tpm);
        fault_stop(listener);
        authority_done(&owner);
        swtpm_done(&machine);
}

TestSuite(bus, .init = start, .fini = stop);

Test(bus, no_secret_is_heard)
{
        static const uint8_t secret[32] = "a key for which somebody listens";
        uint8_t found[32];
        struct tpm_sealed sealed;
        struct error e = {};

        cr_assert_eq(tpm_seal(tpm, &owner.public_area, secret, sizeof(secret), &sealed, &e), 0, "%s",
                     e.message);
        cr_assert_eq(tpm_unseal(tpm, &sealed, &authorization, found, sizeof(found), &e), 0, "%s", e.message);
        cr_expect_arr_eq(found, secret, sizeof(secret));
        for (size_t i = 0; i + 8 <= sizeof(secret); i += 8)
                cr_expect_not(fault_heard(listener, secret + i, 8), "bytes %zu to %zu", i, i + 7);
        cr_expect(fault_heard(listener, "holdfast-volume", 15), "he does hear what is no secret");
}

Test(bus, records_are_not_heard)
{
        static const uint8_t record[RECORD_SIZE] = "a record for which somebody listens";
        uint8_t found[RECORD_SIZE];
        struct error e = {};

        cr_assert_eq(tpm_nv_define_record(tpm, TPM_NV_RECORD, &owner.public_area, RECORD_SIZE, &e), 0, "%s",
                     e.message);
        cr_assert_eq(tpm_nv_write_record(tpm, TPM_NV_RECORD, &authorization, record, RECORD_SIZE, &e), 0,
                     "%s", e.message);
        cr_assert_eq(tpm_nv_read_record(tpm, TPM_NV_RECORD, &owner.public_area, found, RECORD_SIZE, &e), 0,
                     "%s", e.message);
        cr_expect_arr_eq(found, record, RECORD_SIZE);
        cr_expect_not(fault_heard(listener, record, 8));
}

/* Commands of an operation when session and storage root key are there. */
static unsigned count(int (*run)(struct error *e))
{
        struct error e = {};

        cr_assert_eq(run(&e), 0, "%s", e.message);
        fault_set(listener, 0, FAULT_NONE, 0);
        cr_assert_eq(run(&e), 0, "%s", e.message);
        return fault_count(listener);
}

static int read_counter(struct error *e)
{
        uint64_t value;

        return tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &value, e);
}

static int read_pcr(struct error *e)
{
        uint8_t value[32];

        return tpm_pcr_read(tpm, 14, value, e);
}

static int extend_pcr(struct error *e)
{
        struct tpm_digests digests;
        int r = tpm_hash(tpm, "x", 1, &digests, e);

        return r < 0 ? r : tpm_pcr_extend(tpm, 14, &digests, e);
}

/* An answer from earlier on instead of the command's own, from the command `first` on. */
static void expect_no_replay(int (*run)(struct error *e), unsigned first)
{
        unsigned n = count(run);
        struct error e = {};

        cr_assert_geq(n, first);
        for (unsigned k = first; k <= n; k++) {
                (void)count(run);
                fault_set(listener, k, FAULT_RECORD, 0);
                cr_assert_eq(run(&e), 0, "%s", e.message);
                fault_set(listener, k, FAULT_REPLAY, 0);
                cr_expect_eq(run(&e), -EPROTO, "command %u of %u: %s", k, n, e.message);
                open_tpm();
        }
}

/* ESYS first asks for the index's Name in no session. A lie there only makes the commands fail that are over
 * the Name. */
Test(bus, counter_is_not_replayed)
{
        struct error e = {};

        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        expect_no_replay(read_counter, 2);
}

Test(bus, pcr_is_not_replayed)
{
        expect_no_replay(read_pcr, 1);
}

/* An event that the TPM never saw is noticed by who measured it. */
Test(bus, extend_is_not_suppressed)
{
        expect_no_replay(extend_pcr, 1);
}
