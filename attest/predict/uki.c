/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/uki.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

const char *const uki_section_names[UKI_SECTIONS] = {".linux",  ".osrel", ".cmdline",
                                                     ".initrd", ".uname", ".sbat"};

/* The stub's own sections; every other one may be an order to it. */
static bool is_code(const char *name)
{
        static const char *const names[] = {".text", ".rodata", ".data", ".sdmagic", ".reloc"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(names[i], name) == 0)
                        return true;
        return false;
}

static int take_section(struct uki *uki, const struct pe_section *s, struct error *e)
{
        size_t i = 0;

        while (i < UKI_SECTIONS && strcmp(uki_section_names[i], s->name) != 0)
                i++;
        if (i == UKI_SECTIONS)
                return is_code(s->name) ? 0
                                        : error_set(e, -EBADMSG,
                                                    "UKI: sections whose measurement is known expected, "
                                                    "found another (number %zu)",
                                                    (size_t)(s - uki->pe.sections));
        if (uki->sections[i].bytes)
                return error_set(e, -EBADMSG, "UKI: %s: one expected, found two", s->name);
        if (s->data.size == 0)
                return error_set(e, -EBADMSG,
                                 "UKI: %s: bytes of the file expected, found none, or fewer "
                                 "than in memory",
                                 s->name);
        uki->sections[i] = s->data;
        return 0;
}

int uki_parse(struct slice file, struct uki *ret, struct error *e)
{
        struct uki uki = {};
        int r;

        r = pe_parse(file, &uki.pe, e);
        for (size_t i = 0; r >= 0 && i < uki.pe.n_sections; i++)
                r = take_section(&uki, &uki.pe.sections[i], e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < UKI_SECTIONS; i++)
                if (!uki.sections[i].bytes)
                        return error_set(e, -EBADMSG, "UKI: %s expected, not found", uki_section_names[i]);
        *ret = uki;
        return 0;
}

static bool is_blank(uint8_t c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct slice uki_cmdline(const struct uki *uki)
{
        struct slice s = uki->sections[UKI_CMDLINE];

        for (; s.size > 0 && is_blank(s.bytes[0]); s.size--)
                s.bytes++;
        while (s.size > 0 && is_blank(s.bytes[s.size - 1]))
                s.size--;
        return s;
}

int uki_load_options(const struct uki *uki, uint8_t ret[static 32], struct error *e)
{
        struct slice s = uki_cmdline(uki);
        _cleanup_free_ uint8_t *text = calloc(s.size + 1, 2);

        if (!text)
                return -ENOMEM;
        for (size_t i = 0; i < s.size; i++) {
                if (s.bytes[i] < 0x20 || s.bytes[i] > 0x7e)
                        return error_set(e, -EBADMSG,
                                         "UKI: .cmdline: printable ASCII expected, found byte 0x%02x",
                                         s.bytes[i]);
                text[2 * i] = s.bytes[i];
        }
        return EVP_Digest(text, 2 * (s.size + 1), ret, NULL, EVP_sha256(), NULL) == 1
                       ? 0
                       : error_set(e, -EIO, "UKI: SHA-256 failed");
}

/* --- the archive (newc) that the stub packs --- */

#define CPIO_HEADER_SIZE 110

static bool hash_padded(EVP_MD_CTX *hash, const void *data, size_t size, size_t padding)
{
        static const uint8_t zeros[4];

        return EVP_DigestUpdate(hash, data, size) == 1 && EVP_DigestUpdate(hash, zeros, padding) == 1;
}

static size_t padding_of(size_t size)
{
        return -size & 3;
}

static bool hash_entry(EVP_MD_CTX *hash, unsigned inode, unsigned mode, const char *name, struct slice data)
{
        char header[CPIO_HEADER_SIZE + 64];
        int n = snprintf(header, sizeof(header),
                         "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x%s", inode, mode, 0u,
                         0u, 1u, 0u, data.size, 0u, 0u, 0u, 0u, strlen(name) + 1, 0u, name);

        return hash_padded(hash, header, (size_t)n + 1, padding_of((size_t)n + 1)) &&
               hash_padded(hash, data.bytes, data.size, padding_of(data.size));
}

/* The one field that the stub writes in upper case. */
static bool hash_trailer(EVP_MD_CTX *hash)
{
        static const char trailer[] = "070701"
                                      "00000000" /* inode */
                                      "00000000" /* mode */
                                      "0000000000000000"
                                      "00000001" /* links */
                                      "000000000000000000000000000000000000000000000000"
                                      "0000000B" /* size of the name */
                                      "00000000"
                                      "TRAILER!!!\0\0\0";

        return EVP_DigestUpdate(hash, trailer, sizeof(trailer)) == 1;
}

int uki_initrd(const struct uki *uki, uint8_t ret[static 32], struct error *e)
{
        _cleanup_(EVP_MD_CTX_free_ptr) EVP_MD_CTX *hash = EVP_MD_CTX_new();
        struct slice initrd = uki->sections[UKI_INITRD];

        if (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1 ||
            !hash_padded(hash, initrd.bytes, initrd.size, padding_of(initrd.size)) ||
            !hash_entry(hash, 1, 0040555, ".extra", (struct slice){}) ||
            !hash_entry(hash, 2, 0100444, ".extra/os-release", uki->sections[UKI_OSREL]) ||
            !hash_trailer(hash) || EVP_DigestFinal_ex(hash, ret, NULL) != 1)
                return error_set(e, -EIO, "UKI: SHA-256 failed");
        return 0;
}
