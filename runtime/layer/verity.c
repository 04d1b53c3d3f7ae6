/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/layer/layer.h"

#define LAYER_CONTEXT "system_u:object_r:layer_t:s0"
#define STORE_CONTEXT "system_u:object_r:store_t:s0"
#define STORE_LABEL "holdfast-store"
#define LAYER_PREFIX "holdfast-layer-"

/* How many devices of one layer may be on their way out at once. */
#define NAMES_MAX 16

/* Opens the device and mounts it. The device is told at once to go with its last user, so that a mount is all
 * there is to take down, whatever happens to this process. A predecessor that is still held by somebody has
 * the name: take the next. */
static int open_and_mount(const char *base, const char *data, const char *hash,
                          const struct verity_geometry *g, const void *signature, size_t signature_size,
                          const char *directory, bool noexec, const char *context, struct error *e)
{
        char name[96], device[128];
        int r = -EEXIST, k;

        for (unsigned i = 0; r == -EEXIST && i < NAMES_MAX; i++) {
                (void)snprintf(name, sizeof(name), i == 0 ? "%s" : "%s-%u", base, i);
                r = verity_open_device(name, data, hash, g, signature, signature_size,
                                       VERITY_CORRUPTION_ERROR, e);
        }
        if (r < 0)
                return r;
        (void)snprintf(device, sizeof(device), "/dev/mapper/%s", name);
        r = mount_erofs(device, directory, noexec, context, e);
        k = verity_close_device(name, true, r < 0 ? NULL : e);
        (void)unlink(device); /* nobody opens it by name again */
        return r < 0 ? r : k;
}

int layer_devices_collect(struct error *e)
{
        _cleanup_closedir_ DIR *dir = opendir("/sys/block");
        int r = 0;

        if (!dir)
                return error_errno(e, -errno, "/sys/block");
        for (struct dirent *d; (d = readdir(dir));) {
                _cleanup_free_ char *name = NULL;
                char path[300];
                int k;

                (void)snprintf(path, sizeof(path), "%s/dm/name", d->d_name);
                if (strncmp(d->d_name, "dm-", 3) != 0 ||
                    read_file(dirfd(dir), path, 256, &name, NULL, NULL) < 0)
                        continue;
                name[strcspn(name, "\n")] = '\0';
                if (strncmp(name, LAYER_PREFIX, strlen(LAYER_PREFIX)) != 0 &&
                    strncmp(name, STORE_LABEL, strlen(STORE_LABEL)) != 0)
                        continue;
                k = verity_close_device(name, true, e);
                if (k < 0 && k != -ENODEV) /* without a node it is mounted, and was told then */
                        r = k;
                (void)snprintf(path, sizeof(path), "/dev/mapper/%s", name);
                (void)unlink(path);
        }
        return r;
}

static int open_layer(void *userdata, const struct store_layer *layer, const char *path, struct error *e)
{
        const struct layer_verity_options *o = userdata;
        _cleanup_close_ int file = -EBADF, loop = -EBADF;
        char loop_path[32], name[80];
        int r;

        if (!o->store)
                return error_set(e, -ENODEV, "the image store expected, not found");
        r = store_open_layer(o->store, layer, &file, e);
        if (r >= 0)
                r = loop_attach(file, 0, layer->geometry.data_block_size, &loop, loop_path, e);
        if (r < 0)
                return r;
        (void)snprintf(name, sizeof(name), LAYER_PREFIX "%.64s", layer->digest + strlen("sha256:"));
        return open_and_mount(name, loop_path, loop_path, &layer->geometry, layer->signature,
                              layer->signature_size, path, false, o->selinux ? LAYER_CONTEXT : NULL, e);
}

static int close_layer(void *userdata, const char *hex, const char *path, struct error *e)
{
        return unmount_directory(path, e);
}

static int layer_is_open(void *userdata, const char *hex, const char *path)
{
        return is_mount_point(path);
}

struct layer_driver layer_driver_verity(struct layer_verity_options *options)
{
        return (struct layer_driver){
                .open = open_layer, .close = close_layer, .is_open = layer_is_open, .userdata = options};
}

int store_mount(const char *directory, const struct trust_store *trust, bool selinux, struct error *e)
{
        struct partition data, hash, signature;
        struct verity_geometry geometry;
        struct verity_signature s = {};
        int r;

        r = is_mount_point(directory);
        if (r != 0)
                return r < 0 ? error_errno(e, r, "%s", directory) : 1;
        r = partition_find_by_label(STORE_LABEL, NULL, &data, e);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = partition_find_by_label(STORE_LABEL "-verity", data.disk, &hash, e);
        if (r >= 0)
                r = partition_find_by_label(STORE_LABEL "-sig", data.disk, &signature, e);
        if (r >= 0)
                r = verity_signature_read(signature.path, &s, e);
        if (r < 0)
                return r;
        /* The profile is fixed and the data fills its partition: another size gives another root hash. */
        r = verity_geometry_profile(data.size, 0, s.root_hash, &geometry, e);
        if (r >= 0)
                r = verity_signature_check(trust, TRUST_MANIFEST, &geometry, s.der, s.der_size, e);
        if (r >= 0)
                r = make_directories(directory, 0700, e);
        if (r >= 0)
                r = open_and_mount(STORE_LABEL, data.path, hash.path, &geometry, s.der, s.der_size, directory,
                                   true, selinux ? STORE_CONTEXT : NULL, e);
        verity_signature_done(&s);
        return r < 0 ? r : 1;
}
