/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TPM that spoils one command of step volume, each in turn. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "fault.h"
#include "volume-machine.h"

#define RC_FAILURE 0x101u

static struct authority owner;
static struct signers keys;
static struct machine m;
static struct fault_proxy *proxy;

static void set_up(void)
{
        static const enum trust_purpose purposes[] = {TRUST_RECOVERY};

        authority_make(&owner);
        signers_make(&keys, purposes, ELEMENTSOF(purposes));
}

static void tear_down(void)
{
        fault_stop(proxy);
        machine_done(&m);
        signers_done(&keys);
        authority_done(&owner);
}

TestSuite(volume_fault, .init = set_up, .fini = tear_down, .timeout = 300);

/* The step, of which the nth command is spoiled. 0: none. */
static int run(unsigned nth, enum fault_kind kind)
{
        int r;

        m.tcti = fault_tcti(proxy);
        swtpm_restart(&m.tpm);
        machine_start(&m, "image");
        fault_set(proxy, nth, kind, RC_FAILURE);
        r = machine_bring_up(&m);
        m.tcti = NULL;
        return r;
}

/* Nothing is opened with a wrong key, and the next boot is as if nothing had been. */
static void spoil_each(enum fault_kind kind, void (*reset)(void))
{
        unsigned commands, failed = 0;

        reset();
        cr_assert_eq(run(0, FAULT_NONE), 0, "%s", m.e.message);
        commands = fault_count(proxy);
        machine_off(&m);
        for (unsigned nth = 1; nth <= commands; nth++) {
                int r;

                reset();
                r = run(nth, kind);
                cr_expect(r == 0 || m.e.message[0], "command %u: a message", nth);
                failed += r < 0;
                machine_off(&m);
                expect_boot(&m, "image");
        }
        cr_expect_gt(failed, commands / 2, "%u of %u", failed, commands);
}

static void reset_nothing(void)
{
}

static void reset_new(void)
{
        swtpm_restore(&m.tpm, "new");
        machine_wipe_disk(&m);
}

Test(volume_fault, while_it_is_opened)
{
        machine_with_volume(&m, &owner, keys.trust);
        proxy = fault_start(&m.tpm);
        spoil_each(FAULT_RC, reset_nothing);
        spoil_each(FAULT_DROP, reset_nothing);
        spoil_each(FAULT_GARBLE, reset_nothing);
        spoil_each(FAULT_TRUNCATE, reset_nothing);
}

Test(volume_fault, while_it_is_made)
{
        machine_make(&m, &owner, keys.trust);
        swtpm_snapshot(&m.tpm, "new");
        proxy = fault_start(&m.tpm);
        spoil_each(FAULT_RC, reset_new);
        spoil_each(FAULT_CUT, reset_new);
        spoil_each(FAULT_GARBLE, reset_new);
}
