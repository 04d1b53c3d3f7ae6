/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/initrd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zstd.h>

#include "base/cleanup.h"

#define HEADER_SIZE 110u
#define WINDOW_LOG_MAX 27 /* what the kernel's decompressor takes */
#define FRAMES_MAX 256u
#define ZSTD_MAGIC 0xfd2fb528u

DEFINE_CLEANUP(ZSTD_DStream *, ZSTD_freeDStream)

struct search {
        const char *path;
        size_t unpacked; /* bytes of compressed archives so far */
        unsigned frames; /* number of them */
        uint8_t *found;
        size_t found_size;
};

static int bad(struct error *e, const char *what)
{
        return error_set(e, -EBADMSG, "initrd: %s", what);
}

static bool read_field(const uint8_t *header, unsigned number, uint32_t *ret)
{
        uint32_t value = 0;

        for (unsigned i = 0; i < 8; i++) {
                uint8_t c = header[6 + 8 * number + i];

                if (c >= '0' && c <= '9')
                        value = value << 4 | (uint32_t)(c - '0');
                else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                        value = value << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
                else
                        return false;
        }
        *ret = value;
        return true;
}

struct entry {
        uint32_t mode;
        const char *name; /* ends with NUL */
        struct slice data;
};

/* The entry at *offset; moves behind it. The archive begins at a multiple of four, so padding goes by it. */
static int next_entry(struct slice archive, size_t *offset, struct entry *ret, struct error *e)
{
        uint32_t mode, size, name_size;
        struct slice header, name;
        uint64_t at = *offset;

        if (!slice_cut(archive, at, HEADER_SIZE, &header) || memcmp(header.bytes, "070701", 6) != 0 ||
            !read_field(header.bytes, 1, &mode) || !read_field(header.bytes, 6, &size) ||
            !read_field(header.bytes, 11, &name_size))
                return bad(e, "an entry of a newc archive expected, found something else");
        at += HEADER_SIZE;
        if (!slice_cut(archive, at, name_size, &name) || name_size == 0 ||
            memchr(name.bytes, '\0', name_size) != name.bytes + name_size - 1)
                return bad(e, "a name that ends with NUL expected");
        at = (at + name_size + 3) & ~UINT64_C(3);
        if (!slice_cut(archive, at, size, &ret->data))
                return bad(e, "the data of a file expected, found the end");
        at = (at + size + 3) & ~UINT64_C(3);
        *offset = at < archive.size ? (size_t)at : archive.size;
        ret->mode = mode;
        ret->name = (const char *)name.bytes;
        return 0;
}

static int take_entry(struct search *s, const struct entry *entry, struct error *e)
{
        const char *name = entry->name;

        if (strncmp(name, "./", 2) == 0)
                name += 2;
        if (name[0] == '/')
                name++;
        if (strcmp(name, s->path) != 0)
                return 0;
        if (s->found)
                return error_set(e, -EEXIST, "initrd: %s: one expected, found two", s->path);
        if (!S_ISREG(entry->mode))
                return error_set(e, -EBADMSG, "initrd: %s: a regular file expected, found mode 0%o", s->path,
                                 entry->mode);
        s->found = malloc(entry->data.size + 1);
        if (!s->found)
                return -ENOMEM;
        memcpy(s->found, entry->data.bytes, entry->data.size);
        s->found[entry->data.size] = '\0';
        s->found_size = entry->data.size;
        return 0;
}

/* One archive up to its trailer; moves behind it. */
static int scan_archive(struct search *s, struct slice archive, size_t *offset, struct error *e)
{
        for (;;) {
                struct entry entry = {};
                int r = next_entry(archive, offset, &entry, e);

                if (r < 0)
                        return r;
                if (strcmp(entry.name, "TRAILER!!!") == 0)
                        return 0;
                r = take_entry(s, &entry, e);
                if (r < 0)
                        return r;
        }
}

struct buffer {
        uint8_t *bytes;
        size_t size, room;
};

static int grow(struct search *s, struct buffer *b, struct error *e)
{
        size_t room = b->room ? 2 * b->room : (size_t)1 << 20;
        uint8_t *bytes;

        if (b->size < b->room)
                return 0;
        if (room > INITRD_UNPACKED_MAX - s->unpacked)
                return error_set(e, -E2BIG, "initrd: at most %zu bytes when unpacked expected, found more",
                                 INITRD_UNPACKED_MAX);
        bytes = realloc(b->bytes, room);
        if (!bytes)
                return -ENOMEM;
        b->bytes = bytes;
        b->room = room;
        return 0;
}

/* Decompresses the frame at *offset and moves behind it. b->bytes is the caller's to free in any case. */
static int inflate(struct search *s, struct slice initrd, size_t *offset, struct buffer *b, struct error *e)
{
        _cleanup_(ZSTD_freeDStream_ptr) ZSTD_DStream *z = ZSTD_createDStream();
        ZSTD_inBuffer in = {initrd.bytes, initrd.size, *offset};
        size_t left = 1;

        if (!z || ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
                return -ENOMEM;
        while (left != 0) {
                ZSTD_outBuffer out;
                size_t before = in.pos + b->size;
                int r = grow(s, b, e);

                if (r < 0)
                        return r;
                out = (ZSTD_outBuffer){b->bytes, b->room, b->size};
                left = ZSTD_decompressStream(z, &out, &in);
                b->size = out.pos;
                if (ZSTD_isError(left) || (left != 0 && in.pos + b->size == before))
                        return bad(e, "a whole zstd frame expected, found a damaged one");
        }
        s->unpacked += b->size;
        *offset = in.pos;
        return 0;
}

static int scan(struct search *s, struct slice initrd, bool compressed, struct error *e);

static int scan_compressed(struct search *s, struct slice initrd, size_t *offset, struct error *e)
{
        struct buffer b = {};
        int r;

        if (s->frames++ == FRAMES_MAX)
                return error_set(e, -E2BIG, "initrd: at most %u compressed archives expected, found more",
                                 FRAMES_MAX);
        r = inflate(s, initrd, offset, &b, e);
        if (r >= 0)
                r = scan(s, (struct slice){b.bytes, b.size}, true, e);
        free(b.bytes);
        return r;
}

/* In what was compressed nothing is compressed again: the kernel would not unpack it either. */
static int scan(struct search *s, struct slice initrd, bool compressed, struct error *e)
{
        size_t offset = 0;

        while (offset < initrd.size) {
                size_t left = initrd.size - offset;
                int r;

                if (initrd.bytes[offset] == 0) {
                        offset++;
                        continue;
                }
                if (!compressed && left >= 4 && get_le32(initrd.bytes + offset) == ZSTD_MAGIC)
                        r = scan_compressed(s, initrd, &offset, e);
                else if (offset % 4 == 0)
                        r = scan_archive(s, initrd, &offset, e);
                else
                        r = bad(e, "archives at multiples of four bytes expected");
                if (r < 0)
                        return r;
        }
        return 0;
}

int initrd_find(struct slice initrd, const char *path, uint8_t **ret, size_t *ret_size, struct error *e)
{
        struct search s = {.path = path};
        int r = scan(&s, initrd, false, e);

        if (r >= 0 && !s.found)
                r = error_set(e, -ENOENT, "initrd: %s expected, not found", path);
        if (r < 0) {
                free(s.found);
                return r;
        }
        *ret = s.found;
        *ret_size = s.found_size;
        return 0;
}
