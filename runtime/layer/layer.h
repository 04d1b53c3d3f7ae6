/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layers in use: each distinct one is opened and mounted once, however many containers stand on it, and goes
 * with its last user. A layer is known by the digest of its blob. How one is opened is behind `struct
 * layer_driver`; the one for the machine (loop device, dm-verity with the signature for the kernel, EROFS) is
 * layer_driver_verity(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "verity-tools/verity.h"

struct layer_driver {
        /* Mounts the layer at the directory `path`, which is there. */
        int (*open)(void *userdata, const struct store_layer *layer, const char *path, struct error *e);
        /* Unmounts and closes it; what is already gone is no error. hex: of the layer's digest. */
        int (*close)(void *userdata, const char *hex, const char *path, struct error *e);
        /* 1: it is mounted and whole, so that it can be taken over from a predecessor; 0: it is not. */
        int (*is_open)(void *userdata, const char *hex, const char *path);
        void *userdata;
};

struct layers;

/* directory: where layers are mounted, one directory each, named by the digest's hex digits; made if absent.
 */
int layers_new(const char *directory, const struct layer_driver *driver, struct layers **ret,
               struct error *e);

/* Forgets what is open without closing it: a successor takes it over. */
struct layers *layers_free(struct layers *l);
DEFINE_CLEANUP(struct layers *, layers_free)

/* Opens the layer, or counts one more user of it. *ret_path is where it is mounted: borrowed, valid while it
 * is in use. */
int layers_acquire(struct layers *l, const struct store_layer *layer, const char **ret_path, struct error *e);

/* One user less. An error of closing is returned, and the layer is forgotten all the same. */
int layers_release(struct layers *l, const char *digest, struct error *e);

/* How many devices of released layers are not gone yet: the kernel lets go of them when the mount namespaces
 * of the last containers are torn down, a moment after their processes ended. */
size_t layers_closing(struct layers *l);

/* After a restart, once every group has acquired what it uses: closes what is mounted and used by nobody.
 * Returns how many. */
int layers_collect(struct layers *l, struct error *e);

/* Where a layer that is in use is mounted. -ENOENT */
int layers_path(const struct layers *l, const char *digest, const char **ret_path, struct error *e);

/* Users of a layer; 0: not open. */
size_t layers_users(const struct layers *l, const char *digest);

/* --- the driver of the machine --- */

struct layer_verity_options {
        const struct store *store; /* borrowed; NULL: no layer can be opened */
        bool selinux;              /* mount with context layer_t */
};

struct layer_driver layer_driver_verity(struct layer_verity_options *options);

/* At start, before anything is opened: lets go of devices that a killed predecessor opened and had not
 * mounted. Those in use are told to go with their last user, as they were. */
int layer_devices_collect(struct error *e);

/* Mounts the store disk (partitions holdfast-store, -verity and -sig, signed for the purpose layer) read-only
 * and noexec at the directory. 1: it is mounted, also when it was before; 0: the machine has no such disk. */
int store_mount(const char *directory, const struct trust_store *trust, bool selinux, struct error *e);

/* Whether the kernel's active IPE policy will let files of each of the n layers execute. ipe: its directory
 * in securityfs. 0 also where nothing is enforced: no such directory, no active policy, IPE only recording.
 * -EKEYREJECTED: the first layer that the policy denies, with the rule that does. */
int layers_check_policy(const char *ipe, const struct store_layer *layers, size_t n, struct error *e);

/* --- what mounts share --- */

/* Mounts the block device with an EROFS read-only, nosuid, nodev (and noexec if asked for) at the directory.
 * context: SELinux context, NULL for none. */
int mount_erofs(const char *device, const char *directory, bool noexec, const char *context, struct error *e);

/* A writable tmpfs, nosuid, nodev, noexec, of at most size bytes; mode: its root's permissions. */
int mount_scratch(const char *directory, uint64_t size, unsigned mode, const char *context, struct error *e);

/* An overlay at `directory`, nosuid, nodev, metacopy and redirects off; lowers: top first, upper and work on
 * one file system. */
int mount_overlay(const char *directory, const char *const *lowers, size_t n, const char *upper,
                  const char *work, const char *context, struct error *e);

/* Unmounts everything at the directory and removes it; not there is no error. */
int unmount_directory(const char *directory, struct error *e);

/* 1: something is mounted at the directory. */
int is_mount_point(const char *directory);
