/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "osguard/osguard.h"

#define PAYLOAD "/run/holdfast/payload"
#define PAYLOAD_CONTEXT "system_u:object_r:payload_exec_t:s0"

/* -ENOENT when there is no such disk. */
static int find_payload(struct verity_disk *ret, struct error *e)
{
        int r;

        r = partition_find_by_label("holdfast-payload", NULL, &ret->data, e);
        if (r < 0)
                return r;
        r = partition_find_by_label("holdfast-payload-verity", ret->data.disk, &ret->hash, e);
        if (r >= 0)
                r = partition_find_by_label("holdfast-payload-sig", ret->data.disk, &ret->signature, e);
        return r == -ENOENT ? -ENODEV : r;
}

/* The disk is not named in image.json, so its geometry is the project's one profile; only the root hash comes
 * from the disk, and it is what the signature is over. */
static int read_geometry(const struct verity_disk *disk, struct verity_geometry *ret, struct error *e)
{
        _cleanup_(verity_signature_done) struct verity_signature s = {};
        int r;

        r = verity_signature_read(disk->signature.path, &s, e);
        return r < 0 ? r : verity_geometry_profile(disk->data.size, 0, s.root_hash, ret, e);
}

/* Variants dev and test bring one more disk, signed for the purpose `test`. prod returns before it looks for
 * any. */
int step_payload(struct boot *b, struct error *e)
{
        _cleanup_free_ char *device = NULL;
        struct verity_geometry geometry;
        struct verity_disk disk;
        char hex[2 * VERITY_DIGEST_MAX + 1];
        int r;

        if (strcmp(b->image.variant, "prod") == 0)
                return 0;
        r = find_payload(&disk, e);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = read_geometry(&disk, &geometry, e);
        if (r < 0)
                return r;
        verity_geometry_root_hash(&geometry, hex);
        r = event_log_append(b->log, "payload", hex, strlen(hex), e);
        if (r < 0)
                return r;
        r = verity_disk_open(b->trust, TRUST_TEST, "payload", &disk, &geometry, &device, e);
        if (r < 0)
                return r;
        if (mkdir(PAYLOAD, 0755) < 0)
                return error_errno(e, -errno, PAYLOAD);
        if (mount(device, PAYLOAD, "erofs", MS_RDONLY | MS_NODEV | MS_NOSUID, "context=" PAYLOAD_CONTEXT) < 0)
                return error_errno(e, -errno, "mount %s", device);
        return 0;
}
