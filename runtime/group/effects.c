/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/internal.h"

void group_effect(struct group *g, const struct effect *effect)
{
        struct container *c = &g->containers[effect->container];

        switch (effect->type) {
        case EFFECT_PREPARE:
                group_prepare(g);
                break;
        case EFFECT_CREATE:
                container_create(c);
                break;
        case EFFECT_START:
                container_start(c);
                break;
        case EFFECT_TERMINATE:
                container_terminate(c);
                break;
        case EFFECT_KILL:
                container_kill(c);
                break;
        case EFFECT_CLEAN:
                container_clean(c);
                break;
        case EFFECT_PROBE:
                probes_start(c);
                break;
        case EFFECT_TIMER:
                container_arm(c, g->machine.containers[effect->container].deadline_ms);
                break;
        case EFFECT_RELEASE:
                group_release(g);
                break;
        case EFFECT_FORGET: /* the manager's own */
                break;
        }
}
