/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cryptsetup's verity superblock, version 1. It is not covered by the root hash, so nothing is taken from it
 * that signed data does not say too. */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "internal.h"

void uuid_from_digest(const uint8_t digest[static 16], uint8_t ret[static 16])
{
        memcpy(ret, digest, 16);
        ret[6] = (uint8_t)(0x80 | (ret[6] & 0x0f));
        ret[8] = (uint8_t)(0x80 | (ret[8] & 0x3f));
}

struct superblock {
        uint8_t signature[8];
        uint32_t version;
        uint32_t hash_type;
        uint8_t uuid[16];
        char algorithm[32];
        uint32_t data_block_size;
        uint32_t hash_block_size;
        uint64_t data_blocks;
        uint16_t salt_size;
        uint8_t pad1[6];
        uint8_t salt[VERITY_SALT_MAX];
        uint8_t pad2[168];
} __attribute__((packed));

static_assert(sizeof(struct superblock) == VERITY_SUPERBLOCK_SIZE, "the on-disk size");

static const uint8_t magic[8] = {'v', 'e', 'r', 'i', 't', 'y', 0, 0};

void verity_superblock_write(const struct verity_geometry *g, const uint8_t uuid[static 16],
                             uint8_t ret[static VERITY_SUPERBLOCK_SIZE])
{
        struct superblock sb = {
                .version = htole32(1),
                .hash_type = htole32(1),
                .data_block_size = htole32(g->data_block_size),
                .hash_block_size = htole32(g->hash_block_size),
                .data_blocks = htole64(g->data_blocks),
                .salt_size = htole16((uint16_t)g->salt_size),
        };

        memcpy(sb.signature, magic, sizeof(magic));
        memcpy(sb.uuid, uuid, sizeof(sb.uuid));
        memcpy(sb.algorithm, g->algorithm, strlen(g->algorithm));
        memcpy(sb.salt, g->salt, g->salt_size);
        memcpy(ret, &sb, sizeof(sb));
}

int verity_superblock_parse(const void *block, size_t size, uint64_t hash_offset, struct verity_geometry *ret,
                            uint8_t ret_uuid[static 16], struct error *e)
{
        struct verity_geometry g = {.hash_offset = hash_offset};
        struct superblock sb;

        if (size < sizeof(sb))
                return error_set(e, -EBADMSG, "verity superblock: %zu bytes expected, found %zu", sizeof(sb),
                                 size);
        memcpy(&sb, block, sizeof(sb));
        if (memcmp(sb.signature, magic, sizeof(magic)) != 0)
                return error_set(e, -EBADMSG,
                                 "verity superblock: signature \"verity\" expected, found something else");
        if (le32toh(sb.version) != 1)
                return error_set(e, -EBADMSG, "verity superblock: version 1 expected, found %" PRIu32,
                                 le32toh(sb.version));
        if (le32toh(sb.hash_type) != 1)
                return error_set(e, -EBADMSG,
                                 "verity superblock: hash type 1, salt before data, expected, found %" PRIu32,
                                 le32toh(sb.hash_type));
        if (!memchr(sb.algorithm, '\0', sizeof(sb.algorithm)))
                return error_set(e, -EBADMSG,
                                 "verity superblock: algorithm: a terminated name expected, found none");
        g.salt_size = le16toh(sb.salt_size);
        if (g.salt_size > VERITY_SALT_MAX)
                return error_set(e, -EBADMSG,
                                 "verity superblock: salt of at most %d bytes expected, found %zu",
                                 VERITY_SALT_MAX, g.salt_size);
        memcpy(g.algorithm, sb.algorithm, sizeof(sb.algorithm));
        memcpy(g.salt, sb.salt, g.salt_size);
        g.data_block_size = le32toh(sb.data_block_size);
        g.hash_block_size = le32toh(sb.hash_block_size);
        g.data_blocks = le64toh(sb.data_blocks);
        if (verity_geometry_check(&g, e) < 0)
                return error_prefix(e, -EBADMSG, "verity superblock");
        *ret = g;
        memcpy(ret_uuid, sb.uuid, sizeof(sb.uuid));
        return 0;
}

int verity_superblock_compare(int hash_fd, const struct verity_geometry *g, struct error *e)
{
        uint8_t block[VERITY_SUPERBLOCK_SIZE], uuid[16];
        struct verity_geometry found = {};
        const char *field = NULL;
        int r;

        r = pread_full(hash_fd, block, sizeof(block), g->hash_offset);
        if (r < 0)
                return error_errno(e, r, "verity superblock at %" PRIu64, g->hash_offset);
        r = verity_superblock_parse(block, sizeof(block), g->hash_offset, &found, uuid, e);
        if (r < 0)
                return r;
        if (strcmp(found.algorithm, g->algorithm) != 0)
                field = "hash algorithm";
        else if (found.data_block_size != g->data_block_size)
                field = "data block size";
        else if (found.hash_block_size != g->hash_block_size)
                field = "hash block size";
        else if (found.data_blocks != g->data_blocks)
                field = "number of data blocks";
        else if (found.salt_size != g->salt_size || memcmp(found.salt, g->salt, g->salt_size) != 0)
                field = "salt";
        if (field)
                return error_set(e, -EBADMSG,
                                 "verity superblock: the %s of the signed geometry expected, found another",
                                 field);
        return 0;
}
