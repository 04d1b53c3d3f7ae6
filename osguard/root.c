/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "osguard/osguard.h"

#define DISK_WAIT_MS 20000u

int verity_disk_open(const struct trust_store *trust, enum trust_purpose purpose, const char *name,
                     const struct verity_disk *disk, const struct verity_geometry *geometry,
                     char **ret_device, struct error *e)
{
        _cleanup_(verity_signature_done) struct verity_signature s = {};
        _cleanup_free_ char *device = NULL;
        int r;

        r = verity_signature_read(disk->signature.path, &s, e);
        if (r >= 0)
                r = verity_signature_check(trust, purpose, geometry, s.der, s.der_size, e);
        if (r < 0)
                return error_prefix(e, r, "%s", disk->signature.path);
        if (asprintf(&device, "/dev/mapper/%s", name) < 0) {
                device = NULL;
                return -ENOMEM;
        }
        r = verity_open_device(name, disk->data.path, disk->hash.path, geometry, s.der, s.der_size,
                               VERITY_CORRUPTION_PANIC, e);
        if (r < 0)
                return r;
        *ret_device = TAKE_PTR(device);
        return 0;
}

/* Disks appear when their driver has looked at them, some time after its module is there. */
static int wait_for_partition(const char *uuid, struct partition *ret, struct error *e)
{
        for (unsigned waited = 0;; waited += 20) {
                int r = partition_find_by_uuid(uuid, NULL, ret, e);

                if (r != -ENOENT || waited >= DISK_WAIT_MS)
                        return r;
                (void)usleep(20 * 1000);
        }
}

static int find_root(const struct image *image, struct verity_disk *ret, struct error *e)
{
        int r;

        r = wait_for_partition(image->root_uuid, &ret->data, e);
        if (r >= 0)
                r = partition_find_by_uuid(image->verity_uuid, ret->data.disk, &ret->hash, e);
        if (r >= 0)
                r = partition_find_by_uuid(image->signature_uuid, ret->data.disk, &ret->signature, e);
        return r;
}

/* Measured before it is opened: a root that fails to open leaves its trace. */
int step_root(struct boot *b, struct error *e)
{
        char hex[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_free_ char *device = NULL;
        struct verity_disk disk;
        int r;

        r = find_root(&b->image, &disk, e);
        if (r >= 0)
                r = event_log_append(b->machine_log, "slot", disk.data.uuid, strlen(disk.data.uuid), e);
        if (r < 0)
                return r;
        (void)snprintf(b->disk, sizeof(b->disk), "%s", disk.data.disk);
        verity_geometry_root_hash(&b->image.root, hex);
        r = event_log_append(b->log, "root", hex, strlen(hex), e);
        if (r < 0)
                return r;
        r = verity_disk_open(b->trust, TRUST_ROOTFS, "root", &disk, &b->image.root, &device, e);
        if (r < 0)
                return r;
        if (mkdir(OSGUARD_SYSROOT, 0755) < 0 && errno != EEXIST)
                return error_errno(e, -errno, OSGUARD_SYSROOT);
        if (mount(device, OSGUARD_SYSROOT, "erofs", MS_RDONLY | MS_NODEV, NULL) < 0)
                return error_errno(e, -errno, "mount %s", device);
        return 0;
}
