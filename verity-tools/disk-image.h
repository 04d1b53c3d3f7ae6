/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk images: GPT with a root, its hash tree and its signature, by the Discoverable Partitions
 * Specification. */
#pragma once

#include <systemd/sd-id128.h>

#include "verity-tools/verity.h"

#define DISK_PARTITIONS_MAX 128
#define DISK_SECTOR 512
#define DISK_ALIGNMENT (UINT64_C(1) << 20) /* where each of our partitions begins */
#define DISK_LABEL_MAX 36                  /* characters of a partition's name */
#define DISK_LABEL_SIZE (4 * DISK_LABEL_MAX + 1)

enum disk_role { DISK_ROOT, DISK_ROOT_VERITY, DISK_ROOT_VERITY_SIG, DISK_ROLES };

/* The partition types of one architecture. */
#define DISK_ARCHITECTURES "x86-64|arm64|arm|loongarch64|ppc64-le|riscv64|s390x|x86"
struct disk_architecture {
        const char *name; /* as systemd has it */
        sd_id128_t types[DISK_ROLES];
};

/* NULL if there is none of this name. */
const struct disk_architecture *disk_architecture_from_name(const char *name);

struct disk_partition {
        uint64_t offset, size; /* in bytes, whole sectors */
        sd_id128_t type, uuid;
        char label[DISK_LABEL_SIZE]; /* read: of ASCII, each other byte of UTF-8 is a '?' */
        bool read_only;
};

struct disk_image {
        sd_id128_t uuid;
        size_t n_partitions;
        struct disk_partition partitions[DISK_PARTITIONS_MAX];
};

/* The size of a disk whose last partition ends at `end`. */
uint64_t disk_image_size(uint64_t end);

/* Sets the size of the file and writes the partition table to both its ends. What the partitions hold is not
 * touched, nothing is synced. */
int disk_image_write(int fd, const struct disk_image *d, struct error *e);

/* Whether a GPT disk begins here: 1, 0 or a negative errno. */
int disk_image_probe(int fd);

/* Reads the partition table. -EBADMSG if either copy is damaged, or a partition overlaps another or the end
 * of the file. */
int disk_image_read(int fd, struct disk_image *ret, struct error *e);

/* The root partition of any architecture, its hash tree and its signature; NULL for a part that is not there.
 * *ret_architecture may be NULL. -EBADMSG: no root, or several partitions of one of these types. */
int disk_image_find_root(const struct disk_image *d, const struct disk_partition *ret[static DISK_ROLES],
                         const char **ret_architecture, struct error *e);

/* The GUIDs of the partitions of data and tree: the first and the last 128 bits of the root hash. */
void disk_root_guids(const struct verity_geometry *g, sd_id128_t *ret_root, sd_id128_t *ret_verity);

/* What `verity rootfs --json` and `verity inspect` say of it: "uuid", "partitions" with "label", "type",
 * "uuid", "offset", "size" and "read_only" each. */
int disk_image_to_json(const struct disk_image *d, sd_json_variant **ret);
