/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whatever is started, stopped, left over and killed: no two that live have the same categories. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "selinux/mcs.h"

#define FEW 6u /* categories: 15 pairs, so that they run out soon */
#define PAIRS 15

/* A machine: groups with a record on disk, and processes that may outlive their group. */
struct machine {
        struct {
                unsigned pair[2];
                bool recorded, processes;
        } slots[PAIRS];
        bool blind;
};

static int look(struct mcs *m, void *userdata, struct error *e)
{
        const struct machine *machine = userdata;
        char context[64];

        if (machine->blind)
                return error_set(e, -EIO, "cannot look");
        for (size_t i = 0; i < PAIRS; i++)
                if (machine->slots[i].processes) {
                        (void)snprintf(context, sizeof(context), "u:r:container_t:s0:c%u,c%u",
                                       machine->slots[i].pair[0], machine->slots[i].pair[1]);
                        mcs_mark(m, context);
                }
        return 0;
}

static int look_at_nothing(struct mcs *m, void *userdata, struct error *e)
{
        (void)m, (void)userdata, (void)e;
        return 0;
}

static struct mcs *start(struct machine *machine)
{
        struct mcs *m = NULL;
        struct error e = {};

        cr_assert_eq(mcs_new(FEW, look, machine, &m, &e), 0, "%s", e.message);
        for (size_t i = 0; i < PAIRS; i++)
                if (machine->slots[i].recorded)
                        cr_assert_eq(mcs_hold(m, machine->slots[i].pair, &e), 0, "%s", e.message);
        return m;
}

static bool lives(const struct machine *machine, size_t i)
{
        return machine->slots[i].recorded || machine->slots[i].processes;
}

/* A new group: its pair is nobody's, or all are somebody's. It may be killed before its record is written. */
static void begin_group(struct machine *machine, struct mcs *m, bool killed)
{
        size_t slot = 0, living = 0;
        struct error e = {};
        unsigned pair[2];
        int r = mcs_take(m, pair, &e);

        for (size_t i = 0; i < PAIRS; i++) {
                living += lives(machine, i);
                slot = lives(machine, i) ? slot : i;
                if (r >= 0 && lives(machine, i))
                        cr_assert(machine->slots[i].pair[0] != pair[0] ||
                                          machine->slots[i].pair[1] != pair[1],
                                  "c%u,c%u was given twice", pair[0], pair[1]);
        }
        cr_assert_eq(r, living == PAIRS ? -ENOSPC : 0, "%zu live: %s", living, e.message);
        if (r < 0 || killed)
                return;
        cr_assert_lt(pair[0], pair[1]);
        memcpy(machine->slots[slot].pair, pair, sizeof(pair));
        machine->slots[slot].recorded = machine->slots[slot].processes = true;
}

Test(mcs, no_two_that_live_share_a_pair)
{
        for (unsigned seed = 1; seed <= 20; seed++) {
                struct machine machine = {};
                struct mcs *m = start(&machine);

                srandom(seed);
                for (size_t step = 0; step < 3000; step++) {
                        size_t i = (size_t)random() % PAIRS;

                        switch (random() % 9) {
                        case 0: /* the group goes; its processes may stay */
                                if (machine.slots[i].recorded)
                                        mcs_release(m, machine.slots[i].pair);
                                machine.slots[i].recorded = false;
                                break;
                        case 1:
                                machine.slots[i].processes = false;
                                break;
                        case 2: /* its container restarts */
                                machine.slots[i].processes |= machine.slots[i].recorded;
                                break;
                        case 3: /* a crash, with or without a group on its way */
                                if (random() % 2)
                                        begin_group(&machine, m, true);
                                (void)mcs_free(m);
                                m = start(&machine);
                                break;
                        default:
                                begin_group(&machine, m, false);
                        }
                }
                (void)mcs_free(m);
        }
}

Test(mcs, every_pair_is_given_once)
{
        static bool seen[MCS_CATEGORIES][MCS_CATEGORIES];
        _cleanup_(mcs_free_ptr) struct mcs *m = NULL;
        struct error e = {};
        unsigned pair[2];

        cr_assert_eq(mcs_new(MCS_CATEGORIES, look_at_nothing, NULL, &m, &e), 0);
        for (size_t i = 0; i < (size_t)MCS_CATEGORIES * (MCS_CATEGORIES - 1) / 2; i++) {
                cr_assert(mcs_take(m, pair, &e) == 0 && pair[0] < pair[1] && pair[1] < MCS_CATEGORIES &&
                          !seen[pair[0]][pair[1]]);
                seen[pair[0]][pair[1]] = true;
        }
        cr_expect_eq(mcs_take(m, pair, &e), -ENOSPC);
}

Test(mcs, a_released_pair_is_the_last_to_be_given)
{
        _cleanup_(mcs_free_ptr) struct mcs *m = NULL;
        unsigned first[2], pair[2];
        struct error e = {};

        cr_assert_eq(mcs_new(FEW, look_at_nothing, NULL, &m, &e), 0);
        cr_assert_eq(mcs_take(m, first, &e), 0);
        mcs_release(m, first);
        for (size_t i = 0; i < PAIRS - 1; i++) {
                cr_assert_eq(mcs_take(m, pair, &e), 0);
                cr_expect(memcmp(pair, first, sizeof(pair)) != 0);
        }
        cr_assert_eq(mcs_take(m, pair, &e), 0);
        cr_expect_arr_eq(pair, first, sizeof(pair));
}

Test(mcs, who_cannot_look_gives_nothing)
{
        struct machine machine = {};
        struct mcs *m = start(&machine), *other = NULL;
        struct error e = {};
        unsigned pair[2];

        for (size_t i = 0; i < PAIRS; i++) {
                cr_assert_eq(mcs_take(m, pair, &e), 0);
                mcs_release(m, pair);
        }
        machine.blind = true;
        cr_expect_eq(mcs_take(m, pair, &e), -EIO);
        cr_expect_eq(mcs_take(m, pair, &e), -EIO);
        cr_expect_eq(mcs_new(FEW, look, &machine, &other, &e), -EIO);
        machine.blind = false;
        cr_expect_eq(mcs_take(m, pair, &e), 0);
        (void)mcs_free(m);
}

Test(mcs, records_are_not_believed)
{
        _cleanup_(mcs_free_ptr) struct mcs *m = NULL;
        struct error e = {};

        cr_assert_eq(mcs_new(FEW, look_at_nothing, NULL, &m, &e), 0);
        cr_expect_eq(mcs_hold(m, (unsigned[]){1, 2}, &e), 0);
        cr_expect_eq(mcs_hold(m, (unsigned[]){1, 2}, &e), -EEXIST);
        cr_expect_eq(mcs_hold(m, (unsigned[]){2, 1}, &e), -EINVAL);
        cr_expect_eq(mcs_hold(m, (unsigned[]){2, 2}, &e), -EINVAL);
        cr_expect_eq(mcs_hold(m, (unsigned[]){0, FEW}, &e), -EINVAL);
        cr_expect_eq(mcs_new(1, look_at_nothing, NULL, &m, &e), -EINVAL);
        cr_expect_eq(mcs_new(MCS_CATEGORIES + 1, look_at_nothing, NULL, &m, &e), -EINVAL);
}

static void put(const char *directory, const char *path, const char *text)
{
        char full[160];

        (void)snprintf(full, sizeof(full), "%s/%s", directory, path);
        *strrchr(full, '/') = '\0';
        cr_assert_eq(make_directories(full, 0755, NULL), 0);
        full[strlen(full)] = '/';
        cr_assert_eq(write_file_atomic(AT_FDCWD, full, text, strlen(text), 0644, NULL), 0);
}

static int look_at_files(struct mcs *m, void *userdata, struct error *e)
{
        char cgroup[128], proc[128], mountinfo[160];
        int r;

        (void)snprintf(cgroup, sizeof(cgroup), "%s/cgroup", (const char *)userdata);
        (void)snprintf(proc, sizeof(proc), "%s/proc", (const char *)userdata);
        (void)snprintf(mountinfo, sizeof(mountinfo), "%s/self/mountinfo", proc);
        r = mcs_mark_processes(m, cgroup, proc, e);
        return r < 0 ? r : mcs_mark_mounts(m, mountinfo, e);
}

Test(mcs, processes_and_mounts_are_seen)
{
        char directory[] = "/tmp/mcs.XXXXXX", command[64];
        _cleanup_(mcs_free_ptr) struct mcs *m = NULL;
        struct error e = {};
        unsigned pair[2];

        cr_assert_not_null(mkdtemp(directory));
        put(directory, "cgroup/cgroup.procs", "");
        put(directory, "cgroup/a/b/cgroup.procs", "10\n11\n12\n");
        put(directory, "cgroup/a/cgroup.procs", "13\n");
        put(directory, "proc/10/attr/current", "system_u:system_r:container_t:s0:c0,c1");
        put(directory, "proc/11/attr/current", "system_u:system_r:crun_t:s0-s0:c0.c1023\n");
        put(directory, "proc/13/attr/current", "system_u:system_r:other_t:s0:c0,c3\n");
        put(directory, "proc/self/mountinfo",
            "1 2 0:3 / /x rw - tmpfs tmpfs "
            "rw,context=\"system_u:object_r:container_data_t:s0:c0,c2\",size=1k\n"
            "1 2 0:3 / /y rw - tmpfs tmpfs rw,context=\"system_u:object_r:store_t:s0\"\n");
        cr_assert_eq(mcs_new(4, look_at_files, directory, &m, &e), 0, "%s", e.message);
        (void)snprintf(command, sizeof(command), "rm -r %s", directory);
        /* Of six pairs three are left. */
        for (size_t i = 0; i < 3; i++) {
                cr_assert_eq(mcs_take(m, pair, &e), 0);
                cr_expect_neq(pair[0], 0);
        }
        cr_expect_eq(mcs_take(m, pair, &e), -ENOSPC);
        cr_assert_eq(system(command), 0); /* NOLINT(cert-env33-c) */
        mcs_release(m, pair);
        cr_expect_lt(mcs_take(m, pair, &e), 0, "what cannot be seen is not absent");
}
