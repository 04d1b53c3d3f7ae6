/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "base/hex.h"
#include "trust/internal.h"

/* --- who signed --- */

/* Names are compared byte for byte, as the kernel does; OpenSSL alone would take another spelling for the
 * same. */
static bool same_name(const X509_NAME *a, const X509_NAME *b)
{
        const unsigned char *p, *q;
        size_t n, m;

        return X509_NAME_get0_der(a, &p, &n) == 1 && X509_NAME_get0_der(b, &q, &m) == 1 && n == m &&
               memcmp(p, q, n) == 0;
}

static bool is_signer(CMS_SignerInfo *si, X509 *certificate)
{
        X509_NAME *issuer = NULL;

        if (CMS_SignerInfo_cert_cmp(si, certificate) != 0 ||
            CMS_SignerInfo_get0_signer_id(si, NULL, &issuer, NULL) != 1)
                return false;
        return !issuer || same_name(issuer, X509_get_issuer_name(certificate));
}

/* The trusted certificate that the signer names, and its purpose: authorities have none. */
static X509 *find_trusted(const struct trust_verification *v, enum trust_purpose *ret)
{
        for (size_t p = 0; p < TRUST_PURPOSES; p++) {
                const struct trust_certificates *c = &v->store->certificates[p];

                for (size_t i = 0; i < c->n; i++)
                        if (is_signer(v->si, c->items[i])) {
                                *ret = trust_certificate_purpose(c->items[i]);
                                return c->items[i];
                        }
        }
        return NULL;
}

/* The signer's certificate among those inside the signature. It is worth nothing without a chain. */
static X509 *find_inside(const struct trust_verification *v, enum trust_purpose *ret)
{
        for (int i = 0; i < sk_X509_num(v->inside); i++) {
                X509 *x = sk_X509_value(v->inside, i);

                if (!is_signer(v->si, x))
                        continue;
                *ret = trust_certificate_purpose(x);
                return x;
        }
        return NULL;
}

/* Whom the signature names, when there is no certificate to tell. */
static void describe_unknown(CMS_SignerInfo *si, size_t size, char *ret)
{
        ASN1_INTEGER *serial = NULL;
        X509_NAME *issuer = NULL;
        char name[96], hex[2 * 20 + 1] = "";

        if (CMS_SignerInfo_get0_signer_id(si, NULL, &issuer, &serial) != 1 || !issuer) {
                (void)snprintf(ret, size, "another, named by its key");
                return;
        }
        trust_format_name(issuer, sizeof(name), name);
        if (ASN1_STRING_length(serial) <= 20)
                hex_encode(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), hex);
        (void)snprintf(ret, size, "another: number %s of %s", hex, name);
}

static int check_signer(struct trust_verification *v)
{
        const char *name = trust_purpose_to_string(v->purpose);
        enum trust_purpose purpose = TRUST_PURPOSES;
        char expected[128], found[192];
        X509 *x = find_trusted(v, &purpose);

        if (!x && v->store->pki)
                x = find_inside(v, &purpose);
        if (!x) {
                (void)snprintf(expected, sizeof(expected),
                               "signer among the %zu certificates of %.60s/%s.pem%s",
                               v->store->certificates[v->purpose].n, v->store->path, name,
                               v->store->pki ? ", or inside" : "");
                describe_unknown(v->si, sizeof(found), found);
                return trust_refuse(v->report, "signer", -ENOKEY, -ENOKEY, expected, "%s", found);
        }
        (void)snprintf(expected, sizeof(expected), "signer with the purpose %s", name);
        if (purpose != v->purpose)
                return trust_refuse(v->report, "signer", -EKEYREJECTED, 0, expected, "%s",
                                    trust_purpose_to_string(purpose) ?: "none or several");
        v->signer = x;
        trust_describe(x, sizeof(found), found);
        trust_accept(v->report, "signer", expected, "%s", found);
        return 0;
}

/* --- what was signed --- */

static bool covers(const struct trust_verification *v, const void *data, size_t size)
{
        const ASN1_OCTET_STRING *s = CMS_SignerInfo_get0_signature(v->si);

        return trust_raw_verifies(X509_get0_pubkey(v->signer), v->digest, data, size,
                                  ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* The usual mistakes of those who sign a root hash with other tools. */
static const char *what_else(const struct trust_verification *v)
{
        char text[2 * EVP_MAX_MD_SIZE + 1];
        uint8_t bytes[EVP_MAX_MD_SIZE];

        if (v->size == 0 || v->size >= sizeof(text) || v->size % 2 != 0)
                return "one over something else";
        memcpy(text, v->data, v->size);
        text[v->size] = '\n';
        if (covers(v, text, v->size + 1))
                return "one over it with a newline behind";
        text[v->size] = '\0';
        if (hex_decode(text, bytes, v->size / 2) >= 0 && covers(v, bytes, v->size / 2))
                return "one over the bytes that the digits stand for";
        for (size_t i = 0; i < v->size; i++)
                text[i] = (char)toupper((unsigned char)text[i]);
        return covers(v, text, v->size) ? "one over it in upper case" : "one over something else";
}

static int check_signature(struct trust_verification *v)
{
        const char *expected = "a signature over this data";
        EVP_PKEY *key = X509_get0_pubkey(v->signer);
        struct error e = {};

        if (!key || trust_check_key("the signer", key, &e) < 0)
                return trust_refuse(v->report, "signature", -EKEYREJECTED, -ENOPKG, "a usable key", "%s",
                                    e.message);
        if (EVP_PKEY_is_a(key, "RSA") != v->rsa)
                return trust_refuse(v->report, "signature", -EBADMSG, -EKEYREJECTED,
                                    "an algorithm of the signer's key", "another key's");
        if (!covers(v, v->data, v->size))
                return trust_refuse(v->report, "signature", -EKEYREJECTED, -EKEYREJECTED, expected, "%s",
                                    what_else(v));
        trust_accept(v->report, "signature", expected, "one");
        return 0;
}

/* --- all of it --- */

/* Without a signer there is nothing more to look at. What is wrong with the signer's certificate is no reason
 * not to look at the signature as well. */
static void check_all(struct trust_verification *v, const void *der, size_t size, bool attached)
{
        if (trust_check_form(v, der, size, attached) < 0)
                return;
        if (attached) {
                const ASN1_OCTET_STRING *content = *CMS_get0_content(v->cms);

                v->data = ASN1_STRING_get0_data(content);
                v->size = (size_t)ASN1_STRING_length(content);
        }
        if (v->store->pki)
                v->inside = CMS_get1_certs(v->cms);
        if (check_signer(v) < 0)
                return;
        if (v->store->pki)
                trust_check_path(v);
        (void)check_signature(v);
}

static void verification_done(struct trust_verification *v)
{
        sk_X509_pop_free(v->inside, X509_free);
        CMS_ContentInfo_free(v->cms);
}

int trust_report_detached(const struct trust_store *s, enum trust_purpose purpose, const void *data,
                          size_t size, const void *der, size_t der_size, struct trust_report *ret,
                          struct error *e)
{
        _cleanup_(verification_done) struct trust_verification v = {
                .store = s, .purpose = purpose, .data = data, .size = size, .report = ret};

        ret->n = 0;
        check_all(&v, der, der_size, false);
        return trust_report_result(ret, e);
}

int trust_verify_detached(const struct trust_store *s, enum trust_purpose purpose, const void *data,
                          size_t size, const void *der, size_t der_size, struct error *e)
{
        struct trust_report report;

        return trust_report_detached(s, purpose, data, size, der, der_size, &report, e);
}

int trust_verify_attached(const struct trust_store *s, enum trust_purpose purpose, const void *der,
                          size_t der_size, const void **ret_content, size_t *ret_size, struct error *e)
{
        struct trust_report report = {};
        _cleanup_(verification_done) struct trust_verification v = {
                .store = s, .purpose = purpose, .report = &report};
        const void *inside;
        int r;

        check_all(&v, der, der_size, true);
        r = trust_report_result(&report, e);
        if (r < 0)
                return r;
        /* What was parsed is byte for byte what der holds, so the content is found in it as it stands. */
        inside = memmem(der, der_size, v.data, v.size);
        if (!inside)
                return error_set(e, -EBADMSG, "signature: contiguous content expected, found pieces");
        *ret_content = inside;
        *ret_size = v.size;
        return 0;
}
