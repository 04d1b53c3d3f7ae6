/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The container's config.json for the executor (OCI runtime specification 1.0): a pure function of what the
 * group file asks, what the signed image says and what groupd decided. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "runtime/group/definition.h"

/* Where container-init stands inside the container, and the descriptor it gets for the exit record. */
#define SPEC_INIT_PATH "/.holdfast/init"
#define SPEC_RECORD_FD 3

struct spec_input {
        const struct definition_container *container;
        const char *hostname;
        /* from the image: NULL-terminated lists, never NULL; "" where it says nothing */
        char *const *entrypoint, *const *cmd, *const *env;
        const char *workdir;
        uint32_t uid, gid;
        /* from groupd */
        const char *rootfs;     /* mounted root, absolute */
        const char *volumes;    /* where the group's volumes are, each under its name, absolute */
        const char *init;       /* container-init on the host, absolute */
        const char *netns;      /* the group's network namespace */
        const char *cgroup;     /* path below /sys/fs/cgroup */
        const char *categories; /* SELinux: "c1,c2", NULL where SELinux is off */
        const char *type;       /* SELinux: of the container's processes; NULL: container_t */
};

/* -EINVAL when neither the group file nor the image names a program. */
int spec_build(const struct spec_input *in, sd_json_variant **ret, struct error *e);
