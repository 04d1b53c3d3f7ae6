/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* Resolves an image's "User" (OCI image specification: user, uid, user:group, uid:gid, …; "" is 0:0) by
 * /etc/passwd and /etc/group of the root file system that is open at rootfs. No link leads out of it. */
int user_resolve(int rootfs, const char *user, uint32_t *ret_uid, uint32_t *ret_gid, struct error *e);

/* Writes a file below the root file system (its directory is made if absent), without leaving it. */
int rootfs_write(int rootfs, const char *directory, const char *name, const char *text, struct error *e);
