/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PE32+ executables for x86-64 (Microsoft PE Format) and their Authenticode digest and signature (Windows
 * Authenticode Portable Executable Signature Format). Stricter than firmware: what two readers could read
 * differently, such as sections that overlap or bytes behind the signature, is refused. */
#pragma once

#include <openssl/x509.h>

#include "attest/slice.h"
#include "base/error.h"

#define PE_SECTIONS_MAX 96u

struct pe_section {
        char name[9];
        struct slice data; /* as in memory: VirtualSize bytes */
        struct slice raw;  /* as in the file */
};

struct pe {
        struct slice file;
        size_t checksum, security; /* offsets of the two header fields that are not digested */
        size_t headers_size;
        struct pe_section sections[PE_SECTIONS_MAX]; /* in the file's order */
        size_t n_sections;
        struct slice signature; /* the first certificate's PKCS#7 in DER; empty if there is none */
        size_t digested_size;   /* bytes of the file before the certificate table */
};

/* Points into file, which has to stay. -EBADMSG: not such an executable. */
int pe_parse(struct slice file, struct pe *ret, struct error *e);

/* SHA-256 of what Authenticode covers: what firmware measures to PCR 4 and looks for in dbx. */
int pe_authenticode(const struct pe *pe, uint8_t ret[static 32], struct error *e);

/* The signature is over this file, and this certificate is its signer's or issued it; no time plays a part,
 * as in firmware. 1, 0, or -EBADMSG: not a signature over this file whoever made it. */
int pe_signed_by(const struct pe *pe, X509 *certificate, struct error *e);
