/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A variable store, and the databases in it. The first byte says what the rest is: the whole file, the
 * variables behind good headers, or the value of one, db or dbx. */
#include "fuzz.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "attest/predict/prediction.h"
#include "attest/predict/variable-store.h"

#define HEADERS 100u

static const uint8_t headers[HEADERS] = {
        [16] = 0x8d, 0x2b,        0xf1, 0xff, 0x96, 0x76, 0x8b,       0x4c,        0xa9, 0x85,
        0x27,        0x47,        0x07, 0x5b, 0x4f, 0x50, [40] = '_', 'F',         'V',  'H',
        [48] = 72,   [72] = 0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94,       0x9a,        0x43, 0xa1,
        0x80,        0x2e,        0x14, 0x4e, 0xc3, 0x77, 0x92,       [92] = 0x5a, 0xfe,
};

static void put_variable(uint8_t **at, const uint8_t guid[16], const char *name, const uint8_t *value,
                         size_t size)
{
        static const uint8_t start[] = {0xaa, 0x55, 0x3f};
        size_t n = strlen(name) + 1;
        uint32_t lengths[2] = {htole32((uint32_t)(2 * n)), htole32((uint32_t)size)};
        uint8_t *p = *at;

        memcpy(p, start, sizeof(start));
        memcpy(p + 36, lengths, 8);
        memcpy(p + 44, guid, 16);
        for (size_t i = 0; i < n; i++)
                p[60 + 2 * i] = (uint8_t)name[i];
        memcpy(p + 60 + 2 * n, value, size);
        *at = p + ((60 + 2 * n + size + 3) & ~(size_t)3);
}

static size_t wrap(uint8_t how, const uint8_t *data, size_t size, uint8_t *file)
{
        uint8_t *end = file + HEADERS;
        uint64_t volume;
        uint32_t store;

        memcpy(file, headers, HEADERS);
        if (how & 2) {
                put_variable(&end, efi_global_guid, "PK", data, 1);
                put_variable(&end, efi_secure_boot_enable_guid, "SecureBootEnable", (const uint8_t *)"\1", 1);
                put_variable(&end, efi_security_guid, how & 4 ? "db" : "dbx", data, size);
        } else {
                memcpy(end, data, size);
                end += size;
        }
        volume = htole64((uint64_t)(end - file));
        store = htole32((uint32_t)(end - file) - 72);
        memcpy(file + 32, &volume, 8);
        memcpy(file + 88, &store, 4);
        return (size_t)(end - file);
}

/* An executable that nobody signed: what its signature may be is fuzz-uki's. */
static void read_store(const uint8_t *data, size_t size)
{
        static const uint8_t executable[128] = "MZ";
        struct uki uki = {
                .pe = {.file = {executable, 128}, .checksum = 8, .security = 16, .digested_size = 128}};
        struct prediction p = {};
        struct slice value = {};

        (void)predict_secure_boot(&p, (struct slice){data, size}, &uki, NULL);
        if (variable_find((struct slice){data, size}, efi_security_guid, "db", &value, NULL) > 0)
                PROMISE(value.bytes >= data && value.bytes + value.size <= data + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *file;

        if (size < 2)
                return 0;
        if (data[0] & 1) {
                read_store(data + 1, size - 1);
                return 0;
        }
        file = calloc(1, size + 1024);
        if (file)
                read_store(file, wrap(data[0], data + 1, size - 1, file));
        free(file);
        return 0;
}
