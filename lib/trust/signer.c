/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A key and its certificate, wherever they are. */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "trust/internal.h"

struct trust_signer *trust_signer_free(struct trust_signer *s)
{
        if (!s)
                return NULL;
        EVP_PKEY_free(s->key);
        trust_certificates_done(&s->certificates);
        trust_providers_done(&s->providers);
        free(s->name);
        free(s);
        return NULL;
}

X509 *trust_signer_certificate(const struct trust_signer *s)
{
        return s->certificates.items[0];
}

EVP_PKEY *trust_signer_public_key(const struct trust_signer *s)
{
        return X509_get0_pubkey(trust_signer_certificate(s));
}

static int check_pair(const struct trust_signer *s, const char *key, struct error *e)
{
        EVP_PKEY *public_key = trust_signer_public_key(s);
        int r;

        if (!public_key)
                return trust_openssl_error(e, -EKEYREJECTED, "%s: public key", s->name);
        r = trust_check_key(s->name, public_key, e);
        if (r < 0 || !s->key)
                return r;
        r = EVP_PKEY_eq(public_key, s->key);
        ERR_clear_error();
        if (r != 1)
                return error_set(e, -EKEYREJECTED,
                                 "%s: the certificate of the key %.*s expected, found another key's", s->name,
                                 trust_shown(key), key);
        return 0;
}

int trust_signer_open(const struct trust_signer_options *o, struct trust_signer **ret, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->name = strndup(o->certificate, (size_t)trust_shown(o->certificate));
        if (!s->name)
                return -ENOMEM;
        r = trust_providers_load(o, &s->providers, e);
        if (r >= 0 && o->key)
                r = trust_load_key(&s->providers, o->key, &s->key, e);
        if (r >= 0)
                r = trust_load_certificates(&s->providers, o->certificate, &s->certificates, e);
        if (r >= 0)
                r = check_pair(s, o->key, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

enum trust_purpose trust_signer_purpose(const struct trust_signer *s)
{
        return trust_certificate_purpose(trust_signer_certificate(s));
}

int trust_signer_check_time(const struct trust_signer *s, int64_t at, struct error *e)
{
        char expected[64], found[160];

        trust_format_validity(at, expected);
        for (size_t i = 0; i < s->certificates.n; i++)
                if (!trust_is_valid(s->certificates.items[i], at, found))
                        return error_set(e, -EKEYEXPIRED, "%s: %s expected, found %s", s->name, expected,
                                         found);
        return 0;
}

int trust_signer_check_authority(const struct trust_signer *s, enum trust_purpose purpose, struct error *e)
{
        X509 *x = trust_signer_certificate(s);

        if (s->key && X509_check_ca(x) == 1 && X509_get_key_usage(x) & KU_KEY_CERT_SIGN &&
            trust_may_issue(x, purpose))
                return 0;
        return error_set(e, -EKEYREJECTED,
                         "%s: an authority that may issue for the purpose %s expected, found none", s->name,
                         trust_purpose_to_string(purpose) ?: "none");
}

int trust_signer_fingerprint(const struct trust_signer *s, uint8_t ret[static 32], struct error *e)
{
        if (X509_digest(trust_signer_certificate(s), EVP_sha256(), ret, NULL) != 1)
                return trust_openssl_error(e, -EIO, "%s: fingerprint", s->name);
        return 0;
}

const EVP_MD *trust_digest_of(const EVP_PKEY *key)
{
        return EVP_PKEY_get_bits(key) == 384 ? EVP_sha384() : EVP_sha256();
}

const EVP_MD *trust_signer_md(const struct trust_signer *s)
{
        return trust_digest_of(trust_signer_public_key(s));
}
