/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every command of every operation is made to fail once, in every way: a defined error comes back, nothing
 * crashes or leaks, and the next try succeeds. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "fault.h"
#include "fixture.h"
#include "swtpm.h"
#include "tpm/attestation.h"
#include "tpm/nv.h"
#include "tpm/seal.h"

#define RECORD_SIZE 64

static struct swtpm machine;
static struct fault_proxy *proxy;
static struct authority owner;
static struct tpm_pcr_policy approved;
static struct tpm_authorization authorization;
static struct tpm_sealed sealed;
static struct tpm_ek ek;
static struct tpm_credential credential;
static struct tpm *tpm;

/* --- the operations: each checks its own result when it says that it succeeded --- */

static int read_pcr(struct error *e)
{
        uint8_t values[TPM_PCRS][32];

        return tpm_pcrs_read(tpm, approved.pcrs, values, e);
}

static int extend_pcr(struct error *e)
{
        struct tpm_digests digests;
        int r = tpm_hash(tpm, "x", 1, &digests, e);

        return r < 0 ? r : tpm_pcr_extend(tpm, 16, &digests, e);
}

static int define_counter(struct error *e)
{
        int r = tpm_nv_define_counter(tpm, TPM_NV_COUNTER + 16, e);

        return r == -EEXIST ? 0 : r; /* an answer that was lost */
}

static int undefine_counter(struct error *e)
{
        int r = tpm_nv_undefine(tpm, TPM_NV_COUNTER + 16, e);

        return r == -ENOENT ? 0 : r;
}

static int step_counter(struct error *e)
{
        uint64_t before = 0, after = 0;
        int r;

        r = tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &before, e);
        if (r >= 0)
                r = tpm_nv_increment(tpm, TPM_NV_COUNTER, e);
        if (r >= 0)
                r = tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &after, e);
        cr_assert(r < 0 || after == before + 1);
        return r;
}

static int write_record(struct error *e)
{
        static uint8_t written[RECORD_SIZE];
        uint8_t found[RECORD_SIZE] = {};
        int r;

        written[0]++;
        r = tpm_nv_write_record(tpm, TPM_NV_RECORD, &authorization, written, RECORD_SIZE, e);
        if (r >= 0)
                r = tpm_nv_read_record(tpm, TPM_NV_RECORD, &owner.public_area, found, RECORD_SIZE, e);
        cr_assert(r < 0 || memcmp(written, found, RECORD_SIZE) == 0);
        return r;
}

static int seal(struct error *e)
{
        struct tpm_sealed s;

        return tpm_seal(tpm, &owner.public_area, "secret", 6, &s, e);
}

static int unseal(struct error *e)
{
        char found[6] = "";
        int r = tpm_unseal(tpm, &sealed, &authorization, found, 6, e);

        cr_assert((r == 0) == (memcmp(found, "secret", 6) == 0));
        return r;
}

static int quote(struct error *e)
{
        struct tpm_quote q;
        int r = tpm_quote(tpm, "nonce", 5, 0xffff, &q, e);

        cr_assert(r < 0 || memcmp(q.values[14], approved.values[14], 32) == 0);
        return r;
}

static int certify(struct error *e)
{
        struct tpm_statement s;

        return tpm_certify_counter(tpm, TPM_NV_COUNTER, "nonce", 5, &s, e);
}

static int read_ek(struct error *e)
{
        struct tpm_ek found = {};
        int r = tpm_ek_read(tpm, &found, e);

        tpm_ek_done(&found);
        return r;
}

static int activate(struct error *e)
{
        uint8_t found[32];
        size_t size = 0;
        int r = tpm_activate_credential(tpm, &ek.public_area, &credential, found, &size, e);

        cr_assert(r < 0 || (size == 6 && memcmp(found, "secret", 6) == 0));
        return r;
}

static const struct {
        const char *name;
        int (*run)(struct error *e);
} operations[] = {
        {"read_pcr", read_pcr},
        {"extend_pcr", extend_pcr},
        {"define_counter", define_counter},
        {"step_counter", step_counter},
        {"undefine_counter", undefine_counter},
        {"write_record", write_record},
        {"seal", seal},
        {"unseal", unseal},
        {"quote", quote},
        {"certify", certify},
        {"read_ek", read_ek},
        {"activate", activate},
};

/* --- the campaign --- */

static void open_tpm(void)
{
        struct error e = {};

        tpm = tpm_free(tpm);
        fault_flush(proxy);
        cr_assert_eq(tpm_open(fault_tcti(proxy), &tpm, &e), 0, "%s", e.message);
}

static void prepare(void)
{
        struct tpm_public ak;
        struct error e = {};

        extend(tpm, 14, "image");
        authority_approve(&owner, tpm, &approved);
        authorization = (struct tpm_authorization){&owner.public_area, &approved, 1};
        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_define_record(tpm, TPM_NV_RECORD, &owner.public_area, RECORD_SIZE, &e), 0, "%s",
                     e.message);
        cr_assert_eq(tpm_seal(tpm, &owner.public_area, "secret", 6, &sealed, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_ek_read(tpm, &ek, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_ak_read(tpm, &ak, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_make_credential(&ek.public_area, ak.name, "secret", 6, &credential, &e), 0, "%s",
                     e.message);
}

static void start(void)
{
        swtpm_start(&machine);
        authority_make(&owner);
        proxy = fault_start(&machine);
        open_tpm();
        prepare();
}

static void stop(void)
{
        tpm = tpm_free(tpm);
        fault_stop(proxy);
        tpm_ek_done(&ek);
        authority_done(&owner);
        swtpm_done(&machine);
}

static bool is_defined(int r)
{
        static const int defined[] = {-EIO,    -ENODEV, -EPROTO, -EACCES, -EBUSY,   -EAGAIN,       -ENOENT,
                                      -EEXIST, -EPERM,  -ENOMEM, -ENOSPC, -ENODATA, -EKEYREJECTED, -EBADMSG};

        for (size_t i = 0; i < ELEMENTSOF(defined); i++)
                if (r == defined[i])
                        return true;
        return false;
}

/* One operation with its nth command spoiled, then once more without. */
static void try_one(size_t i, unsigned nth, enum fault_kind kind, uint32_t rc, unsigned *ret_failures)
{
        struct error e = {};
        int r;

        open_tpm();
        fault_set(proxy, nth, kind, rc);
        r = operations[i].run(&e);
        if (r < 0) {
                (*ret_failures)++;
                cr_assert(is_defined(r) && e.message[0], "%s, command %u, fault %d: %d, %s",
                          operations[i].name, nth, kind, r, e.message);
        }
        fault_set(proxy, 0, FAULT_NONE, 0);
        r = operations[i].run(&e);
        if (r == -ENODEV || r == -EPROTO || r == -ENOMEM) {
                open_tpm();
                r = operations[i].run(&e);
        }
        cr_assert_eq(r, 0, "%s, again after command %u, fault %d: %d, %s", operations[i].name, nth, kind, r,
                     e.message);
}

struct campaign {
        enum fault_kind kind;
        uint32_t rc;
};

ParameterizedTestParameters(fault, every_command)
{
        static struct campaign campaigns[] = {
                {FAULT_RC, TPM2_RC_FAILURE},
                {FAULT_RC, TPM2_RC_LOCKOUT},
                {FAULT_LOST, TPM2_RC_FAILURE},
                {FAULT_DROP, 0},
                {FAULT_CUT, 0},
                {FAULT_GARBLE, 0},
                {FAULT_TRUNCATE, 0},
                {FAULT_OVERSIZE, 0},
        };

        return cr_make_param_array(struct campaign, campaigns, ELEMENTSOF(campaigns));
}

ParameterizedTest(struct campaign *c, fault, every_command, .init = start, .fini = stop, .timeout = 300)
{
        for (size_t i = 0; i < ELEMENTSOF(operations); i++) {
                unsigned n, failures = 0;
                struct error e = {};

                open_tpm();
                fault_set(proxy, 0, FAULT_NONE, 0);
                cr_assert_eq(operations[i].run(&e), 0, "%s: %s", operations[i].name, e.message);
                n = fault_count(proxy);
                cr_assert_gt(n, 1, "%s", operations[i].name);
                for (unsigned k = 1; k <= n; k++)
                        try_one(i, k, c->kind, c->rc, &failures);
                cr_expect_gt(failures, 0, "%s was not touched by fault %d", operations[i].name, c->kind);
        }
}

/* The codes that steps of the boot decide by. */
Test(fault, codes, .init = start, .fini = stop)
{
        static const struct {
                uint32_t rc;
                int r;
        } expected[] = {
                {TPM2_RC_LOCKOUT, -EBUSY},
                {TPM2_RC_NV_SPACE, -ENOSPC},
                {TPM2_RC_NV_RATE, -EAGAIN},
                {TPM2_RC_FAILURE, -EIO},
                {TPM2_RC_HANDLE + TPM2_RC_1, -ENOENT},
                {0xffffffff, -EIO},
                {TPM2_RC_INTEGRITY + TPM2_RC_P + TPM2_RC_1, -EBADMSG},
        };

        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                struct error e = {};
                int r;

                open_tpm();
                cr_assert_eq(read_pcr(&e), 0, "%s", e.message); /* makes the session */
                fault_set(proxy, 1, FAULT_RC, expected[i].rc);
                r = tpm_nv_define_counter(tpm, TPM_NV_COUNTER + 1, &e);
                cr_expect_eq(r, expected[i].r, "0x%08x: %d, %s", expected[i].rc, r, e.message);
        }
}
