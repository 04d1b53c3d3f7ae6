/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rootfs.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "internal.h"
#include "output.h"

static uint64_t align(uint64_t n)
{
        return (n + DISK_ALIGNMENT - 1) & ~(DISK_ALIGNMENT - 1);
}

/* A UUID for what has no bits of the root hash of its own. */
static int derive_uuid(const struct verity_geometry *g, const char *what, sd_id128_t *ret)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1], text[sizeof(root_hash) + 32];
        uint8_t digest[32];
        int r;

        verity_geometry_root_hash(g, root_hash);
        (void)snprintf(text, sizeof(text), "%s %s", root_hash, what);
        r = trust_sha256(text, strlen(text), digest);
        if (r < 0)
                return r;
        uuid_from_digest(digest, ret->bytes);
        return 0;
}

static void add_partition(struct disk_image *d, enum disk_role role, const struct rootfs_options *o,
                          uint64_t offset, uint64_t size)
{
        static const char *const suffixes[] = {"", "-verity", "-verity-sig"};
        struct disk_partition *p = &d->partitions[d->n_partitions++];

        *p = (struct disk_partition){
                .offset = offset, .size = size, .type = o->architecture->types[role], .read_only = true};
        (void)snprintf(p->label, sizeof(p->label), "%s%s", o->label, suffixes[role]);
}

/* EROFS and tree, each where its partition will be. */
static int write_root(int fd, const char *source, const struct rootfs_options *o, struct verity_geometry *g,
                      struct disk_image *d, struct error *e)
{
        const struct builder_options options = {.fd = fd,
                                                .offset = DISK_ALIGNMENT,
                                                .file_contexts = o->file_contexts,
                                                .allow_setuid = o->allow_setuid,
                                                .threads = o->threads,
                                                .progress = o->progress,
                                                .userdata = o->userdata};
        _cleanup_(builder_free_ptr) struct builder *b = NULL;
        uint64_t size = 0, hash_offset;
        int r;

        r = builder_new(&options, &b, e);
        if (r >= 0)
                r = builder_add(b, source, e);
        if (r >= 0)
                r = builder_end_data(b, &size, e);
        if (r < 0)
                return r;
        hash_offset = align(DISK_ALIGNMENT + size);
        r = builder_finish(b, fd, hash_offset, g, e);
        if (r < 0)
                return r;
        add_partition(d, DISK_ROOT, o, DISK_ALIGNMENT, size);
        add_partition(d, DISK_ROOT_VERITY, o, hash_offset, verity_tree_offset(g) + verity_tree_size(g));
        disk_root_guids(g, &d->partitions[DISK_ROOT].uuid, &d->partitions[DISK_ROOT_VERITY].uuid);
        return 0;
}

static int write_signature(int fd, const struct rootfs_options *o, const struct verity_geometry *g,
                           struct disk_image *d, struct error *e)
{
        const struct disk_partition *tree = &d->partitions[DISK_ROOT_VERITY];
        uint64_t offset = align(tree->offset + tree->size);
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_free_ uint8_t *der = NULL;
        _cleanup_free_ char *text = NULL;
        uint8_t fingerprint[32];
        size_t size = 0;
        int r;

        verity_geometry_root_hash(g, root_hash);
        r = trust_sign_detached(o->signer, TRUST_ROOTFS, root_hash, o->attach, &der, &size, e);
        if (r >= 0)
                r = trust_signer_fingerprint(o->signer, fingerprint, e);
        if (r >= 0)
                r = verity_signature_format(g, fingerprint, der, size, &text, e);
        if (r < 0)
                return r;
        r = pwrite_full(fd, text, strlen(text), offset);
        if (r < 0)
                return error_errno(e, r, "signature partition");
        add_partition(d, DISK_ROOT_VERITY_SIG, o, offset, VERITY_SIGNATURE_PARTITION_SIZE);
        return derive_uuid(g, "root-verity-sig", &d->partitions[DISK_ROOT_VERITY_SIG].uuid);
}

static int check_options(const struct rootfs_options *o, struct error *e)
{
        size_t n = strlen(o->label);
        bool good = n > 0 && n <= ROOTFS_LABEL_MAX;

        for (size_t i = 0; good && i < n; i++)
                good = isalnum((unsigned char)o->label[i]) || strchr("-_.", o->label[i]);
        if (!good)
                return error_set(e, -EINVAL,
                                 "label: 1 to %d letters, digits and -_. expected, found \"%.80s\"",
                                 ROOTFS_LABEL_MAX, o->label);
        if (o->signer && trust_signer_purpose(o->signer) != TRUST_ROOTFS)
                return error_set(e, -EKEYREJECTED, "certificate: purpose rootfs expected, found %s",
                                 trust_purpose_to_string(trust_signer_purpose(o->signer)) ?: "none");
        return 0;
}

static int write_disk(int fd, const char *source, const struct rootfs_options *o, struct verity_geometry *g,
                      struct disk_image *d, struct error *e)
{
        int r = write_root(fd, source, o, g, d, e);

        if (r >= 0 && o->signer)
                r = write_signature(fd, o, g, d, e);
        if (r >= 0)
                r = derive_uuid(g, "disk", &d->uuid);
        return r < 0 ? r : disk_image_write(fd, d, e);
}

int build_rootfs(const char *source, const char *output, const struct rootfs_options *o,
                 struct verity_geometry *ret, struct disk_image *ret_disk, struct error *e)
{
        _cleanup_(output_done) struct output out = OUTPUT_NONE;
        struct verity_geometry g = {};
        struct disk_image d = {};
        int r;

        r = check_options(o, e);
        if (r >= 0)
                r = output_begin(output, &out, e);
        if (r >= 0)
                r = write_disk(out.fd, source, o, &g, &d, e);
        if (r >= 0)
                r = output_publish(&out, e);
        if (r < 0)
                return r;
        *ret = g;
        *ret_disk = d;
        return 0;
}
