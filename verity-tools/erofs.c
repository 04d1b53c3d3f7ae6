/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EROFS's superblock (fs/erofs/erofs_fs.h of Linux): only what decides whether an image may be signed or
 * mounted. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "erofs-format.h"
#include "internal.h"

static uint32_t crc32c(uint32_t crc, const uint8_t *p, size_t n)
{
        while (n-- > 0) {
                crc ^= *p++;
                for (int bit = 0; bit < 8; bit++)
                        crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
        }
        return crc;
}

uint32_t erofs_checksum(const uint8_t *block)
{
        static const uint8_t zeros[sizeof(uint32_t)];
        size_t at = EROFS_SUPER_OFFSET + offsetof(struct erofs_super, checksum);
        uint32_t crc;

        crc = crc32c(~0u, block + EROFS_SUPER_OFFSET, at - EROFS_SUPER_OFFSET);
        crc = crc32c(crc, zeros, sizeof(zeros));
        return crc32c(crc, block + at + sizeof(zeros), EROFS_BLOCK - at - sizeof(zeros));
}

static int check_features(const struct erofs_super *s, struct error *e)
{
        uint32_t compat = le32toh(s->feature_compat), incompat = le32toh(s->feature_incompat);
        uint32_t beyond = compat & ~(EROFS_COMPAT_SB_CHKSUM | EROFS_COMPAT_MTIME | EROFS_COMPAT_XATTR_FILTER);

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
        uint8_t block[EROFS_BLOCK];
        uint64_t size = 0;
        struct erofs_super s;
        int r;

        r = file_size(fd, &size);
        if (r >= 0 && size < sizeof(block))
                return error_set(e, -EBADMSG, "EROFS: at least one block expected, found %" PRIu64 " bytes",
                                 size);
        if (r >= 0)
                r = pread_full(fd, block, sizeof(block), 0);
        if (r < 0)
                return error_errno(e, r, "EROFS superblock");
        memcpy(&s, block + EROFS_SUPER_OFFSET, sizeof(s));
        if (le32toh(s.magic) != EROFS_MAGIC)
                return error_set(e, -EBADMSG, "EROFS: magic 0x%x expected, found 0x%x", EROFS_MAGIC,
                                 le32toh(s.magic));
        r = check_features(&s, e);
        if (r < 0)
                return r;
        if (s.blocks == 0 || le32toh(s.blocks) > size / EROFS_BLOCK)
                return error_set(e, -EBADMSG, "EROFS: 1 to %" PRIu64 " blocks expected, found %" PRIu32,
                                 size / EROFS_BLOCK, le32toh(s.blocks));
        if ((le32toh(s.feature_compat) & EROFS_COMPAT_SB_CHKSUM) &&
            erofs_checksum(block) != le32toh(s.checksum))
                return error_set(e, -EBADMSG, "EROFS: superblock checksum does not match");
        *ret = (struct erofs_info){
                .block_size = EROFS_BLOCK,
                .blocks = le32toh(s.blocks),
                .feature_compat = le32toh(s.feature_compat),
                .feature_incompat = le32toh(s.feature_incompat),
        };
        memcpy(ret->uuid, s.uuid, sizeof(s.uuid));
        return 0;
}
