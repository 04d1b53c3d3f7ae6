/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The seccomp profile of every container: a list of what is allowed (OCI runtime specification, config-linux,
 * "Seccomp"). What is not on it gives EPERM; clone3 gives ENOSYS, so that libc falls back to clone, whose
 * flags a filter can see. */
#pragma once

#include "base/json.h"

/* The names that are allowed without a condition; ends with NULL. */
extern const char *const seccomp_allowed[];

int seccomp_to_json(sd_json_variant **ret);
