/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signed dm-verity images: their geometry, trees, signatures, devices, and the OCI store that holds layers.
 *
 * Two rules run through all of it. Verity parameters come from signed data, never from the device that they
 * protect: the superblock is only compared. And nothing goes to the kernel before its signature was checked
 * here for the right purpose.
 *
 * Sizes and offsets are in bytes unless a name says blocks. Writers of images are in build.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "trust/trust.h"

#define VERITY_DIGEST_MAX 64
#define VERITY_SALT_MAX 256
#define VERITY_SUPERBLOCK_SIZE 512

/* --- geometry --- */

struct verity_geometry {
        char algorithm[32];                        /* "sha256", "sha384" or "sha512" */
        uint32_t data_block_size, hash_block_size; /* powers of two, 512 to 4096 */
        uint64_t data_blocks;
        uint64_t hash_offset; /* of the superblock on the hash device; the tree begins at the next hash block
                               */
        bool no_superblock;   /* the tree itself begins at hash_offset */
        uint8_t salt[VERITY_SALT_MAX];
        size_t salt_size;
        uint8_t root_hash[VERITY_DIGEST_MAX];
        size_t root_hash_size; /* 0 while it is not known */
};

/* The project's own profile: SHA-256, blocks of 4096, 32 zero bytes of salt. root_hash: hex digits, or NULL
 * while unknown. -EINVAL if data_size is 0 or not whole blocks. */
int verity_geometry_profile(uint64_t data_size, uint64_t hash_offset, const char *root_hash,
                            struct verity_geometry *ret, struct error *e);

/* From hex digits of either case; "-" is no salt. -EINVAL if they are too many, or no digits. */
int verity_geometry_set_root_hash(struct verity_geometry *g, const char *hex, struct error *e);
int verity_geometry_set_salt(struct verity_geometry *g, const char *hex, struct error *e);

/* Every field in its range, and the sizes that follow from them without overflow. */
int verity_geometry_check(const struct verity_geometry *g, struct error *e);

/* From the "root" object of image.json. `name` is what messages call it. */
int verity_geometry_from_json(sd_json_variant *object, const char *name, struct verity_geometry *ret,
                              struct error *e);

/* From the annotations of a layer in an OCI manifest, and back: org.erofs.dmverity.* as the EROFS image
 * specification has them, and io.holdfast.verity.* for the rest, which is the profile's where they are
 * absent. */
int verity_geometry_from_annotations(sd_json_variant *annotations, const char *name,
                                     struct verity_geometry *ret, struct error *e);
int verity_geometry_to_annotations(const struct verity_geometry *g, sd_json_variant **ret, struct error *e);

/* What `verity build --json` prints: root_hash, hash_offset, data_size, salt, algorithm, and the block sizes.
 */
int verity_geometry_to_json(const struct verity_geometry *g, sd_json_variant **ret);

/* The root hash as the kernel wants it signed and passed: lower-case hex digits, NUL-terminated. */
void verity_geometry_root_hash(const struct verity_geometry *g, char ret[static 2 * VERITY_DIGEST_MAX + 1]);

uint64_t verity_data_size(const struct verity_geometry *g);

/* Where the tree begins on the hash device, and how long it is (0 for a single data block). */
uint64_t verity_tree_offset(const struct verity_geometry *g);
uint64_t verity_tree_size(const struct verity_geometry *g);

/* --- superblock and tree (cryptsetup's on-disk format, version 1, hash type 1) --- */

void verity_superblock_write(const struct verity_geometry *g, const uint8_t uuid[static 16],
                             uint8_t ret[static VERITY_SUPERBLOCK_SIZE]);

/* Reads a superblock that stands at hash_offset; the root hash stays empty. -EBADMSG if it is none, or a
 * field is out of range. */
int verity_superblock_parse(const void *block, size_t size, uint64_t hash_offset, struct verity_geometry *ret,
                            uint8_t ret_uuid[static 16], struct error *e);

/* The superblock on the hash device says the same as g. -EBADMSG names the field that differs. */
int verity_superblock_compare(int hash_fd, const struct verity_geometry *g, struct error *e);

/* Called now and then with bytes of data done; may be NULL. */
typedef void (*verity_progress_t)(void *userdata, uint64_t done, uint64_t total);

struct verity_tree_options {
        uint64_t data_offset;       /* of the data in its file, in bytes */
        unsigned threads;           /* 0: one for each processor that we may use */
        verity_progress_t progress; /* called in the caller's thread; may be NULL */
        void *userdata;
};

/* Hashes the data of data_fd and writes the tree to hash_fd, which is readable too, in
 * one pass over the data and constant memory. The bytes are the same for any number of threads. Sets
 * g->root_hash. The superblock is not written. o may be NULL. */
int verity_tree_write(int data_fd, int hash_fd, struct verity_geometry *g,
                      const struct verity_tree_options *o, struct error *e);

/* Reads every block of data and tree. -EUCLEAN if any differs from what the root hash says; the message names
 * the first that does, from the top of the tree down. o may be NULL. */
int verity_tree_verify(int data_fd, int hash_fd, const struct verity_geometry *g,
                       const struct verity_tree_options *o, struct error *e);

/* --- EROFS --- */

struct erofs_info {
        uint32_t block_size;
        uint64_t blocks;
        uint32_t feature_compat, feature_incompat;
        uint8_t uuid[16];
};

/* Reads the superblock of an EROFS at the beginning of fd. -EBADMSG if it is none, or one whose content
 * dm-verity and IPE cannot vouch for or the kernel 6.12 cannot read: other devices, shared inodes, features
 * beyond the profile, blocks other than 4096. */
int erofs_check(int fd, struct erofs_info *ret, struct error *e);

/* --- signatures --- */

/* What a verity signature partition holds: systemd's JSON (Discoverable Disk Image), padded with NUL bytes.
 */
#define VERITY_SIGNATURE_PARTITION_SIZE 16384
struct verity_signature {
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        uint8_t *der;
        size_t der_size;
};
void verity_signature_done(struct verity_signature *s);

int verity_signature_parse(const char *text, size_t size, struct verity_signature *ret, struct error *e);
int verity_signature_read(const char *path, struct verity_signature *ret, struct error *e);

/* The text of such a partition, to be freed. fingerprint: SHA-256 of the signer's certificate. */
int verity_signature_format(const struct verity_geometry *g, const uint8_t fingerprint[static 32],
                            const void *der, size_t der_size, char **ret, struct error *e);

/* The signature is by a signer of this purpose, over this root hash. Errors as trust_verify_detached(). */
int verity_signature_check(const struct trust_store *store, enum trust_purpose purpose,
                           const struct verity_geometry *g, const void *der, size_t der_size,
                           struct error *e);

/* --- partitions --- */

struct partition {
        char path[64];   /* "/dev/vda2" */
        char disk[64];   /* "vda" */
        char label[128]; /* of GPT, "" if it has none */
        char uuid[37];   /* of GPT, lower case, "" if it has none */
        char type[37];   /* likewise, what the partition is for */
        unsigned number;
        uint64_t size;
};

/* The one partition with this GPT name, this unique GUID or this type GUID (any case); on this disk only, if
 * disk is not NULL. -ENOENT if there is none; -ENOTUNIQ if there are several, because then somebody put them
 * there for us to find. */
int partition_find_by_label(const char *label, const char *disk, struct partition *ret, struct error *e);
int partition_find_by_uuid(const char *uuid, const char *disk, struct partition *ret, struct error *e);
int partition_find_by_type(const char *type, const char *disk, struct partition *ret, struct error *e);

/* --- devices --- */

/* A read-only loop device over fd from offset (a multiple of 512) to the end, with blocks of block_size
 * bytes: dm-verity wants none larger than its own. It goes when its last user closes it. */
int loop_attach(int fd, uint64_t offset, uint32_t block_size, int *ret_fd, char ret_path[static 32],
                struct error *e);

/* Asks the kernel to let go of the loop device as soon as nobody uses it. */
int loop_detach(int loop_fd, struct error *e);

/* What the kernel does when a block is not what the root hash says: an I/O error for the reader, or the end
 * of the machine, because its own root cannot be trusted to notice. */
enum verity_corruption { VERITY_CORRUPTION_ERROR, VERITY_CORRUPTION_PANIC };

/* Makes the read-only device /dev/mapper/NAME. The kernel checks the signature against its keyrings; where
 * signature is NULL there is none, and IPE will treat the device so. hash_device may be data_device. Works
 * without udev. -EBADMSG, -EKEYREJECTED, -ENOKEY: the kernel refuses the signature. -EEXIST: there is such a
 * device. */
int verity_open_device(const char *name, const char *data_device, const char *hash_device,
                       const struct verity_geometry *g, const void *signature, size_t signature_size,
                       enum verity_corruption corruption, struct error *e);

/* Removes it. With `deferred` a busy device goes when its last user closes it. */
int verity_close_device(const char *name, bool deferred, struct error *e);

/* --- the store: an OCI image layout with signed EROFS layers --- */

#define STORE_LAYERS_MAX 128
#define STORE_IMAGES_MAX 4096

struct store_layer {
        char digest[72]; /* "sha256:HEX" of the blob as the manifest names it */
        char path[96];   /* "blobs/sha256/HEX", below the store */
        uint64_t size;
        struct verity_geometry geometry;
        uint8_t *signature; /* DER, checked for the purpose layer */
        size_t signature_size;
};

struct store_image {
        char *reference;
        char digest[72];            /* of the manifest */
        struct store_layer *layers; /* bottom first */
        size_t n_layers;
        sd_json_variant *config;         /* the whole image configuration */
        char **entrypoint, **cmd, **env; /* NULL-terminated, never NULL */
        char *user, *workdir;            /* "" if not given */
};
struct store_image *store_image_free(struct store_image *i);
DEFINE_CLEANUP(struct store_image *, store_image_free)

struct store;

/* Opens the layout at path (relative to dirfd) and reads its index. */
int store_open(int dirfd, const char *path, struct store **ret, struct error *e);
struct store *store_free(struct store *s);
DEFINE_CLEANUP(struct store *, store_free)

/* The names in the store, borrowed; *ret_n of them. */
const char *const *store_list(const struct store *s, size_t *ret_n);

/* Finds the image by its reference and checks all that is small: digest and size of manifest and
 * configuration, the manifest's signature (purpose manifest), each layer's signature over its root hash
 * (purpose layer). The layers' content is what dm-verity checks later, block by block. -ENOENT: not in the
 * store. -EBADMSG, -EKEYREJECTED, -ENOKEY: in it, but not to be trusted. */
int store_find_image(const struct store *s, const char *reference, const struct trust_store *trust,
                     struct store_image **ret, struct error *e);

/* Opens a layer's blob and compares its superblock with the geometry. */
int store_open_layer(const struct store *s, const struct store_layer *layer, int *ret_fd, struct error *e);
