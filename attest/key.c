/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attestation keys: from a TPM's public area to a key of OpenSSL. */
#include "key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <string.h>
#include <tss2/tss2_mu.h>

/* Attributes that make a signing key one for attestation (Part 2, section 8.3). */
#define ATTESTATION_ATTRIBUTES                                                                               \
        (TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_FIXEDTPM |                          \
         TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN)

struct attestation_key *attestation_key_free(struct attestation_key *key)
{
        if (!key)
                return NULL;
        EVP_PKEY_free(key->pkey);
        free(key);
        return NULL;
}

const uint8_t *attestation_key_name(const struct attestation_key *key)
{
        return key->has_name ? key->name : NULL;
}

const uint8_t *attestation_key_fingerprint(const struct attestation_key *key)
{
        return key->fingerprint;
}

static EVP_PKEY *make_pkey(const char *type, OSSL_PARAM_BLD *b)
{
        OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        EVP_PKEY *key = NULL;

        if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
            EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
                key = NULL;
        EVP_PKEY_CTX_free(ctx);
        OSSL_PARAM_free(params);
        return key;
}

static EVP_PKEY *rsa_key(const TPMT_PUBLIC *p)
{
        const TPM2B_PUBLIC_KEY_RSA *n = &p->unique.rsa;
        uint32_t exponent = p->parameters.rsaDetail.exponent ?: 65537;
        OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
        BIGNUM *modulus = BN_bin2bn(n->buffer, n->size, NULL), *e = BN_new();
        EVP_PKEY *key = NULL;

        if (b && modulus && e && BN_set_word(e, exponent) == 1 &&
            OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
            OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, e) == 1)
                key = make_pkey("RSA", b);
        OSSL_PARAM_BLD_free(b);
        BN_free(modulus);
        BN_free(e);
        return key;
}

static const struct curve {
        TPMI_ECC_CURVE id;
        const char *name;
        size_t size; /* of a coordinate in bytes */
} curves[] = {{TPM2_ECC_NIST_P256, "P-256", 32},
              {TPM2_ECC_NIST_P384, "P-384", 48},
              {TPM2_ECC_NIST_P521, "P-521", 66}};

static EVP_PKEY *ecc_key(const TPMT_PUBLIC *p)
{
        const TPM2B_ECC_PARAMETER *x = &p->unique.ecc.x, *y = &p->unique.ecc.y;
        uint8_t point[1 + 2 * 66] = {4}; /* uncompressed */
        EVP_PKEY *key = NULL;

        for (size_t i = 0; i < ELEMENTSOF(curves); i++) {
                const struct curve *c = &curves[i];
                OSSL_PARAM_BLD *b;

                if (c->id != p->parameters.eccDetail.curveID || x->size > c->size || y->size > c->size)
                        continue;
                memcpy(point + 1 + c->size - x->size, x->buffer, x->size);
                memcpy(point + 1 + 2 * c->size - y->size, y->buffer, y->size);
                b = OSSL_PARAM_BLD_new();
                if (b && OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, c->name, 0) == 1 &&
                    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * c->size) == 1)
                        key = make_pkey("EC", b);
                OSSL_PARAM_BLD_free(b);
        }
        return key;
}

/* RSA of 2048 to 4096 bits, or one of the curves; the point lies on it. */
static bool is_strong(EVP_PKEY *key)
{
        EVP_PKEY_CTX *ctx;
        char group[32];
        bool good;

        if (EVP_PKEY_is_a(key, "RSA")) {
                int bits = EVP_PKEY_get_bits(key);

                return bits >= 2048 && bits <= 4096;
        }
        if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
            (strcmp(group, "prime256v1") != 0 && strcmp(group, "P-256") != 0 &&
             strcmp(group, "secp384r1") != 0 && strcmp(group, "P-384") != 0 &&
             strcmp(group, "secp521r1") != 0 && strcmp(group, "P-521") != 0))
                return false;
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        good = ctx && EVP_PKEY_public_check(ctx) == 1;
        EVP_PKEY_CTX_free(ctx);
        return good;
}

static int set_fingerprint(struct attestation_key *key)
{
        unsigned char *der = NULL;
        int n = i2d_PUBKEY(key->pkey, &der), r;

        if (n <= 0)
                return -EIO;
        r = pcr_hash(PCR_SHA256, der, (size_t)n, key->fingerprint);
        OPENSSL_free(der);
        return r;
}

/* Whether these bytes are the key's one form. */
static bool is_canonical(EVP_PKEY *pkey, const void *spki, size_t size)
{
        unsigned char *der = NULL;
        int n = i2d_PUBKEY(pkey, &der);
        bool same = n > 0 && (size_t)n == size && memcmp(der, spki, size) == 0;

        OPENSSL_free(der);
        return same;
}

static int finish(struct attestation_key *key, struct error *e)
{
        if (!key->pkey || !is_strong(key->pkey))
                return error_set(e, -EKEYREJECTED,
                                 "attestation key: RSA of 2048 to 4096 bits, or a point on P-256, "
                                 "P-384 or P-521 expected");
        return set_fingerprint(key);
}

/* The signature scheme that the key's area fixes. */
static int set_scheme(struct attestation_key *key, const TPMT_PUBLIC *p)
{
        switch (p->type) {
        case TPM2_ALG_RSA:
                key->scheme = p->parameters.rsaDetail.scheme.scheme;
                key->hash = p->parameters.rsaDetail.scheme.details.anySig.hashAlg;
                key->pkey = rsa_key(p);
                return key->scheme == TPM2_ALG_RSASSA ? 0 : -EKEYREJECTED;
        case TPM2_ALG_ECC:
                key->scheme = p->parameters.eccDetail.scheme.scheme;
                key->hash = p->parameters.eccDetail.scheme.details.anySig.hashAlg;
                key->pkey = ecc_key(p);
                return key->scheme == TPM2_ALG_ECDSA ? 0 : -EKEYREJECTED;
        default:
                return -EKEYREJECTED;
        }
}

int attestation_key_from_public(const void *public_area, size_t size, struct attestation_key **ret,
                                struct error *e)
{
        _cleanup_(attestation_key_free_ptr) struct attestation_key *key = calloc(1, sizeof(*key));
        struct tpm_public area;
        TPM2B_PUBLIC p = {};
        size_t offset = 0;
        int r;

        if (!key)
                return -ENOMEM;
        r = tpm_public_parse(public_area, size, &area, e);
        if (r < 0)
                return error_prefix(e, r, "attestation key");
        if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(area.bytes, area.size, &offset, &p) != TSS2_RC_SUCCESS)
                return error_set(e, -EBADMSG, "attestation key: one TPM2B_PUBLIC expected");
        if ((p.publicArea.objectAttributes & (ATTESTATION_ATTRIBUTES | TPMA_OBJECT_DECRYPT)) !=
            ATTESTATION_ATTRIBUTES)
                return error_set(e, -EKEYREJECTED,
                                 "attestation key: sign, restricted, fixedTPM, fixedParent and "
                                 "sensitiveDataOrigin without decrypt expected, found attributes 0x%08x",
                                 p.publicArea.objectAttributes);
        if (set_scheme(key, &p.publicArea) < 0)
                return error_set(e, -EKEYREJECTED,
                                 "attestation key: RSASSA or ECDSA expected, found scheme 0x%04x",
                                 key->scheme);
        memcpy(key->name, area.name, sizeof(key->name));
        key->has_name = true;
        r = finish(key, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(key);
        return 0;
}

int attestation_key_from_spki(const void *der, size_t size, struct attestation_key **ret, struct error *e)
{
        _cleanup_(attestation_key_free_ptr) struct attestation_key *key = calloc(1, sizeof(*key));
        const unsigned char *p = der;
        int r;

        if (!key)
                return -ENOMEM;
        if (size <= QUOTE_PART_MAX)
                key->pkey = d2i_PUBKEY(NULL, &p, (long)size);
        if (!key->pkey || !is_canonical(key->pkey, der, size))
                return error_set(e, -EBADMSG, "attestation key: one SubjectPublicKeyInfo expected");
        key->scheme = EVP_PKEY_is_a(key->pkey, "RSA") ? TPM2_ALG_RSASSA : TPM2_ALG_ECDSA;
        r = finish(key, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(key);
        return 0;
}
