/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making images: from directories and tars to EROFS with a verity tree, and from an OCI image to signed
 * layers. FORMAT.md says what the bytes are. Outputs appear whole or not at all. */
#pragma once

#include "verity-tools/verity.h"

/* What one image may hold; more is -E2BIG. */
#define BUILD_ENTRIES_MAX 4000000u
#define BUILD_DATA_MAX (UINT64_C(64) << 30)   /* bytes of files */
#define BUILD_HOLES_MAX (UINT64_C(256) << 20) /* bytes of sparse files that are not in the tar */
#define BUILD_INPUT_MAX (UINT64_C(128) << 30) /* bytes of one tar, uncompressed */
#define BUILD_DEPTH_MAX 256u                  /* directories above an entry */
#define BUILD_XATTRS_MAX                                                                                     \
        (UINT64_C(4) << 20) /* bytes of extended attributes, 64 more a set, each different one once */
#define BUILD_NAMES_MAX (UINT64_C(2) << 20) /* bytes of names and link targets, and for each entry */
#define BUILD_ENTRY_NAMES_MAX 112u          /* so many more */
#define BUILD_INODE_XATTRS 256              /* extended attributes of one inode */
#define BUILD_INODE_XATTRS_MAX 65536u       /* bytes of those of one inode, as stored */

struct build_options {
        const char *file_contexts; /* SELinux labels for a tree, or NULL */
        const char *hash_output; /* superblock and tree go to this file instead of behind the data, or NULL */
        bool allow_setuid;       /* files with setuid, setgid or capabilities are let in */
        unsigned threads;        /* 0: one a processor */
        verity_progress_t progress; /* bytes of the input read; total 0 for a tree. May be NULL */
        void *userdata;
};

/* Builds `output` from the directory or tar (plain, gzip, zstd, xz, bzip2) `source`. Whiteouts of a tar
 * (.wh.NAME, .wh..wh..opq) become overlayfs's. A tar's times are kept, a tree's are 0; so the same input
 * gives the same bytes. -EBADMSG: a file is setuid, setgid or has capabilities; not a tar, or one that tries
 * to leave its root. */
int build_image(const char *source, const char *output, const struct build_options *o,
                struct verity_geometry *ret, struct error *e);

/* --- one image from several sources, at any place of a file --- */

struct builder;

struct builder_options {
        int fd; /* of the image, open for reading and writing; borrowed. What lies behind `offset` is lost */
        uint64_t offset;           /* of the image in it, a multiple of 4096 */
        const char *file_contexts; /* SELinux labels for trees, or NULL */
        bool allow_setuid;
        bool merge; /* a later source hides what an earlier one has, as overlayfs would, and whiteouts take
                       away; otherwise they are kept in overlayfs's form */
        unsigned threads;  /* 1: all in the caller's; 0: one a processor */
        unsigned builders; /* that work at the same time and share the memory of one; 0: it is alone */
        verity_progress_t progress; /* bytes read of the source at hand, and their number or 0. May be NULL */
        void *userdata;
};

/* A tar as it lies in a file: plain, gzip, zstd, xz or bzip2. Read from the descriptor's position to the end,
 * also behind the end of the archive. */
struct build_tar {
        int fd;
        const char *name; /* for messages */
        /* Sees every byte of the file once and in order, to digest it; may be NULL. */
        int (*tap)(void *userdata, const void *data, size_t size, struct error *e);
        void *userdata;
        struct windows *windows; /* shared with what is read at the same time, or NULL */
};

int builder_new(const struct builder_options *o, struct builder **ret, struct error *e);

/* Adds a source above those before it: errors as build_image(). After an error the builder can only be freed.
 */
int builder_add_tar(struct builder *b, const struct build_tar *tar, struct error *e);
int builder_add_tree(struct builder *b, const char *path, struct error *e);

/* The one or the other, as what is at the path asks. -EINVAL: labels for a tree, and a tar. */
int builder_add(struct builder *b, const char *source, struct error *e);

/* Writes what is left of the EROFS image and tells its size in bytes: it needs no superblock of verity yet.
 */
int builder_end_data(struct builder *b, uint64_t *ret_size, struct error *e);

/* After builder_end_data(): superblock and tree of verity at hash_offset of hash_fd, which may be the
 * image's; for -1 they go right behind the image. Nothing is synced to the disk. ret->hash_offset is 0, or
 * the image's size where it is right behind. */
int builder_finish(struct builder *b, int hash_fd, uint64_t hash_offset, struct verity_geometry *ret,
                   struct error *e);

struct builder *builder_free(struct builder *b);
DEFINE_CLEANUP(struct builder *, builder_free)

/* --- OCI --- */

/* How to reach a registry. */
struct registry_options {
        const char *authfile; /* credentials as `docker login` keeps them; NULL: where the environment says */
        const char *tls_ca;   /* certificates of the authorities to trust, or NULL for the system's */
        bool plain_http;      /* without TLS, which else only a registry on this machine may be */
        unsigned stall_seconds; /* how long a transfer may stand still; 0: 60 */
};

struct build_oci_options {
        const char *platform; /* "OS/ARCHITECTURE[/VARIANT]", NULL: Linux on this machine */
        const char *push;     /* "docker://HOST/REPOSITORY[:TAG]" that the one image goes to, or NULL */
        const char *scratch;  /* beside this path is room for the image, where there is no output */
        struct registry_options registry;
        bool squash; /* the layers of an image become one */
        /* The image stays as it is, and what is made of its layers is not kept: Notation's referrer with the
         * signatures over their root hashes is all that is pushed. manifest_signer is not used. */
        bool signatures_only;
        bool allow_setuid;
        unsigned threads; /* 0: one a processor */
        const struct trust_signer *layer_signer, *manifest_signer;
        /* For keys that lie elsewhere, two conversions of the same source. The first writes the digests that
         * are to be signed, layer-HEX.digest and manifest-HEX.digest, to the directory digest_out and makes
         * nothing else; the second takes the raw signatures over them, ….sig, from the directory attach. */
        const char *digest_out, *attach;
        verity_progress_t progress; /* bytes of the tars read. May be NULL */
        void *userdata;
};

struct build_oci_result {
        size_t n_images, n_layers; /* layers that several images share count once */
        uint64_t size;             /* of the layers, in bytes */
        sd_json_variant *images;   /* of each: reference, digest, and its layers' digest, size, root_hash */
};
void build_oci_result_done(struct build_oci_result *r);

/* Converts images to EROFS layers, signed each, and signed manifests, in the layout `output` (NULL: they are
 * only pushed). The source is LAYOUT[:TAG], FILE, docker-archive:FILE[:TAG] from `docker save`,
 * oci-archive:FILE[:TAG] of a layout, or docker://HOST/REPOSITORY[:TAG][@DIGEST]. An existing layout `output`
 * is replaced, in one step. -EBADMSG: something in the source is not what its digest, size or media type
 * says. */
int build_oci(const char *source, const char *output, const struct build_oci_options *o,
              struct build_oci_result *ret, struct error *e);
