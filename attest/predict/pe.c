/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/pe.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define COFF_SIZE 24u     /* with the signature "PE\0\0" */
#define OPTIONAL_MIN 152u /* PE32+ with the data directory of certificates, the fifth of them */
#define SECTION_HEADER_SIZE 40u
#define MACHINE_AMD64 0x8664u
#define MAGIC_PE32_PLUS 0x20bu
#define CERTIFICATE_PKCS7 2u /* WIN_CERT_TYPE_PKCS_SIGNED_DATA */

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

static int bad(struct error *e, const char *what)
{
        return error_set(e, -EBADMSG, "PE: %s", what);
}

/* Between sections nothing may lie: Authenticode does not say whether that is digested. */
static int parse_section(struct slice file, const uint8_t *header, size_t expected, struct pe_section *ret,
                         struct error *e)
{
        uint32_t virtual_size = get_le32(header + 8), raw_size = get_le32(header + 16);

        memcpy(ret->name, header, 8);
        ret->name[8] = '\0';
        ret->data = (struct slice){};
        if (!slice_cut(file, raw_size ? get_le32(header + 20) : 0, raw_size, &ret->raw))
                return bad(e, "sections inside the file expected");
        if (raw_size && get_le32(header + 20) != expected)
                return bad(e, "sections that follow each other in the file expected");
        if (virtual_size <= raw_size)
                ret->data = (struct slice){ret->raw.bytes, virtual_size};
        return 0;
}

static int parse_sections(struct pe *pe, size_t table, size_t n, struct error *e)
{
        size_t end = pe->headers_size;
        struct slice headers;

        if (n > PE_SECTIONS_MAX)
                return bad(e, "at most 96 sections expected");
        if (!slice_cut(pe->file, table, n * SECTION_HEADER_SIZE, &headers) ||
            table + headers.size > pe->headers_size)
                return bad(e, "the section table inside the headers expected");
        for (size_t i = 0; i < n; i++) {
                struct pe_section *s = &pe->sections[pe->n_sections++];
                int r = parse_section(pe->file, headers.bytes + i * SECTION_HEADER_SIZE, end, s, e);

                if (r < 0)
                        return r;
                if (s->raw.size)
                        end = (size_t)(s->raw.bytes - pe->file.bytes) + s->raw.size;
        }
        return end > pe->digested_size ? bad(e, "sections before the certificate table expected") : 0;
}

/* The certificate table is the last thing in the file: digested are all bytes before it. */
static int parse_certificates(struct pe *pe, struct error *e)
{
        uint32_t offset = get_le32(pe->file.bytes + pe->security),
                 size = get_le32(pe->file.bytes + pe->security + 4), length;
        struct slice table;

        pe->digested_size = pe->file.size;
        if (offset == 0 && size == 0)
                return 0;
        if (!slice_cut(pe->file, offset, size, &table) || size < 8 ||
            offset + (uint64_t)size != pe->file.size)
                return bad(e, "the certificate table at the end of the file expected");
        length = get_le32(table.bytes);
        if (length < 8 || length > size || get_le16(table.bytes + 6) != CERTIFICATE_PKCS7)
                return bad(e, "a certificate table that begins with a PKCS#7 signature expected");
        pe->digested_size = offset;
        pe->signature = (struct slice){table.bytes + 8, length - 8};
        return 0;
}

int pe_parse(struct slice file, struct pe *ret, struct error *e)
{
        struct pe pe = {.file = file};
        struct slice coff, optional;
        uint32_t at;
        int r;

        if (file.size < 64 || memcmp(file.bytes, "MZ", 2) != 0)
                return bad(e, "an executable expected, found something else");
        at = get_le32(file.bytes + 60);
        if (!slice_cut(file, at, COFF_SIZE, &coff) || memcmp(coff.bytes, "PE\0\0", 4) != 0 ||
            get_le16(coff.bytes + 4) != MACHINE_AMD64)
                return bad(e, "an executable for x86-64 expected, found something else");
        if (!slice_cut(file, (uint64_t)at + COFF_SIZE, get_le16(coff.bytes + 20), &optional) ||
            optional.size < OPTIONAL_MIN || get_le16(optional.bytes) != MAGIC_PE32_PLUS ||
            get_le32(optional.bytes + 108) < 5)
                return bad(e, "an optional header of PE32+ expected");
        pe.checksum = at + COFF_SIZE + 64;
        pe.security = at + COFF_SIZE + 144;
        pe.headers_size = get_le32(optional.bytes + 60);
        if (pe.headers_size > file.size || pe.headers_size < at + COFF_SIZE + optional.size)
                return bad(e, "headers inside the file expected");
        r = parse_certificates(&pe, e);
        if (r >= 0)
                r = parse_sections(&pe, at + COFF_SIZE + optional.size, get_le16(coff.bytes + 6), e);
        if (r < 0)
                return r;
        *ret = pe;
        return 0;
}

int pe_authenticode(const struct pe *pe, uint8_t ret[static 32], struct error *e)
{
        _cleanup_(EVP_MD_CTX_free_ptr) EVP_MD_CTX *hash = EVP_MD_CTX_new();
        const uint8_t *p = pe->file.bytes;
        size_t after_checksum = pe->checksum + 4, after_security = pe->security + 8;

        if (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1 ||
            EVP_DigestUpdate(hash, p, pe->checksum) != 1 ||
            EVP_DigestUpdate(hash, p + after_checksum, pe->security - after_checksum) != 1 ||
            EVP_DigestUpdate(hash, p + after_security, pe->digested_size - after_security) != 1 ||
            EVP_DigestFinal_ex(hash, ret, NULL) != 1)
                return error_set(e, -EIO, "PE: SHA-256 failed");
        return 0;
}
