/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A root as a disk image: EROFS, its hash tree and its signature in a partition each. */
#pragma once

#include "verity-tools/build.h"
#include "verity-tools/disk-image.h"

/* Characters of a label, which gets "-verity-sig" behind it. */
#define ROOTFS_LABEL_MAX (DISK_LABEL_MAX - 11)

struct rootfs_options {
        const char *label; /* of the root partition; the others have -verity and -verity-sig behind it */
        const struct disk_architecture *architecture;
        const struct trust_signer *signer; /* NULL: no signature partition */
        const char *attach; /* file with the signature made elsewhere, for a signer without a key, or NULL */
        const char *file_contexts;  /* SELinux labels for a tree, or NULL */
        bool allow_setuid;          /* files with setuid, setgid or capabilities are let in */
        unsigned threads;           /* 0: one a processor */
        verity_progress_t progress; /* as in build.h */
        void *userdata;
};

/* Builds `output` from the directory or tar `source`. The same input gives the same bytes: GUIDs derive from
 * the root hash. Errors as build_image(); -EKEYREJECTED if the signer's certificate is not for the purpose
 * rootfs, -EINVAL if the label is none. */
int build_rootfs(const char *source, const char *output, const struct rootfs_options *o,
                 struct verity_geometry *ret, struct disk_image *ret_disk, struct error *e);
