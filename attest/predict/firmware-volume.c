/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/firmware-volume.h"

#include <errno.h>
#include <lzma.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define VOLUME_HEADER_MIN 56u
#define VOLUME_ALIGN 4096u /* of volumes in the file */
#define FILE_HEADER_SIZE 24u
#define FILE_HEADER2_SIZE 32u
#define ATTRIBUTE_LARGE_FILE 0x01u
#define UNPACKED_MAX ((size_t)64 * 1024 * 1024)
#define LZMA_MEMORY_MAX ((uint64_t)128 * 1024 * 1024)
#define FILES_MAX 4096u
#define VERSION_MIN 4u /* characters */
#define VERSION_MAX 64u

enum { FILE_PEI_CORE = 0x04, FILE_VOLUME_IMAGE = 0x0b, FILE_PAD = 0xf0 };
enum { SECTION_GUID_DEFINED = 0x02, SECTION_PE32 = 0x10, SECTION_TE = 0x12, SECTION_VOLUME = 0x17 };

/* LZMA_CUSTOM_DECOMPRESS_GUID ee4e5898-3914-4259-9d6e-dc7bd79403cf and Tcg2Pei's file
 * a0c98b77-cba5-4bb8-993b-4af6ce33ece4 as they lie in memory. */
static const uint8_t lzma_guid[16] = {0x98, 0x58, 0x4e, 0xee, 0x14, 0x39, 0x59, 0x42,
                                      0x9d, 0x6e, 0xdc, 0x7b, 0xd7, 0x94, 0x03, 0xcf};
static const uint8_t tcg2_pei_guid[16] = {0x77, 0x8b, 0xc9, 0xa0, 0xa5, 0xcb, 0xb8, 0x4b,
                                          0x99, 0x3b, 0x4a, 0xf6, 0xce, 0x33, 0xec, 0xe4};

void firmware_done(struct firmware *f)
{
        free(f->unpacked);
        *f = (struct firmware){};
}

static int bad(struct error *e, const char *what)
{
        return error_set(e, -EBADMSG, "firmware: %s", what);
}

static uint32_t get_le24(const uint8_t *p)
{
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

/* --- sections (volume 3, 2.1.4) and files (2.1.3) --- */

struct section {
        uint8_t type;
        struct slice whole, body; /* with and without its header */
};

/* 1: a section, and *offset behind it; 0: the end. */
static int next_section(struct slice sections, size_t *offset, struct section *ret, struct error *e)
{
        struct slice header, whole;
        size_t header_size = 4, size;

        if (*offset >= sections.size)
                return 0;
        if (!slice_cut(sections, *offset, 4, &header))
                return bad(e, "a section expected, found the end");
        size = get_le24(header.bytes);
        if (size == 0xffffff) {
                header_size = 8;
                if (!slice_cut(sections, *offset, 8, &header))
                        return bad(e, "a section expected, found the end");
                size = get_le32(header.bytes + 4);
        }
        if (size < header_size || !slice_cut(sections, *offset, size, &whole))
                return bad(e, "a section inside its file expected");
        *ret = (struct section){header.bytes[3], whole, {whole.bytes + header_size, size - header_size}};
        *offset += (size + 3) & ~(size_t)3;
        return 1;
}

struct file {
        const uint8_t *guid;
        uint8_t type;
        struct slice body;
};

static bool is_free(struct slice s)
{
        for (size_t i = 0; i < s.size; i++)
                if (s.bytes[i] != 0xff)
                        return false;
        return true;
}

/* 1: a file, and *offset (in the volume) behind it; 0: the end. */
static int next_file(struct slice volume, size_t *offset, struct file *ret, struct error *e)
{
        size_t header_size = FILE_HEADER_SIZE;
        struct slice header, whole;
        uint64_t size;

        if (!slice_cut(volume, *offset, FILE_HEADER_SIZE, &header) || is_free(header))
                return 0;
        size = get_le24(header.bytes + 20);
        if (header.bytes[19] & ATTRIBUTE_LARGE_FILE) {
                header_size = FILE_HEADER2_SIZE;
                if (!slice_cut(volume, *offset, FILE_HEADER2_SIZE, &header))
                        return bad(e, "a file expected, found the end of its volume");
                size = get_le64(header.bytes + 24);
        }
        if (size < header_size || !slice_cut(volume, *offset, size, &whole))
                return bad(e, "a file inside its volume expected");
        *ret = (struct file){
                header.bytes, header.bytes[18], {whole.bytes + header_size, whole.size - header_size}};
        *offset += (whole.size + 7) & ~(size_t)7;
        return 1;
}

/* --- volumes (volume 3, 2.1.2) --- */

static bool is_volume(struct slice s)
{
        return s.size >= VOLUME_HEADER_MIN && memcmp(s.bytes + 40, "_FVH", 4) == 0;
}

/* The volume at the beginning of s, and where its first file is. */
static int open_volume(struct slice s, struct slice *ret, size_t *ret_files, struct error *e)
{
        struct slice extended;
        size_t header_size, at;

        if (!is_volume(s) || !slice_cut(s, 0, get_le64(s.bytes + 32), ret))
                return bad(e, "a firmware volume expected, found something else");
        header_size = get_le16(s.bytes + 48);
        at = get_le16(s.bytes + 52);
        if (header_size < VOLUME_HEADER_MIN || header_size > ret->size)
                return bad(e, "the header of a volume inside it expected");
        if (at != 0) {
                if (!slice_cut(*ret, at, 20, &extended) || get_le32(extended.bytes + 16) > ret->size - at)
                        return bad(e, "the extended header of a volume inside it expected");
                header_size = at + get_le32(extended.bytes + 16);
        }
        *ret_files = (header_size + 7) & ~(size_t)7;
        return 0;
}

/* The string that Tcg2Pei measures is compiled into it: the one UTF-16 text that it holds. */
static int find_version(struct slice image, struct slice *ret, struct error *e)
{
        for (size_t i = 0, length = 0; i + 1 < image.size; i += 2) {
                const uint8_t *p = image.bytes + i;

                if (p[1] == 0 && p[0] >= 0x20 && p[0] <= 0x7e) {
                        length++;
                        continue;
                }
                if (p[0] == 0 && p[1] == 0 && length >= VERSION_MIN && length <= VERSION_MAX) {
                        if (ret->size)
                                return error_set(e, -ENOENT,
                                                 "firmware: one version string expected, found two");
                        *ret = (struct slice){p - 2 * length, 2 * length + 2};
                }
                length = 0;
        }
        return 0;
}

static int look_into_tcg2(struct firmware *f, struct slice body, struct error *e)
{
        struct section s;
        size_t offset = 0;
        int r;

        while ((r = next_section(body, &offset, &s, e)) > 0) {
                if (s.type != SECTION_PE32 && s.type != SECTION_TE)
                        continue;
                r = find_version(s.body, &f->version, e);
                if (r < 0)
                        return r;
        }
        return r;
}

/* A volume that PEI finds. */
static int take_volume(struct firmware *f, struct slice s, struct error *e)
{
        struct firmware_volume *v;
        struct file file;
        size_t offset = 0;
        int r;

        if (f->n_volumes == FIRMWARE_VOLUMES_MAX)
                return bad(e, "at most 8 volumes expected");
        v = &f->volumes[f->n_volumes++];
        r = open_volume(s, &v->bytes, &offset, e);
        if (r < 0)
                return r;
        for (unsigned n = 0; (r = next_file(v->bytes, &offset, &file, e)) > 0; n++) {
                if (n == FILES_MAX)
                        return bad(e, "at most 4096 files in a volume expected");
                v->runs_in_place = v->runs_in_place || file.type == FILE_PEI_CORE;
                if (memcmp(file.guid, tcg2_pei_guid, 16) == 0 && file.type != FILE_PAD)
                        r = look_into_tcg2(f, file.body, e);
                if (r < 0)
                        return r;
        }
        return r;
}

/* --- what is compressed --- */

/* An .lzma file (LZMA alone) with its size in the header. */
static int unpack(struct slice packed, uint8_t **ret, size_t *ret_size, struct error *e)
{
        lzma_stream z = LZMA_STREAM_INIT;
        _cleanup_free_ uint8_t *bytes = NULL;
        uint64_t size = packed.size < 13 ? 0 : get_le64(packed.bytes + 5);
        lzma_ret done;

        if (size == 0 || size > UNPACKED_MAX)
                return bad(e, "LZMA data of at most 64 MiB expected");
        bytes = malloc(size);
        if (!bytes || lzma_alone_decoder(&z, LZMA_MEMORY_MAX) != LZMA_OK)
                return -ENOMEM;
        z.next_in = packed.bytes;
        z.avail_in = packed.size;
        z.next_out = bytes;
        z.avail_out = size;
        done = lzma_code(&z, LZMA_FINISH);
        lzma_end(&z);
        if ((done != LZMA_STREAM_END && done != LZMA_OK) || z.avail_out != 0)
                return bad(e, "LZMA data of the length that it tells expected");
        *ret = TAKE_PTR(bytes);
        *ret_size = size;
        return 0;
}

/* A GUID-defined section: GUID, offset of its data from the section's beginning, attributes. */
static int take_compressed(struct firmware *f, const struct section *section, struct error *e)
{
        struct slice packed;
        struct section s;
        size_t offset = 0, size = 0;
        int r;

        if (section->body.size < 20 || memcmp(section->body.bytes, lzma_guid, 16) != 0)
                return 0;
        if (f->unpacked)
                return bad(e, "one compressed section expected, found two");
        offset = get_le16(section->body.bytes + 16);
        if (!slice_cut(section->whole, offset, section->whole.size - offset, &packed))
                return bad(e, "the data of a section inside it expected");
        r = unpack(packed, &f->unpacked, &size, e);
        offset = 0;
        while (r >= 0 && (r = next_section((struct slice){f->unpacked, size}, &offset, &s, e)) > 0)
                if (s.type == SECTION_VOLUME)
                        r = take_volume(f, s.body, e);
        return r;
}

static int scan_file(struct firmware *f, struct slice body, struct error *e)
{
        struct section s;
        size_t offset = 0;
        int r;

        while ((r = next_section(body, &offset, &s, e)) > 0) {
                r = s.type == SECTION_GUID_DEFINED ? take_compressed(f, &s, e) : 0;
                if (r < 0)
                        return r;
        }
        return r;
}

static int scan_volume(struct firmware *f, struct slice volume, size_t offset, struct error *e)
{
        struct file file;
        int r;

        while ((r = next_file(volume, &offset, &file, e)) > 0) {
                r = file.type == FILE_VOLUME_IMAGE ? scan_file(f, file.body, e) : 0;
                if (r < 0)
                        return r;
        }
        return r;
}

int firmware_parse(struct slice file, struct firmware *ret, struct error *e)
{
        _cleanup_(firmware_done) struct firmware f = {};

        if (file.size > FIRMWARE_FILE_MAX)
                return error_set(e, -EFBIG, "firmware: at most %zu bytes expected, found %zu",
                                 FIRMWARE_FILE_MAX, file.size);
        for (size_t at = 0; at < file.size;) {
                struct slice rest = {file.bytes + at, file.size - at}, volume;
                size_t files;
                int r;

                if (!is_volume(rest)) {
                        at += VOLUME_ALIGN;
                        continue;
                }
                r = open_volume(rest, &volume, &files, e);
                if (r >= 0)
                        r = scan_volume(&f, volume, files, e);
                if (r < 0)
                        return r;
                at += (volume.size + VOLUME_ALIGN - 1) & ~(size_t)(VOLUME_ALIGN - 1);
        }
        if (f.n_volumes == 0)
                return bad(e, "compressed firmware volumes expected, found none");
        if (f.version.size == 0)
                return error_set(e, -ENOENT, "firmware: a version string in Tcg2Pei expected, found none");
        *ret = f;
        f = (struct firmware){};
        return 0;
}
