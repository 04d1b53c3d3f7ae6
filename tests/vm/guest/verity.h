/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loop devices and dm-verity targets by ioctl, for guests that have no libcryptsetup and for attempts that no
 * library would make. Geometry comes from a text file beside the image, never from the image. */
#pragma once

#include <stdint.h>

#include "tests/vm/guest/tap.h"

/* IMAGE.verity: "DATA_BLOCKS HASH_START ROOT_HASH SALT\n"; blocks of 4096 bytes, SHA-256, data and tree in
 * one file. */
struct verity_geometry {
        uint64_t data_blocks, hash_start;
        char root_hash[65], salt[65];
};

int verity_read_geometry(const char *path, struct verity_geometry *ret);

/* Attaches image read-only to a free loop device; its path goes to ret_path. Returns the descriptor that
 * keeps it attached: closing it, and the last user, detaches. Negative errno otherwise. */
int loop_attach(const char *image, char ret_path[32]);

/* Opens device as /dev/dm-N. signature: path of the PKCS#7 file handed to the kernel, or NULL for none. A
 * refusal of the table by the kernel is ATTEMPT_REFUSED. ret_path gets the node on success. */
struct outcome verity_open(const char *name, const char *device, const struct verity_geometry *g,
                           const char *signature, char ret_path[32]);

/* A dm-linear device over the whole of `device`. */
struct outcome linear_open(const char *name, const char *device, char ret_path[32]);

/* Removes a device-mapper device that nobody uses any more. */
int dm_remove(const char *name);

/* One attempt with an image file that has its geometry beside it (IMAGE with suffix .verity in place of
 * .img): opens it through a loop device, with the signature or NULL, and closes it again. */
struct outcome try_verity(const char *image, const char *signature);

/* The same, and mounts it as EROFS on mountpoint and runs NAME there. options of the mount may be NULL. */
struct outcome try_verity_run(const char *image, const char *signature, const char *mountpoint,
                              const char *options, const char *name, int status);

/* Mounts source read-only on mountpoint, runs NAME there, unmounts. */
struct outcome try_mount_run(const char *source, const char *mountpoint, const char *type,
                             const char *options, const char *name, int status);
