/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ima-writer.h"

#include <assert.h>
#include <endian.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"

static void put(struct written_ima *l, const void *data, size_t size)
{
        assert(size <= sizeof(l->bytes) - l->size);
        if (size > 0)
                memcpy(l->bytes + l->size, data, size);
        l->size += size;
}

static void put32(struct written_ima *l, size_t value)
{
        uint32_t le = htole32((uint32_t)value);

        put(l, &le, sizeof(le));
}

static void put_field(struct written_ima *l, const void *data, size_t size)
{
        put32(l, size);
        put(l, data, size);
}

static void put_entry(struct written_ima *l, const char *name, const struct written_ima *data, int violation)
{
        uint8_t sha1[20] = {};

        if (!violation)
                SHA1(data->bytes, data->size, sha1);
        put32(l, 10);
        put(l, sha1, sizeof(sha1));
        put_field(l, name, strlen(name));
        put_field(l, data->bytes, data->size);
}

static void put_digest(struct written_ima *data, const char *algorithm, const uint8_t *digest, size_t size)
{
        put32(data, strlen(algorithm) + 2 + size);
        put(data, algorithm, strlen(algorithm));
        put(data, ":\0", 2);
        put(data, digest, size);
}

void ima_add_file(struct written_ima *l, const char *algorithm, const char *hex, const char *path)
{
        struct written_ima data = {};
        uint8_t digest[64];
        size_t n = strlen(hex) / 2;

        assert(n <= sizeof(digest) && hex_decode(hex, digest, n) == 0);
        put_digest(&data, algorithm, digest, n);
        put_field(&data, path, strlen(path) + 1);
        put_entry(l, "ima-ng", &data, 0);
}

void ima_add_violation(struct written_ima *l, const char *path)
{
        struct written_ima data = {};
        uint8_t zeros[32] = {};

        put_digest(&data, "sha256", zeros, sizeof(zeros));
        put_field(&data, path, strlen(path) + 1);
        put_entry(l, "ima-ng", &data, 1);
}

void ima_add_buffer(struct written_ima *l, const char *name, const void *bytes, size_t size)
{
        struct written_ima data = {};
        uint8_t digest[32];

        SHA256(bytes, size, digest);
        put_digest(&data, "sha256", digest, sizeof(digest));
        put_field(&data, name, strlen(name) + 1);
        put_field(&data, bytes, size);
        put_entry(l, "ima-buf", &data, 0);
}

void ima_add_verity(struct written_ima *l, const char *device, const char *root_hash)
{
        char table[1024];

        (void)snprintf(
                table, sizeof(table),
                "dm_version=4.48.0;name=%s,uuid=CRYPT-VERITY-00,major=254,minor=0,minor_count=1,num_targets="
                "1;"
                "target_index=0,target_begin=0,target_len=8,target_name=verity,target_version=1.10.0,"
                "hash_failed=V,verity_version=1,data_device_name=253:2,hash_device_name=253:3,"
                "verity_algorithm=sha256,root_digest=%s,salt=-,ignore_zero_blocks=n,check_at_most_once=n,"
                "root_hash_sig_key_desc=cryptsetup:root;",
                device, root_hash);
        ima_add_buffer(l, "dm_table_load", table, strlen(table));
}
