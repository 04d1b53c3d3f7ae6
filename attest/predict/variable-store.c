/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/variable-store.h"

#include <errno.h>

#define VOLUME_HEADER_MIN 56u
#define STORE_HEADER_SIZE 28u
#define STORE_FORMATTED 0x5a
#define STORE_HEALTHY 0xfe
#define VARIABLE_START 0x55aau
#define VARIABLE_HEADER_SIZE 60u
#define STATE_ADDED 0x3f
#define STATE_IN_TRANSITION 0x3e /* added, and to be deleted as soon as its successor is there */

/* EFI_SYSTEM_NV_DATA_FV_GUID fff12b8d-7696-4c8b-a985-2747075b4f50, EFI_AUTHENTICATED_VARIABLE_GUID
 * aaf32c78-947b-439a-a180-2e144ec37792. */
static const uint8_t volume_guid[16] = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                        0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50};
static const uint8_t store_guid[16] = {0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
                                       0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92};

/* 8be4df61-93ca-11d2-aa0d-00e098032b8c, d719b2cb-3d3a-4596-a3bc-dad00e67656f,
 * f0a30bc7-af08-4556-99c4-001009c93a44. */
const uint8_t efi_global_guid[16] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                                     0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
const uint8_t efi_security_guid[16] = {0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45,
                                       0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f};
const uint8_t efi_secure_boot_enable_guid[16] = {0xc7, 0x0b, 0xa3, 0xf0, 0x08, 0xaf, 0x56, 0x45,
                                                 0x99, 0xc4, 0x00, 0x10, 0x09, 0xc9, 0x3a, 0x44};

static int bad(struct error *e, const char *what)
{
        return error_set(e, -EBADMSG, "variable store: %s", what);
}

/* The variables, without the headers of volume and store. */
static int open_store(struct slice file, struct slice *ret, struct error *e)
{
        struct slice volume, store;
        size_t header_size;

        if (file.size > VARIABLE_STORE_MAX || file.size < VOLUME_HEADER_MIN ||
            memcmp(file.bytes + 16, volume_guid, 16) != 0 || memcmp(file.bytes + 40, "_FVH", 4) != 0 ||
            !slice_cut(file, 0, get_le64(file.bytes + 32), &volume))
                return bad(e, "a volume of non-volatile data expected, found something else");
        header_size = get_le16(file.bytes + 48);
        if (!slice_cut(volume, header_size, STORE_HEADER_SIZE, &store) ||
            memcmp(store.bytes, store_guid, 16) != 0 || store.bytes[20] != STORE_FORMATTED ||
            store.bytes[21] != STORE_HEALTHY || get_le32(store.bytes + 16) < STORE_HEADER_SIZE ||
            !slice_cut(volume, header_size, get_le32(store.bytes + 16), &store))
                return bad(e, "authenticated variables expected, found something else");
        return slice_cut(store, STORE_HEADER_SIZE, store.size - STORE_HEADER_SIZE, ret) ? 0 : -EBADMSG;
}

struct variable {
        uint8_t state;
        const uint8_t *guid;
        struct slice name, value;
};

/* 1: a variable, and *offset behind it; 0: the end. */
static int next_variable(struct slice variables, size_t *offset, struct variable *ret, struct error *e)
{
        struct slice header;
        uint64_t at = *offset;

        if (!slice_cut(variables, at, VARIABLE_HEADER_SIZE, &header) ||
            get_le16(header.bytes) != VARIABLE_START)
                return 0;
        at += VARIABLE_HEADER_SIZE;
        if (!slice_cut(variables, at, get_le32(header.bytes + 36), &ret->name) ||
            !slice_cut(variables, at + ret->name.size, get_le32(header.bytes + 40), &ret->value))
                return bad(e, "a variable inside the store expected");
        at = (at + ret->name.size + ret->value.size + 3) & ~UINT64_C(3);
        *offset = at < variables.size ? (size_t)at : variables.size;
        ret->state = header.bytes[2];
        ret->guid = header.bytes + 44;
        return 1;
}

/* The name is UTF-16 and ends with a NUL. */
static bool name_is(struct slice name, const char *expected)
{
        size_t n = strlen(expected) + 1;

        if (name.size != 2 * n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (name.bytes[2 * i] != (uint8_t)expected[i] || name.bytes[2 * i + 1] != 0)
                        return false;
        return true;
}

int variable_find(struct slice store, const uint8_t guid[static 16], const char *name, struct slice *ret,
                  struct error *e)
{
        struct slice variables = {}, found = {};
        struct variable v = {};
        size_t offset = 0;
        int r;

        r = open_store(store, &variables, e);
        if (r < 0)
                return r;
        while ((r = next_variable(variables, &offset, &v, e)) > 0) {
                if ((v.state != STATE_ADDED && v.state != STATE_IN_TRANSITION) ||
                    memcmp(v.guid, guid, 16) != 0 || !name_is(v.name, name))
                        continue;
                if (found.bytes || v.state == STATE_IN_TRANSITION)
                        return error_set(e, -EBADMSG,
                                         "variable store: %s: one value expected, found one that is being "
                                         "replaced",
                                         name);
                found = v.value;
        }
        if (r < 0 || !found.bytes)
                return r;
        *ret = found;
        return 1;
}
