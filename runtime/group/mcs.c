/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "runtime/group/internal.h"

static bool is_taken(const struct manager *m, unsigned a, unsigned b)
{
        for (size_t i = 0; i < m->n_groups; i++)
                if (m->groups[i]->categories[0] == a && m->groups[i]->categories[1] == b)
                        return true;
        return false;
}

int categories_choose(const struct manager *m, unsigned ret[static 2])
{
        for (unsigned a = 0; a < CATEGORIES; a++)
                for (unsigned b = a + 1; b < CATEGORIES; b++)
                        if (!is_taken(m, a, b)) {
                                ret[0] = a;
                                ret[1] = b;
                                return 0;
                        }
        return -ENOSPC;
}
