/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who signed an executable. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pkcs7.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "attest/predict/pe.h"
#include "base/cleanup.h"

#define SPC_INDIRECT_DATA "1.3.6.1.4.1.311.2.1.4"

DEFINE_CLEANUP(PKCS7 *, PKCS7_free)
DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)

static int bad(struct error *e, const char *what)
{
        ERR_clear_error();
        return error_set(e, -EBADMSG, "PE: signature: %s", what);
}

/* The next element of a DER text, which has to be of this universal type; moves the text behind it. */
static bool take(struct slice *text, int type, struct slice *ret)
{
        const unsigned char *p = text->bytes;
        int tag = 0, class = 0, flags;
        long size = 0;

        flags = ASN1_get_object(&p, &size, &tag, &class, (long)text->size);
        if (flags & 0x80 || flags & 1 || class != V_ASN1_UNIVERSAL || tag != type)
                return false;
        *ret = (struct slice){p, (size_t)size};
        *text = (struct slice){p + size, (size_t)(text->bytes + text->size - p) - (size_t)size};
        return true;
}

/* SpcIndirectDataContent: what was signed, then DigestInfo (RFC 8017, appendix A.2.4). */
static bool names_digest(struct slice content, const uint8_t digest[static 32])
{
        static const uint8_t sha256[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01};
        struct slice what, info, algorithm, oid, found;

        return take(&content, V_ASN1_SEQUENCE, &what) && take(&content, V_ASN1_SEQUENCE, &info) &&
               content.size == 0 && take(&info, V_ASN1_SEQUENCE, &algorithm) &&
               take(&algorithm, V_ASN1_OBJECT, &oid) &&
               slice_equal(oid, (struct slice){sha256, sizeof(sha256)}) &&
               take(&info, V_ASN1_OCTET_STRING, &found) && info.size == 0 &&
               slice_equal(found, (struct slice){digest, 32});
}

/* The bytes that the signature is over: the content without its tag and length. */
static int signed_content(const PKCS7 *p7, struct slice *ret, struct error *e)
{
        const PKCS7 *content = PKCS7_type_is_signed(p7) ? p7->d.sign->contents : NULL;
        struct slice text;
        char oid[64] = "";

        if (content)
                (void)OBJ_obj2txt(oid, sizeof(oid), content->type, 1);
        if (strcmp(oid, SPC_INDIRECT_DATA) != 0 || !content->d.other ||
            content->d.other->type != V_ASN1_SEQUENCE)
                return bad(e, "PKCS#7 SignedData over SpcIndirectDataContent expected, found something else");
        text = (struct slice){ASN1_STRING_get0_data(content->d.other->value.sequence),
                              (size_t)ASN1_STRING_length(content->d.other->value.sequence)};
        return take(&text, V_ASN1_SEQUENCE, ret) ? 0 : bad(e, "a content in DER expected");
}

static int verify(PKCS7 *p7, struct slice content, X509 *certificate)
{
        _cleanup_(X509_STORE_free_ptr) X509_STORE *store = X509_STORE_new();
        _cleanup_(BIO_free_all_ptr) BIO *bio = BIO_new_mem_buf(content.bytes, (int)content.size);
        int r;

        if (!store || !bio || X509_STORE_add_cert(store, certificate) != 1 ||
            X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME) != 1 ||
            X509_STORE_set_purpose(store, X509_PURPOSE_ANY) != 1)
                return -ENOMEM;
        r = PKCS7_verify(p7, NULL, store, bio, NULL, PKCS7_BINARY);
        ERR_clear_error();
        return r == 1;
}

int pe_signed_by(const struct pe *pe, X509 *certificate, struct error *e)
{
        _cleanup_(PKCS7_free_ptr) PKCS7 *p7 = NULL;
        const unsigned char *p = pe->signature.bytes;
        uint8_t digest[32];
        struct slice content;
        int r;

        if (pe->signature.size == 0)
                return bad(e, "one expected, found none");
        p7 = d2i_PKCS7(NULL, &p, (long)pe->signature.size);
        if (!p7)
                return bad(e, "PKCS#7 in DER expected, found something else");
        r = signed_content(p7, &content, e);
        if (r >= 0)
                r = pe_authenticode(pe, digest, e);
        if (r < 0)
                return r;
        if (!names_digest(content, digest))
                return bad(e, "the SHA-256 digest of this file expected, found another");
        return verify(p7, content, certificate);
}
