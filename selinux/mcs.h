/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which two categories each container group has. The types let containers touch each other's processes and
 * files; only the pair separates them, so no two groups may ever share one, and no group may get one that
 * outlived its group.
 *
 * Nothing is kept on disk here. A group's own record has its pair, and is written before the pair is used;
 * what outlives a record is a process or a mount, which the kernel knows. A pair that was given is not given
 * again until all others were, and only after looking again at what lives. Files need no look of their own:
 * their labels are those of mounts. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

#define MCS_CATEGORIES 1024u

struct mcs;

/* Marks what lives, by the calls below; a negative errno when that cannot be told. */
typedef int (*mcs_look_t)(struct mcs *m, void *userdata, struct error *e);

/* An allocator for this many categories, at most MCS_CATEGORIES. It looks when it is made and when the pairs
 * run out. */
int mcs_new(unsigned categories, mcs_look_t look, void *userdata, struct mcs **ret, struct error *e);
struct mcs *mcs_free(struct mcs *m);
DEFINE_CLEANUP(struct mcs *, mcs_free)

/* A group's record has this pair. -EINVAL: it is none, smaller first; -EEXIST: another group has it. */
int mcs_hold(struct mcs *m, const unsigned pair[static 2], struct error *e);

/* A pair that no group, process or mount has, held from then on. -ENOSPC: all are in use. */
int mcs_take(struct mcs *m, unsigned ret[static 2], struct error *e);

/* The group is gone. What remains of it keeps the pair from being given. */
void mcs_release(struct mcs *m, const unsigned pair[static 2]);

/* For the look: the pair at the end of a context; contexts without one mark nothing. */
void mcs_mark(struct mcs *m, const char *context);

/* For the look: the processes in a control group and below it, by `proc`/PID/attr/current. */
int mcs_mark_processes(struct mcs *m, const char *cgroup, const char *proc, struct error *e);

/* For the look: the context= options in a mountinfo file. */
int mcs_mark_mounts(struct mcs *m, const char *mountinfo, struct error *e);
