/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <stdio.h>

#include "runtime/group/internal.h"

/* Every process with categories is below our control group, every mount with them in our mount namespace. */
static int look(struct mcs *mcs, void *userdata, struct error *e)
{
        const struct manager *m = userdata;
        char path[PATH_MAX];
        int r;

        if (!m->selinux)
                return 0;
        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s", m->cgroup);
        r = mcs_mark_processes(mcs, path, "/proc", e);
        return r < 0 ? r : mcs_mark_mounts(mcs, "/proc/self/mountinfo", e);
}

static int start(struct manager *m, struct error *e)
{
        struct error why;
        int r;

        r = mcs_new(MCS_CATEGORIES, look, m, &m->mcs, e);
        for (size_t i = 0; r >= 0 && i < m->n_groups; i++) {
                const unsigned *pair = m->groups[i]->categories;

                if ((pair[0] || pair[1]) && mcs_hold(m->mcs, pair, &why) < 0)
                        manager_say(m, "group \"%s\": %s", m->groups[i]->definition->name, why.message);
        }
        return r;
}

int categories_choose(struct manager *m, unsigned ret[static 2], struct error *e)
{
        int r = m->mcs ? 0 : start(m, e);

        return r < 0 ? r : mcs_take(m->mcs, ret, e);
}

void categories_release(struct manager *m, const unsigned pair[static 2])
{
        if (m->mcs)
                mcs_release(m->mcs, pair);
}
