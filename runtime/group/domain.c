/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The SELinux type that a group names for its containers. */
#include <errno.h>
#include <selinux/selinux.h>
#include <stdio.h>

#include "runtime/group/internal.h"

#define PROPERTY "properties.securityContext.seLinuxOptions.type: "
#define EXECUTOR_CONTEXT "system_u:system_r:crun_t:s0-s0:c0.c1023"

/* The loaded policy is asked, so that there is no second list of types: one is for containers when the
 * executor may start a program in it, which a promise of the policy forbids for all others. */
static int ask_policy(const char *type, bool *ret, struct error *e)
{
        security_class_t class = string_to_security_class("process");
        access_vector_t transition = class ? string_to_av_perm(class, "transition") : 0;
        struct av_decision decision = {};
        char context[128];

        if (!transition)
                return error_errno(e, -EIO, "SELinux: class process, permission transition");
        (void)snprintf(context, sizeof(context), "system_u:system_r:%.64s:s0", type);
        if (security_compute_av_raw(EXECUTOR_CONTEXT, context, class, transition, &decision) < 0) {
                if (errno != EINVAL) /* which is a type that the policy does not have */
                        return error_errno(e, -errno, "SELinux: a decision on type \"%.64s\"", type);
                decision.allowed = 0;
        }
        *ret = (decision.allowed & transition) != 0;
        return 0;
}

int group_check_type(const struct group *g, struct error *e)
{
        const char *type = g->definition->selinux_type;
        bool known = false;
        int r;

        if (!type)
                return 0;
        if (!g->manager->selinux)
                return error_set(e, -EINVAL, PROPERTY "a machine with SELinux expected, found none");
        r = ask_policy(type, &known, e);
        if (r < 0)
                return r;
        if (!known)
                return error_set(
                        e, -EINVAL,
                        PROPERTY "a container type of this machine's policy expected, found \"%.64s\"", type);
        return 0;
}
