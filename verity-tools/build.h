/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making images: from a directory or a tar to EROFS with a verity tree, and from an OCI image to signed
 * layers. Needs mkfs.erofs. Outputs appear whole or not at all. */
#pragma once

#include "verity-tools/verity.h"

/* What one tar may hold; more is -E2BIG. */
#define BUILD_ENTRIES_MAX 4000000u
#define BUILD_DATA_MAX (UINT64_C(64) << 30)
#define BUILD_HOLES_MAX (UINT64_C(256) << 20) /* bytes of sparse files that are not in the tar */

struct build_options {
        const char *file_contexts; /* SELinux labels for a tree, or NULL */
        const char *hash_output; /* superblock and tree go to this file instead of behind the data, or NULL */
        bool allow_setuid;       /* files with setuid, setgid or capabilities are let in */
        verity_progress_t progress; /* may be NULL */
        void *userdata;
};

/* Builds `output` from the directory or tar (plain, gzip, zstd, xz, bzip2) `source`. Whiteouts of a tar
 * (.wh.NAME, .wh..wh..opq) become overlayfs's. All times are 0, so the same input gives the same bytes.
 * -EBADMSG: a file is setuid, setgid or has capabilities. -EBADMSG: not a tar, or one that tries to leave its
 * root. */
int build_image(const char *source, const char *output, const struct build_options *o,
                struct verity_geometry *ret, struct error *e);

/* The geometry of an image that build_image() made, read from the image itself: for the signer, and for a
 * verifier who has the root hash (hex digits; NULL for none) from elsewhere. Checks EROFS and superblock, not
 * the content. */
int build_read_geometry(int data_fd, int hash_fd, const char *root_hash, struct verity_geometry *ret,
                        struct error *e);

/* --- OCI --- */

struct build_oci_options {
        const char *tag; /* only this name of the layout, or NULL for all */
        bool allow_setuid;
        const struct trust_signer *layer_signer, *manifest_signer;
        /* Called before each layer is built: its number among n distinct ones. May be NULL. */
        void (*layer)(void *userdata, const char *digest, size_t i, size_t n);
        void *userdata;
};

struct build_oci_result {
        size_t n_images, n_layers; /* layers that several images share count once */
        uint64_t size;             /* of the layers, in bytes */
};

/* Converts the images of the OCI layout `source` to the layout `output`: EROFS layers, signed each, and
 * signed manifests. An existing layout `output` is replaced. */
int build_oci(const char *source, const char *output, const struct build_oci_options *o,
              struct build_oci_result *ret, struct error *e);
