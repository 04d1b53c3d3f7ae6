/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes of somebody else's file, and little-endian numbers in them. */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
        const uint8_t *bytes;
        size_t size;
};

/* size bytes at offset; false if they are not all inside s. ret may be &s. */
static inline bool slice_cut(struct slice s, uint64_t offset, uint64_t size, struct slice *ret)
{
        if (offset > s.size || size > s.size - offset)
                return false;
        *ret = (struct slice){s.bytes + offset, (size_t)size};
        return true;
}

static inline bool slice_equal(struct slice a, struct slice b)
{
        return a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0;
}

static inline uint16_t get_le16(const void *p)
{
        uint16_t v;

        memcpy(&v, p, sizeof(v));
        return le16toh(v);
}

static inline uint32_t get_le32(const void *p)
{
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return le32toh(v);
}

static inline uint64_t get_le64(const void *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return le64toh(v);
}
