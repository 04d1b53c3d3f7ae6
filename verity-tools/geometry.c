/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/hex.h"
#include "internal.h"

/* Everything is counted in off_t and in the kernel's 512-byte sectors; 2^62 leaves room for both. */
#define SIZE_LIMIT (UINT64_C(1) << 62)

size_t verity_digest_size(const char *algorithm)
{
        if (strcmp(algorithm, "sha256") == 0)
                return 32;
        if (strcmp(algorithm, "sha384") == 0)
                return 48;
        if (strcmp(algorithm, "sha512") == 0)
                return 64;
        return 0;
}

static bool block_size_ok(uint32_t size)
{
        return size >= 512 && size <= 4096 && (size & (size - 1)) == 0;
}

uint64_t verity_data_size(const struct verity_geometry *g)
{
        return g->data_blocks * g->data_block_size;
}

uint64_t verity_tree_offset(const struct verity_geometry *g)
{
        return g->no_superblock ? g->hash_offset
                                : round_up(g->hash_offset + VERITY_SUPERBLOCK_SIZE, g->hash_block_size);
}

void verity_layout_of(const struct verity_geometry *g, struct verity_layout *ret)
{
        uint64_t per_block, n = g->data_blocks, offset = verity_tree_offset(g);

        *ret = (struct verity_layout){.digest = verity_digest_size(g->algorithm),
                                      .block = g->hash_block_size};
        ret->slot = ret->digest <= 32 ? 32 : 64;
        per_block = g->hash_block_size / ret->slot;
        while (n > 1) {
                n = (n + per_block - 1) / per_block;
                ret->blocks[ret->levels++] = n;
        }
        for (unsigned l = ret->levels; l-- > 0;) {
                ret->offset[l] = offset;
                offset += ret->blocks[l] * g->hash_block_size;
        }
}

uint64_t verity_tree_size(const struct verity_geometry *g)
{
        struct verity_layout layout;
        uint64_t blocks = 0;

        verity_layout_of(g, &layout);
        for (unsigned l = 0; l < layout.levels; l++)
                blocks += layout.blocks[l];
        return blocks * g->hash_block_size;
}

int verity_geometry_check(const struct verity_geometry *g, struct error *e)
{
        size_t digest = verity_digest_size(g->algorithm);
        uint32_t alignment;

        if (digest == 0)
                return error_set(e, -EINVAL,
                                 "hash algorithm: sha256, sha384 or sha512 expected, found \"%s\"",
                                 g->algorithm);
        if (!block_size_ok(g->data_block_size))
                return error_set(e, -EINVAL,
                                 "data block size: a power of two, 512 to 4096, expected, found %" PRIu32,
                                 g->data_block_size);
        if (!block_size_ok(g->hash_block_size))
                return error_set(e, -EINVAL,
                                 "hash block size: a power of two, 512 to 4096, expected, found %" PRIu32,
                                 g->hash_block_size);
        if (g->data_blocks == 0 || g->data_blocks >= SIZE_LIMIT / 4096)
                return error_set(e, -EINVAL, "data blocks: 1 to 2^50 - 1 expected, found %" PRIu64,
                                 g->data_blocks);
        alignment = g->no_superblock ? g->hash_block_size : VERITY_SUPERBLOCK_SIZE;
        if (g->hash_offset % alignment != 0 || g->hash_offset >= SIZE_LIMIT)
                return error_set(e, -EINVAL,
                                 "hash offset: a multiple of %" PRIu32 " expected, found %" PRIu64, alignment,
                                 g->hash_offset);
        if (g->salt_size > VERITY_SALT_MAX)
                return error_set(e, -EINVAL, "salt: at most %d bytes expected, found %zu", VERITY_SALT_MAX,
                                 g->salt_size);
        if (g->root_hash_size != 0 && g->root_hash_size != digest)
                return error_set(e, -EINVAL, "root hash: %zu bytes expected for %s, found %zu", digest,
                                 g->algorithm, g->root_hash_size);
        return 0;
}

#define PROFILE_SALT "0000000000000000000000000000000000000000000000000000000000000000"

/* Hex digits of at most max bytes. */
static int decode(const char *name, const char *field, const char *hex, size_t max, uint8_t *ret,
                  size_t *ret_size, struct error *e)
{
        size_t n = strlen(hex);

        if (n > 2 * max || n % 2 != 0 || hex_decode(hex, ret, n / 2) < 0)
                return error_set(e, -EINVAL,
                                 "%s: field \"%s\": at most %zu bytes in hex expected, found %.80s", name,
                                 field, max, hex);
        *ret_size = n / 2;
        return 0;
}

int verity_geometry_set_root_hash(struct verity_geometry *g, const char *hex, struct error *e)
{
        return decode("verity", "root_hash", hex, VERITY_DIGEST_MAX, g->root_hash, &g->root_hash_size, e);
}

int verity_geometry_set_salt(struct verity_geometry *g, const char *hex, struct error *e)
{
        return decode("verity", "salt", strcmp(hex, "-") == 0 ? "" : hex, VERITY_SALT_MAX, g->salt,
                      &g->salt_size, e);
}

static int set_algorithm(struct verity_geometry *g, const char *name, const char *algorithm, struct error *e)
{
        if (verity_digest_size(algorithm) == 0)
                return error_set(e, -EINVAL,
                                 "%s: hash algorithm sha256, sha384 or sha512 expected, found \"%.40s\"",
                                 name, algorithm);
        (void)stpcpy(g->algorithm, algorithm);
        return 0;
}

static int set_data_size(struct verity_geometry *g, const char *name, uint64_t size, struct error *e)
{
        if (!block_size_ok(g->data_block_size) || size % g->data_block_size != 0)
                return error_set(e, -EINVAL,
                                 "%s: data size: whole blocks of %" PRIu32 " expected, found %" PRIu64, name,
                                 g->data_block_size, size);
        g->data_blocks = size / g->data_block_size;
        return 0;
}

static int finish(struct verity_geometry *g, const char *name, struct error *e)
{
        int r;

        r = verity_geometry_check(g, e);
        if (r < 0)
                return error_prefix(e, r, "%s", name);
        if (g->root_hash_size == 0)
                return error_set(e, -EINVAL, "%s: a root hash expected, found an empty one", name);
        return 0;
}

int verity_geometry_profile(uint64_t data_size, uint64_t hash_offset, const char *root_hash,
                            struct verity_geometry *ret, struct error *e)
{
        struct verity_geometry g = {
                .algorithm = "sha256",
                .data_block_size = 4096,
                .hash_block_size = 4096,
                .hash_offset = hash_offset,
                .salt_size = 32,
        };
        int r;

        r = set_data_size(&g, "verity profile", data_size, e);
        if (r < 0)
                return r;
        if (root_hash) {
                r = verity_geometry_set_root_hash(&g, root_hash, e);
                if (r < 0)
                        return r;
        }
        r = verity_geometry_check(&g, e);
        if (r < 0)
                return r;
        *ret = g;
        return 0;
}

int verity_geometry_from_json(sd_json_variant *object, const char *name, struct verity_geometry *ret,
                              struct error *e)
{
        const char *algorithm = NULL, *salt = NULL, *root_hash = NULL;
        uint64_t data_block = 0, hash_block = 0, data_size = 0;
        struct verity_geometry g = {};
        int r;

        if ((r = json_string(object, name, "algorithm", &algorithm, e)) < 0 ||
            (r = json_string(object, name, "salt", &salt, e)) < 0 ||
            (r = json_string(object, name, "root_hash", &root_hash, e)) < 0 ||
            (r = json_unsigned(object, name, "data_block_size", 4096, &data_block, e)) < 0 ||
            (r = json_unsigned(object, name, "hash_block_size", 4096, &hash_block, e)) < 0 ||
            (r = json_unsigned(object, name, "data_size", SIZE_LIMIT, &data_size, e)) < 0 ||
            (r = json_unsigned(object, name, "hash_offset", SIZE_LIMIT, &g.hash_offset, e)) < 0)
                return r;
        g.data_block_size = (uint32_t)data_block;
        g.hash_block_size = (uint32_t)hash_block;
        if ((r = set_algorithm(&g, name, algorithm, e)) < 0 ||
            (r = set_data_size(&g, name, data_size, e)) < 0 ||
            (r = decode(name, "salt", salt, VERITY_SALT_MAX, g.salt, &g.salt_size, e)) < 0 ||
            (r = decode(name, "root_hash", root_hash, VERITY_DIGEST_MAX, g.root_hash, &g.root_hash_size, e)) <
                    0 ||
            (r = finish(&g, name, e)) < 0)
                return r;
        *ret = g;
        return 0;
}

/* Annotations are strings: a number is decimal digits and nothing else. Where it is absent it is `fallback`.
 */
static int annotation_number(sd_json_variant *annotations, const char *name, const char *field, uint64_t max,
                             uint64_t fallback, uint64_t *ret, struct error *e)
{
        const char *text = NULL;
        uint64_t n = 0;
        int r;

        *ret = fallback;
        if (!sd_json_variant_by_key(annotations, field))
                return 0;
        r = json_string(annotations, name, field, &text, e);
        if (r < 0)
                return r;
        for (const char *p = text; *p; p++) {
                if (*p < '0' || *p > '9' || n > max / 10)
                        return error_set(e, -EINVAL,
                                         "%s: annotation \"%s\": 0 to %" PRIu64 " expected, found \"%.40s\"",
                                         name, field, max, text);
                n = n * 10 + (uint64_t)(*p - '0');
        }
        if (text[0] == '\0' || n > max)
                return error_set(e, -EINVAL,
                                 "%s: annotation \"%s\": 0 to %" PRIu64 " expected, found \"%.40s\"", name,
                                 field, max, text);
        *ret = n;
        return 0;
}

static int annotation_text(sd_json_variant *annotations, const char *name, const char *field,
                           const char *fallback, const char **ret, struct error *e)
{
        *ret = fallback;
        return sd_json_variant_by_key(annotations, field) ? json_string(annotations, name, field, ret, e) : 0;
}

/* "ALGORITHM:HEX", where the algorithm must be the one that the geometry names. */
static int annotation_root_digest(sd_json_variant *annotations, const char *name, struct verity_geometry *g,
                                  struct error *e)
{
        const char *digest = NULL;
        size_t n = strlen(g->algorithm);
        int r;

        r = json_string(annotations, name, "org.erofs.dmverity.root_digest", &digest, e);
        if (r < 0)
                return r;
        if (strncmp(digest, g->algorithm, n) != 0 || digest[n] != ':')
                return error_set(e, -EINVAL, "%s: root digest \"%s:…\" expected, found \"%.80s\"", name,
                                 g->algorithm, digest);
        return decode(name, "org.erofs.dmverity.root_digest", digest + n + 1, VERITY_DIGEST_MAX, g->root_hash,
                      &g->root_hash_size, e);
}

/* The EROFS image specification has but root digest, hash offset (which is also the size of the data) and
 * block size; it leaves algorithm and salt to the superblock. Ours are all signed, so what is absent is the
 * profile's. */
int verity_geometry_from_annotations(sd_json_variant *a, const char *name, struct verity_geometry *ret,
                                     struct error *e)
{
        const char *algorithm = NULL, *salt = NULL, *offset = NULL;
        uint64_t data_block = 0, hash_block = 0, data_size = 0;
        struct verity_geometry g = {};
        int r;

        if ((r = json_string(a, name, "org.erofs.dmverity.hash_offset", &offset, e)) < 0 ||
            (r = annotation_text(a, name, "io.holdfast.verity.algorithm", "sha256", &algorithm, e)) < 0 ||
            (r = annotation_text(a, name, "io.holdfast.verity.salt", PROFILE_SALT, &salt, e)) < 0 ||
            (r = annotation_number(a, name, "org.erofs.dmverity.block_size", 4096, 4096, &data_block, e)) <
                    0 ||
            (r = annotation_number(a, name, "io.holdfast.verity.hash_block_size", 4096, data_block,
                                   &hash_block, e)) < 0 ||
            (r = annotation_number(a, name, "org.erofs.dmverity.hash_offset", SIZE_LIMIT, 0, &g.hash_offset,
                                   e)) < 0 ||
            (r = annotation_number(a, name, "io.holdfast.verity.data_size", SIZE_LIMIT, g.hash_offset,
                                   &data_size, e)) < 0)
                return r;
        g.data_block_size = (uint32_t)data_block;
        g.hash_block_size = (uint32_t)hash_block;
        if ((r = set_algorithm(&g, name, algorithm, e)) < 0 ||
            (r = set_data_size(&g, name, data_size, e)) < 0 ||
            (r = decode(name, "io.holdfast.verity.salt", salt, VERITY_SALT_MAX, g.salt, &g.salt_size, e)) <
                    0 ||
            (r = annotation_root_digest(a, name, &g, e)) < 0 || (r = finish(&g, name, e)) < 0)
                return r;
        *ret = g;
        return 0;
}

void verity_geometry_root_hash(const struct verity_geometry *g, char ret[static 2 * VERITY_DIGEST_MAX + 1])
{
        hex_encode(g->root_hash, g->root_hash_size, ret);
}

int verity_geometry_to_annotations(const struct verity_geometry *g, sd_json_variant **ret, struct error *e)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1], salt[2 * VERITY_SALT_MAX + 1], digest[200],
                hash_offset[24], block_size[24], hash_block[24], data_size[24];
        int r;

        verity_geometry_root_hash(g, root_hash);
        hex_encode(g->salt, g->salt_size, salt);
        (void)snprintf(digest, sizeof(digest), "%s:%s", g->algorithm, root_hash);
        (void)snprintf(hash_offset, sizeof(hash_offset), "%" PRIu64, g->hash_offset);
        (void)snprintf(block_size, sizeof(block_size), "%" PRIu32, g->data_block_size);
        (void)snprintf(hash_block, sizeof(hash_block), "%" PRIu32, g->hash_block_size);
        (void)snprintf(data_size, sizeof(data_size), "%" PRIu64, verity_data_size(g));
        r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("org.erofs.dmverity.root_digest", digest),
                           SD_JSON_BUILD_PAIR_STRING("org.erofs.dmverity.hash_offset", hash_offset),
                           SD_JSON_BUILD_PAIR_STRING("org.erofs.dmverity.block_size", block_size),
                           SD_JSON_BUILD_PAIR_STRING("io.holdfast.verity.data_size", data_size),
                           SD_JSON_BUILD_PAIR_STRING("io.holdfast.verity.salt", salt),
                           SD_JSON_BUILD_PAIR_STRING("io.holdfast.verity.algorithm", g->algorithm),
                           SD_JSON_BUILD_PAIR_STRING("io.holdfast.verity.hash_block_size", hash_block));
        return r < 0 ? error_errno(e, r, "annotations") : 0;
}

int verity_geometry_to_json(const struct verity_geometry *g, sd_json_variant **ret)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1], salt[2 * VERITY_SALT_MAX + 1];

        verity_geometry_root_hash(g, root_hash);
        hex_encode(g->salt, g->salt_size, salt);
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("root_hash", root_hash),
                              SD_JSON_BUILD_PAIR_UNSIGNED("hash_offset", g->hash_offset),
                              SD_JSON_BUILD_PAIR_UNSIGNED("data_size", verity_data_size(g)),
                              SD_JSON_BUILD_PAIR_STRING("salt", salt),
                              SD_JSON_BUILD_PAIR_STRING("algorithm", g->algorithm),
                              SD_JSON_BUILD_PAIR_UNSIGNED("data_block_size", g->data_block_size),
                              SD_JSON_BUILD_PAIR_UNSIGNED("hash_block_size", g->hash_block_size));
}
