/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "disk-image.h"
#include "erofs-read.h"
#include "internal.h"

void image_file_done(struct image_file *i)
{
        i->data_fd = close_fd(i->data_fd);
        i->hash_fd = close_fd(i->hash_fd);
}

static int set_block_size(uint32_t *field, uint64_t size)
{
        if (size > UINT32_MAX)
                return -EINVAL;
        if (size != 0)
                *field = (uint32_t)size;
        return 0;
}

int image_file_geometry(const struct image_file_options *o, uint64_t data_size, struct verity_geometry *ret,
                        struct error *e)
{
        struct verity_geometry g = {
                .algorithm = "sha256",
                .data_block_size = 4096,
                .hash_block_size = 4096,
                .hash_offset = o->hash_offset,
                .no_superblock = o->no_superblock,
                .salt_size = 32,
        };
        int r = 0;

        if (o->algorithm) {
                if (verity_digest_size(o->algorithm) == 0)
                        return error_set(e, -EINVAL,
                                         "--hash: sha256, sha384 or sha512 expected, found \"%.40s\"",
                                         o->algorithm);
                (void)stpcpy(g.algorithm, o->algorithm);
        }
        if (set_block_size(&g.data_block_size, o->data_block_size) < 0 ||
            set_block_size(&g.hash_block_size, o->hash_block_size) < 0)
                return error_set(e, -EINVAL, "block size: a power of two, 512 to 4096, expected");
        if (o->salt)
                r = verity_geometry_set_salt(&g, o->salt, e);
        if (r < 0)
                return r;
        g.data_blocks = o->data_blocks;
        if (g.data_blocks == 0 && g.data_block_size != 0)
                g.data_blocks = data_size / g.data_block_size;
        r = verity_geometry_check(&g, e);
        if (r < 0)
                return r;
        *ret = g;
        return 0;
}

/* Where the tree is behind an EROFS: at its end. */
static int default_offset(int fd, bool same_file, uint64_t *ret, struct error *e)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL;
        int r;

        if (!same_file) {
                *ret = 0;
                return 0;
        }
        r = erofs_image_open(fd, 0, &image, e);
        if (r < 0)
                return error_prefix(e, r, "no --hash-offset= or --hash-file=, so it must be an EROFS");
        *ret = erofs_image_size(image);
        return 0;
}

static int read_superblock(struct image_file *i, uint64_t offset, struct error *e)
{
        uint8_t block[VERITY_SUPERBLOCK_SIZE];
        uint64_t size = 0;
        int r;

        r = file_size(i->hash_fd, &size);
        if (r >= 0 && (size < sizeof(block) || offset > size - sizeof(block)))
                return error_set(e, -EBADMSG,
                                 "verity superblock expected at %" PRIu64 ", found the end at %" PRIu64,
                                 offset, size);
        if (r >= 0)
                r = pread_full(i->hash_fd, block, sizeof(block), offset);
        if (r < 0)
                return error_errno(e, r, "verity superblock at %" PRIu64, offset);
        r = verity_superblock_parse(block, sizeof(block), offset, &i->geometry, i->uuid, e);
        return r < 0 ? error_prefix(e, r, "at offset %" PRIu64, offset) : 0;
}

static bool has_parameters(const struct image_file_options *o)
{
        return o->algorithm || o->salt || o->data_block_size || o->hash_block_size || o->data_blocks;
}

/* --- disk images --- */

int image_file_signature(const struct image_file *i, struct verity_signature *ret, struct error *e)
{
        char text[VERITY_SIGNATURE_PARTITION_SIZE];
        int r;

        if (i->signature_size == 0)
                return error_set(e, -EBADMSG, "a signature partition expected, found none");
        r = pread_full(i->data_fd, text, i->signature_size, i->signature_offset);
        return r < 0 ? error_errno(e, r, "signature partition")
                     : verity_signature_parse(text, i->signature_size, ret, e);
}

static int claim_root_hash(struct image_file *i, struct error *e)
{
        struct verity_signature s = {};
        int r = image_file_signature(i, &s, e);

        if (r >= 0)
                r = verity_geometry_set_root_hash(&i->geometry, s.root_hash, e);
        verity_signature_done(&s);
        return r == -EINVAL ? -EBADMSG : r;
}

/* The partitions hold what the geometry says and, once the root hash is known, are the ones that belong to
 * it. */
static int check_partitions(const struct image_file *i, const struct disk_partition *const roles[DISK_ROLES],
                            struct error *e)
{
        const struct disk_partition *root = roles[DISK_ROOT], *tree = roles[DISK_ROOT_VERITY];
        sd_id128_t root_guid, tree_guid;

        if (verity_data_size(&i->geometry) > root->size)
                return error_set(e, -EBADMSG, "root partition: %" PRIu64 " bytes expected, found %" PRIu64,
                                 verity_data_size(&i->geometry), root->size);
        if (verity_tree_offset(&i->geometry) + verity_tree_size(&i->geometry) > tree->offset + tree->size)
                return error_set(e, -EBADMSG, "hash partition: %" PRIu64 " bytes expected, found %" PRIu64,
                                 verity_tree_offset(&i->geometry) + verity_tree_size(&i->geometry) -
                                         tree->offset,
                                 tree->size);
        if (i->geometry.root_hash_size == 0)
                return 0;
        disk_root_guids(&i->geometry, &root_guid, &tree_guid);
        if (!sd_id128_equal(root_guid, root->uuid) || !sd_id128_equal(tree_guid, tree->uuid))
                return error_set(e, -EBADMSG,
                                 "partition GUIDs " SD_ID128_UUID_FORMAT_STR " and " SD_ID128_UUID_FORMAT_STR
                                 " expected for this root hash, found others",
                                 SD_ID128_FORMAT_VAL(root_guid), SD_ID128_FORMAT_VAL(tree_guid));
        return 0;
}

static int open_partitions(struct image_file *i, const struct image_file_options *o, struct error *e)
{
        const struct disk_partition *roles[DISK_ROLES], *signature;
        struct disk_image disk = {};
        int r;

        r = disk_image_read(i->data_fd, &disk, e);
        if (r >= 0)
                r = disk_image_find_root(&disk, roles, NULL, e);
        if (r < 0)
                return r;
        if (!roles[DISK_ROOT_VERITY])
                return error_set(e, -EBADMSG, "a partition with the hash tree expected, found none");
        signature = roles[DISK_ROOT_VERITY_SIG];
        i->data_offset = roles[DISK_ROOT]->offset;
        if (signature) {
                i->signature_offset = signature->offset;
                i->signature_size = signature->size < VERITY_SIGNATURE_PARTITION_SIZE
                                            ? signature->size
                                            : VERITY_SIGNATURE_PARTITION_SIZE;
        }
        r = read_superblock(i, roles[DISK_ROOT_VERITY]->offset, e);
        if (r >= 0 && o->root_hash)
                r = verity_geometry_set_root_hash(&i->geometry, o->root_hash, e);
        else if (r >= 0 && o->claimed_root_hash)
                r = claim_root_hash(i, e);
        if (r >= 0)
                r = verity_geometry_check(&i->geometry, e);
        return r < 0 ? r : check_partitions(i, roles, e);
}

/* A disk image, unless the options say where the tree is. */
static int is_disk(const struct image_file *i, const struct image_file_options *o)
{
        return i->same_file && o->hash_offset == IMAGE_FILE_NO_OFFSET && !o->no_superblock
                       ? disk_image_probe(i->data_fd)
                       : 0;
}

/* --- single images --- */

static int find_geometry(struct image_file *i, const struct image_file_options *o, struct error *e)
{
        struct image_file_options known = *o;
        int r;

        if (known.hash_offset == IMAGE_FILE_NO_OFFSET) {
                r = default_offset(i->data_fd, i->same_file, &known.hash_offset, e);
                if (r < 0)
                        return r;
        }
        if (o->no_superblock)
                r = image_file_geometry(&known, i->same_file ? known.hash_offset : i->data_size, &i->geometry,
                                        e);
        else
                r = read_superblock(i, known.hash_offset, e);
        if (r < 0)
                return r;
        if (i->same_file && verity_data_size(&i->geometry) > known.hash_offset)
                return error_set(e, -EBADMSG,
                                 "data that ends before the tree at %" PRIu64 " expected, found %" PRIu64
                                 " bytes of it",
                                 known.hash_offset, verity_data_size(&i->geometry));
        if (o->root_hash)
                r = verity_geometry_set_root_hash(&i->geometry, o->root_hash, e);
        return r < 0 ? r : verity_geometry_check(&i->geometry, e);
}

static int learn(struct image_file *i, const struct image_file_options *o, struct error *e)
{
        int r;

        if (!o->no_superblock && has_parameters(o))
                return error_set(e, -EINVAL,
                                 "--no-superblock expected with a hash algorithm, salt, block size or number "
                                 "of blocks, because a superblock has its own");
        r = file_size(i->data_fd, &i->data_size);
        if (r >= 0)
                r = is_disk(i, o);
        if (r < 0)
                return error_errno(e, r, "read");
        return r > 0 ? open_partitions(i, o, e) : find_geometry(i, o, e);
}

int image_file_open(const char *path, const struct image_file_options *o, struct image_file *ret,
                    struct error *e)
{
        const char *hash_file = o->hash_file ?: path;
        struct image_file i = {.data_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY),
                               .hash_fd = open(hash_file, O_RDONLY | O_CLOEXEC | O_NOCTTY),
                               .same_file = !o->hash_file};
        int r;

        if (i.data_fd < 0)
                r = error_errno(e, -errno, "%s", path);
        else if (i.hash_fd < 0)
                r = error_errno(e, -errno, "%s", hash_file);
        else {
                r = learn(&i, o, e);
                if (r < 0)
                        (void)error_prefix(e, r, "%s", path);
        }
        if (r < 0) {
                image_file_done(&i);
                return r;
        }
        *ret = i;
        return 0;
}
