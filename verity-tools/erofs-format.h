/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EROFS as it lies on the disk, little endian (fs/erofs/erofs_fs.h of Linux). */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define EROFS_SUPER_OFFSET 1024
#define EROFS_MAGIC 0xE0F5E1E2u
#define EROFS_BLOCK 4096
#define EROFS_BLOCK_BITS 12
#define EROFS_SLOT 32 /* a node number counts these from the begin of the metadata */

#define EROFS_COMPAT_SB_CHKSUM 0x1u
#define EROFS_COMPAT_MTIME 0x2u
#define EROFS_COMPAT_XATTR_FILTER 0x4u
#define EROFS_COMPAT_ISHARE_XATTRS 0x20u

#define EROFS_INCOMPAT_ZERO_PADDING 0x1u
#define EROFS_INCOMPAT_BIG_PCLUSTER 0x2u
#define EROFS_INCOMPAT_CHUNKED_FILE 0x4u
#define EROFS_INCOMPAT_DEVICE_TABLE 0x8u
#define EROFS_INCOMPAT_ZTAILPACKING 0x10u
#define EROFS_INCOMPAT_FRAGMENTS 0x20u
#define EROFS_INCOMPAT_XATTR_PREFIXES 0x40u
#define EROFS_INCOMPAT_LINUX_6_12 0x7fu

struct erofs_super {
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

/* i_format: bit 0 extended, bits 1 to 3 the layout of the data. */
#define EROFS_INODE_EXTENDED 1u
enum erofs_layout {
        EROFS_FLAT_PLAIN = 0,
        EROFS_COMPRESSED_FULL,
        EROFS_FLAT_INLINE,
        EROFS_COMPRESSED_COMPACT,
        EROFS_CHUNKED
};

/* The location of a chunk-based file: bits 0 to 4 the chunk size in blocks, bit 5: entries of 8 bytes. */
#define EROFS_CHUNK_BLOCK_BITS 0x1fu
#define EROFS_CHUNK_INDEXES 0x20u
#define EROFS_CHUNK_HOLE UINT32_MAX

struct erofs_chunk_index {
        uint16_t advise;
        uint16_t device;
        uint32_t block;
} __attribute__((packed));

struct erofs_inode_compact {
        uint16_t format;
        uint16_t xattr_count;
        uint16_t mode;
        uint16_t nlink;
        uint32_t size;
        uint32_t reserved;
        uint32_t location; /* first block, device number or chunk format */
        uint32_t ino;
        uint16_t uid;
        uint16_t gid;
        uint32_t reserved2;
} __attribute__((packed));

struct erofs_inode_extended {
        uint16_t format;
        uint16_t xattr_count;
        uint16_t mode;
        uint16_t reserved;
        uint64_t size;
        uint32_t location;
        uint32_t ino;
        uint32_t uid;
        uint32_t gid;
        uint64_t mtime;
        uint32_t mtime_nsec;
        uint32_t nlink;
        uint8_t reserved2[16];
} __attribute__((packed));

/* Behind the inode: this header, then entries, each begun at a multiple of 4. xattr_count is 0 for none, else
 * 1 and a quarter of the bytes behind the header. */
struct erofs_xattr_header {
        uint32_t name_filter;
        uint8_t shared_count;
        uint8_t reserved[7];
} __attribute__((packed));

struct erofs_xattr_entry {
        uint8_t name_size; /* without the prefix */
        uint8_t prefix;
        uint16_t value_size;
        /* name, value */
} __attribute__((packed));

/* In erofs_xattr_entry.prefix: the rest is an index of the table of long prefixes. */
#define EROFS_XATTR_LONG_PREFIX 0x80u

enum erofs_xattr_prefix {
        EROFS_XATTR_USER = 1,
        EROFS_XATTR_ACL_ACCESS = 2,
        EROFS_XATTR_ACL_DEFAULT = 3,
        EROFS_XATTR_TRUSTED = 4,
        EROFS_XATTR_SECURITY = 6,
};

/* A directory block: these, sorted by name; then the names. The first name's offset tells how many there are.
 */
struct erofs_dirent {
        uint64_t nid;
        uint16_t name_offset;
        uint8_t type;
        uint8_t reserved;
} __attribute__((packed));

enum erofs_file_type {
        EROFS_FT_REGULAR = 1,
        EROFS_FT_DIRECTORY,
        EROFS_FT_CHARACTER,
        EROFS_FT_BLOCK,
        EROFS_FT_FIFO,
        EROFS_FT_SOCKET,
        EROFS_FT_SYMLINK,
};

static_assert(sizeof(struct erofs_super) == 128, "the on-disk size");
static_assert(sizeof(struct erofs_chunk_index) == 8, "the on-disk size");
static_assert(sizeof(struct erofs_inode_compact) == 32, "the on-disk size");
static_assert(sizeof(struct erofs_inode_extended) == 64, "the on-disk size");
static_assert(sizeof(struct erofs_xattr_header) == 12, "the on-disk size");
static_assert(sizeof(struct erofs_xattr_entry) == 4, "the on-disk size");
static_assert(sizeof(struct erofs_dirent) == 12, "the on-disk size");

/* The superblock's checksum: CRC-32C of its block from the superblock on, without the final inversion, with
 * the checksum itself as zeros. block: EROFS_BLOCK bytes. */
uint32_t erofs_checksum(const uint8_t *block);
