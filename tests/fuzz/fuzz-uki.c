/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A UKI from anybody, its signature, and the initrd inside. The first byte says what the rest is: a whole
 * file, or the section table and the sections of a file whose headers are in order. */
#include "fuzz.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "attest/predict/initrd.h"
#include "attest/predict/uki.h"

#define HEADERS 0x400u
#define TABLE 0x188u

static void put32(uint8_t *p, uint32_t value)
{
        value = htole32(value);
        memcpy(p, &value, sizeof(value));
}

/* Sections of 64 bytes or what is left, one behind the other, with the names that a UKI has. */
static size_t wrap(const uint8_t *data, size_t size, uint8_t *file)
{
        static const char *const names[] = {".text",  ".linux", ".osrel", ".cmdline",
                                            ".uname", ".sbat",  ".initrd"};
        static const uint8_t mz[] = {'M', 'Z'}, coff[] = {'P', 'E', 0, 0, 0x64, 0x86}, magic[] = {0x0b, 0x02};
        size_t n = sizeof(names) / sizeof(*names), at = HEADERS;

        memset(file, 0, HEADERS);
        memcpy(file, mz, sizeof(mz));
        put32(file + 60, 0x80);
        memcpy(file + 0x80, coff, sizeof(coff));
        file[0x86] = (uint8_t)n;
        file[0x94] = 0xf0;
        memcpy(file + 0x98, magic, sizeof(magic));
        put32(file + 0x98 + 60, HEADERS);
        put32(file + 0x98 + 108, 16);
        for (size_t i = 0; i < n; i++) {
                size_t length = i + 1 < n && size > 64 ? 64 : size;
                uint8_t *section = file + TABLE + 40 * i;

                memcpy(section, names[i], strlen(names[i]));
                put32(section + 8, (uint32_t)length);
                put32(section + 16, (uint32_t)length);
                put32(section + 20, (uint32_t)at);
                memcpy(file + at, data, length);
                at += length;
                data += length;
                size -= length;
        }
        return at;
}

static void read_uki(const uint8_t *data, size_t size)
{
        uint8_t digest[32], *content = NULL;
        struct uki uki;
        size_t n = 0;

        if (uki_parse((struct slice){data, size}, &uki, NULL) < 0)
                return;
        (void)pe_authenticode(&uki.pe, digest, NULL);
        (void)pe_signed_by(&uki.pe, NULL, NULL);
        (void)uki_load_options(&uki, digest, NULL);
        (void)uki_initrd(&uki, digest, NULL);
        if (initrd_find(uki.sections[UKI_INITRD], "init", &content, &n, NULL) == 0) {
                PROMISE(content[n] == '\0');
                free(content);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *file;

        if (size < 1)
                return 0;
        if (data[0] & 1) {
                read_uki(data + 1, size - 1);
                return 0;
        }
        file = malloc(HEADERS + size);
        if (file)
                read_uki(file, wrap(data + 1, size - 1, file));
        free(file);
        return 0;
}
