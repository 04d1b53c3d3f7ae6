/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EROFS's superblock (fs/erofs/erofs_fs.h of Linux): only what decides whether an image may be signed or
 * mounted. */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "internal.h"

#define SUPER_OFFSET 1024
#define MAGIC 0xE0F5E1E2u
#define BLOCK 4096

#define COMPAT_SB_CHKSUM 0x1u
#define COMPAT_MTIME 0x2u
#define COMPAT_XATTR_FILTER 0x4u

struct super {
        uint32_t magic;
        uint32_t checksum;
        uint32_t feature_compat;
        uint8_t blkszbits;
        uint8_t sb_extslots;
        uint16_t root_nid;
        uint64_t inos;
        uint64_t build_time;
        uint32_t build_time_nsec;
        uint32_t blocks;
        uint32_t meta_blkaddr;
        uint32_t xattr_blkaddr;
        uint8_t uuid[16];
        uint8_t volume_name[16];
        uint32_t feature_incompat;
        uint16_t compression;
        uint16_t extra_devices;
        uint16_t devt_slotoff;
        uint8_t dirblkbits;
        uint8_t xattr_prefix_count;
        uint32_t xattr_prefix_start;
        uint64_t packed_nid;
        uint8_t xattr_filter_reserved;
        uint8_t reserved[23];
} __attribute__((packed));

static_assert(sizeof(struct super) == 128, "the on-disk size");

/* CRC-32C without the final inversion, as EROFS keeps it. */
static uint32_t crc32c(uint32_t crc, const uint8_t *p, size_t n)
{
        while (n-- > 0) {
                crc ^= *p++;
                for (int bit = 0; bit < 8; bit++)
                        crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
        }
        return crc;
}

static int check_features(const struct super *s, struct error *e)
{
        uint32_t compat = le32toh(s->feature_compat), incompat = le32toh(s->feature_incompat);
        uint32_t beyond = compat & ~(COMPAT_SB_CHKSUM | COMPAT_MTIME | COMPAT_XATTR_FILTER);

        if (s->blkszbits != 12)
                return error_set(e, -EBADMSG, "EROFS: blocks of 4096 bytes expected, found 2^%u",
                                 s->blkszbits);
        if (s->dirblkbits != 0)
                return error_set(e, -EBADMSG,
                                 "EROFS: directory blocks of 4096 bytes expected, found another size");
        if (incompat != 0)
                return error_set(e, -EBADMSG, "EROFS: feature_incompat 0 expected, found 0x%x", incompat);
        if (s->extra_devices != 0)
                return error_set(e, -EBADMSG,
                                 "EROFS: one device expected, found %u more, which no root hash would cover",
                                 le16toh(s->extra_devices));
        if (beyond != 0)
                return error_set(e, -EBADMSG, "EROFS: feature_compat within 0x7 expected, found 0x%x",
                                 compat);
        return 0;
}

int erofs_check(int fd, struct erofs_info *ret, struct error *e)
{
        uint8_t block[BLOCK];
        uint64_t size = 0;
        struct super s;
        int r;

        r = file_size(fd, &size);
        if (r >= 0 && size < sizeof(block))
                return error_set(e, -EBADMSG, "EROFS: at least one block expected, found %" PRIu64 " bytes",
                                 size);
        if (r >= 0)
                r = pread_full(fd, block, sizeof(block), 0);
        if (r < 0)
                return error_errno(e, r, "EROFS superblock");
        memcpy(&s, block + SUPER_OFFSET, sizeof(s));
        if (le32toh(s.magic) != MAGIC)
                return error_set(e, -EBADMSG, "EROFS: magic 0x%x expected, found 0x%x", MAGIC,
                                 le32toh(s.magic));
        r = check_features(&s, e);
        if (r < 0)
                return r;
        if (s.blocks == 0 || le32toh(s.blocks) > size / BLOCK)
                return error_set(e, -EBADMSG, "EROFS: 1 to %" PRIu64 " blocks expected, found %" PRIu32,
                                 size / BLOCK, le32toh(s.blocks));
        memset(block + SUPER_OFFSET + offsetof(struct super, checksum), 0, sizeof(s.checksum));
        if ((le32toh(s.feature_compat) & COMPAT_SB_CHKSUM) &&
            crc32c(~0u, block + SUPER_OFFSET, BLOCK - SUPER_OFFSET) != le32toh(s.checksum))
                return error_set(e, -EBADMSG, "EROFS: superblock checksum does not match");
        *ret = (struct erofs_info){
                .block_size = BLOCK,
                .blocks = le32toh(s.blocks),
                .feature_compat = le32toh(s.feature_compat),
                .feature_incompat = le32toh(s.feature_incompat),
        };
        memcpy(ret->uuid, s.uuid, sizeof(s.uuid));
        return 0;
}
