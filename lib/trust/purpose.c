/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/file.h"
#include "trust/internal.h"

#define PEM_FILE_MAX ((size_t)256 * 1024)

static const char *const names[TRUST_PURPOSES] = {
        [TRUST_BOOT] = "boot",     [TRUST_ROOTFS] = "rootfs",     [TRUST_LAYER] = "layer",
        [TRUST_POLICY] = "policy", [TRUST_MANIFEST] = "manifest", [TRUST_TEST] = "test",
        [TRUST_BUILD] = "build",   [TRUST_RECOVERY] = "recovery",
};

const char *trust_purpose_to_string(enum trust_purpose purpose)
{
        return purpose < TRUST_PURPOSES ? names[purpose] : NULL;
}

enum trust_purpose trust_purpose_from_string(const char *name)
{
        enum trust_purpose p = 0;

        while (p < TRUST_PURPOSES && strcmp(names[p], name) != 0)
                p++;
        return p;
}

ASN1_OBJECT *trust_purpose_oid(enum trust_purpose purpose)
{
        char oid[sizeof(TRUST_OID_PURPOSES) + 8];

        (void)snprintf(oid, sizeof(oid), "%s.%u", TRUST_OID_PURPOSES, (unsigned)purpose + 1);
        return OBJ_txt2obj(oid, 1);
}

/* The purpose that this object identifier stands for. */
static enum trust_purpose purpose_of(const ASN1_OBJECT *object)
{
        char oid[128];
        enum trust_purpose p = 0;

        if (OBJ_obj2txt(oid, sizeof(oid), object, 1) <= 0)
                return TRUST_PURPOSES;
        for (; p < TRUST_PURPOSES; p++) {
                char ours[sizeof(TRUST_OID_PURPOSES) + 8];

                (void)snprintf(ours, sizeof(ours), "%s.%u", TRUST_OID_PURPOSES, (unsigned)p + 1);
                if (strcmp(oid, ours) == 0)
                        break;
        }
        return p;
}

enum trust_purpose trust_certificate_purpose(X509 *certificate)
{
        enum trust_purpose found = TRUST_PURPOSES;
        EXTENDED_KEY_USAGE *usage;
        int critical, ours = 0;

        usage = X509_get_ext_d2i(certificate, NID_ext_key_usage, &critical, NULL);
        for (int i = 0; i < sk_ASN1_OBJECT_num(usage); i++) {
                enum trust_purpose p = purpose_of(sk_ASN1_OBJECT_value(usage, i));

                if (p == TRUST_PURPOSES)
                        continue;
                found = p;
                ours++;
        }
        EXTENDED_KEY_USAGE_free(usage);
        return ours == 1 && critical == 1 ? found : TRUST_PURPOSES;
}

int trust_check_key(const char *name, EVP_PKEY *key, struct error *e)
{
        int bits = EVP_PKEY_get_bits(key);
        char group[64] = "";

        if (EVP_PKEY_is_a(key, "RSA")) {
                if (bits >= 2048 && bits <= 4096)
                        return 0;
                return error_set(e, -EKEYREJECTED, "%s: RSA key of 2048 to 4096 bits expected, found %d bits",
                                 name, bits);
        }
        if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
            (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0))
                return 0;
        return error_set(e, -EKEYREJECTED,
                         "%s: key of type RSA or ECDSA on P-256 or P-384 expected, found %s %s", name,
                         EVP_PKEY_get0_type_name(key) ?: "an unknown type", group);
}

int trust_openssl_error(struct error *e, int r, const char *format, ...)
{
        unsigned long code = ERR_peek_error();
        const char *reason = ERR_reason_error_string(code);
        char text[512];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        ERR_clear_error();
        return error_set(e, r, "%s: %s", text, reason ?: "OpenSSL failed");
}

void trust_certificates_done(struct trust_certificates *c)
{
        for (size_t i = 0; i < c->n; i++)
                X509_free(c->items[i]);
        c->n = 0;
}

/* Appends the certificates of a PEM text. */
static int parse_certificates(const char *path, BIO *bio, struct trust_certificates *c, struct error *e)
{
        for (;;) {
                X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

                if (!x && c->n > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
                        ERR_clear_error();
                        return 0;
                }
                if (!x)
                        return trust_openssl_error(e, -EBADMSG, "%s: PEM certificate expected", path);
                if (c->n >= TRUST_CERTIFICATES_MAX) {
                        X509_free(x);
                        return error_set(e, -E2BIG, "%s: at most %d certificates expected, found more", path,
                                         TRUST_CERTIFICATES_MAX);
                }
                c->items[c->n++] = x;
        }
}

int trust_read_certificates(int dirfd, const char *path, struct trust_certificates *ret, struct error *e)
{
        struct trust_certificates c = {};
        _cleanup_(BIO_free_all_ptr) BIO *bio = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = read_file(dirfd, path, PEM_FILE_MAX, &text, &size, e);
        if (r < 0)
                return r;
        bio = BIO_new_mem_buf(text, (int)size);
        if (!bio)
                return -ENOMEM;
        r = parse_certificates(path, bio, &c, e);
        if (r < 0) {
                trust_certificates_done(&c);
                return r;
        }
        *ret = c;
        return 0;
}
