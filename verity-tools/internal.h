/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of this library share, and what its tests and fuzz targets reach. */
#pragma once

#include "verity-tools/hash.h"
#include "verity-tools/verity.h"

/* Levels of a tree of 2^54 blocks with eight digests a block. */
#define VERITY_LEVELS_MAX 20

/* Where each level of the tree lies; level 0 is the one that holds digests of data. The top level is stored
 * first. */
struct verity_layout {
        unsigned levels;
        uint64_t blocks[VERITY_LEVELS_MAX];
        uint64_t offset[VERITY_LEVELS_MAX]; /* on the hash device */
        size_t slot; /* bytes from one digest to the next: the digest size rounded up to a power of two */
        size_t digest;
        size_t block; /* bytes of a hash block */
};
void verity_layout_of(const struct verity_geometry *g, struct verity_layout *ret);

/* Writes all of a tree above its lowest level, which is there already. The hash device begins at the byte
 * hash_base of hash_fd. */
int verity_tree_write_above(struct hasher *hasher, const struct verity_layout *layout, unsigned threads,
                            int hash_fd, uint64_t hash_base, uint8_t ret_root[static VERITY_DIGEST_MAX],
                            struct error *e);

/* How many threads to use where a caller asked for this many: 0 is one for each processor that we may use. */
unsigned verity_threads(unsigned asked);

/* The next multiple of `unit`; the sum of the two must not overflow. */
static inline uint64_t round_up(uint64_t n, uint64_t unit)
{
        return (n + unit - 1) / unit * unit;
}

/* A UUID of version 8 (RFC 9562) from the beginning of a digest. */
void uuid_from_digest(const uint8_t digest[static 16], uint8_t ret[static 16]);

/* Digest size of the algorithm in bytes, 0 if it is not one that is used here. */
size_t verity_digest_size(const char *algorithm);

/* partition_find_by_…() on another sysfs and /dev. */
enum partition_key { PARTITION_LABEL, PARTITION_UUID, PARTITION_TYPE };
int partition_find(const char *sys_block, const char *dev, enum partition_key key, const char *value,
                   const char *disk, struct partition *ret, struct error *e);

/* --- OCI --- */

/* An array that ends with NULL, or NULL. */
void oci_free_strings(char **strings);

#define OCI_MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX_TYPE "application/vnd.oci.image.index.v1+json"
#define DOCKER_MANIFEST_TYPE "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_INDEX_TYPE "application/vnd.docker.distribution.manifest.list.v2+json"
#define OCI_CONFIG_TYPE "application/vnd.oci.image.config.v1+json"
#define DOCKER_CONFIG_TYPE "application/vnd.docker.container.image.v1+json"
#define OCI_EMPTY_TYPE "application/vnd.oci.empty.v1+json"
#define OCI_REGISTRY_PREFIX "docker://"
#define OCI_REF_NAME "org.opencontainers.image.ref.name"
#define OCI_EROFS_TYPE "application/vnd.erofs"
#define OCI_PKCS7_TYPE "application/pkcs7-signature"
#define OCI_VERITY_SIGNATURE_TYPE "application/vnd.cncf.notary.signature.dm-verity"
#define OCI_MANIFEST_SIGNATURE_TYPE "application/vnd.holdfast.manifest.signature"
#define OCI_LAYER_DIGEST "io.cncf.notary.layer.digest"
#define OCI_ROOT_HASH "io.cncf.notary.dm-verity.root-hash"

/* Limits on what is read whole. */
#define OCI_INDEX_MAX ((size_t)4 * 1024 * 1024)
#define OCI_MANIFEST_MAX ((size_t)4 * 1024 * 1024)

struct oci_descriptor {
        char digest[72]; /* "sha256:" and 64 lower-case digits */
        char path[96];   /* "blobs/sha256/…" */
        uint64_t size;
        const char *media_type;       /* borrowed from the JSON */
        sd_json_variant *annotations; /* borrowed, or NULL */
};

/* -EBADMSG for any other digest than SHA-256 in lower case, which is also what keeps the path inside the
 * layout. */
int oci_descriptor_parse(sd_json_variant *v, const char *name, struct oci_descriptor *ret, struct error *e);

/* Opens a file inside the layout: regular, no symbolic links, nothing above the layout. */
int oci_open(int layout_fd, const char *path, int *ret_fd, uint64_t *ret_size, struct error *e);

/* Reads a file of at most max bytes inside the layout. A NUL follows the last byte. To be freed. */
int oci_read_file(int layout_fd, const char *path, size_t max, char **ret, struct error *e);

/* Reads a blob of at most max bytes and checks its size and digest. A NUL follows the last byte. To be freed.
 */
int oci_read_blob(int layout_fd, const struct oci_descriptor *d, size_t max, char **ret, struct error *e);

/* Whether a blob of this size and SHA-256 is the one meant. -EBADMSG if not. */
int oci_check_blob(const struct oci_descriptor *d, uint64_t size, const uint8_t hash[static 32],
                   struct error *e);

/* Fills an image's layers from its manifest, without signatures, and its strings from its configuration. */
int oci_parse_manifest(sd_json_variant *manifest, const char *name, struct store_image *image,
                       struct oci_descriptor *ret_config, struct error *e);
int oci_parse_config(sd_json_variant *root, const char *name, struct store_image *image, struct error *e);
