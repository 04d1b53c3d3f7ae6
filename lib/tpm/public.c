/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm/public.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm/internal.h"

DEFINE_CLEANUP(BIO *, BIO_free_all)
DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)

#define P256_BYTES 32
#define RSA_BYTES 256
#define RSA_EXPONENT 65537u /* what a TPM means by 0 (Part 2, 12.2.3.5) */

/* The TSS would print what we return, and looks at this variable once, when anything of it is first called.
 */
__attribute__((constructor)) static void silence_tss(void)
{
        (void)setenv("TSS2_LOG", "all+NONE", 0);
}

int tpm_sha256(const void *data, size_t size, uint8_t ret[static 32], struct error *e)
{
        if (EVP_Digest(data, size, ret, NULL, EVP_sha256(), NULL) == 1)
                return 0;
        return error_set(e, -EIO, "SHA-256 of %zu bytes failed", size);
}

/* --- encoding --- */

int tpm_public_marshal(const TPM2B_PUBLIC *p, struct tpm_public *ret, struct error *e)
{
        struct tpm_public out = {.name = {TPM2_ALG_SHA256 >> 8, TPM2_ALG_SHA256 & 0xff}};
        int r;

        if (Tss2_MU_TPM2B_PUBLIC_Marshal(p, out.bytes, sizeof(out.bytes), &out.size) != TSS2_RC_SUCCESS)
                return error_set(e, -EBADMSG,
                                 "public area: at most %u bytes expected, found another encoding",
                                 TPM_PUBLIC_MAX);
        r = tpm_sha256(out.bytes + 2, out.size - 2, out.name + 2, e);
        if (r < 0)
                return r;
        *ret = out;
        return 0;
}

int tpm_public_unmarshal(const struct tpm_public *p, TPM2B_PUBLIC *ret, struct error *e)
{
        TPM2B_PUBLIC out = {};
        size_t offset = 0;

        if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(p->bytes, p->size, &offset, &out) != TSS2_RC_SUCCESS ||
            offset != p->size)
                return error_set(e, -EBADMSG,
                                 "public area: TPM2B_PUBLIC of %zu bytes expected, found something else",
                                 p->size);
        *ret = out;
        return 0;
}

int tpm_public_parse(const void *bytes, size_t size, struct tpm_public *ret, struct error *e)
{
        struct tpm_public in = {.size = size}, out;
        TPM2B_PUBLIC p;
        int r;

        if (size > sizeof(in.bytes))
                return error_set(e, -EBADMSG, "public area: at most %u bytes expected, found %zu",
                                 TPM_PUBLIC_MAX, size);
        memcpy(in.bytes, bytes, size);
        r = tpm_public_unmarshal(&in, &p, e);
        if (r < 0)
                return r;
        if (p.publicArea.nameAlg != TPM2_ALG_SHA256)
                return error_set(e, -EBADMSG, "public area: nameAlg 0x%04x expected, found 0x%04x",
                                 TPM2_ALG_SHA256, p.publicArea.nameAlg);
        r = tpm_public_marshal(&p, &out, e);
        if (r < 0)
                return r;
        if (out.size != size || memcmp(out.bytes, bytes, size) != 0)
                return error_set(e, -EBADMSG, "public area: its one encoding expected, found another");
        *ret = out;
        return 0;
}

/* --- from PEM --- */

/* The public key of the one certificate or key in the text; NULL if that is not what it holds. */
static EVP_PKEY *read_pem(const char *pem)
{
        _cleanup_(BIO_free_all_ptr) BIO *bio = BIO_new_mem_buf(pem, -1);
        _cleanup_(EVP_PKEY_free_ptr) EVP_PKEY *key = NULL;
        _cleanup_(X509_free_ptr) X509 *certificate = NULL;
        char *name = NULL, *header = NULL;
        unsigned char *data = NULL;
        long size;

        if (!bio)
                return NULL;
        certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (certificate)
                key = X509_get_pubkey(certificate);
        else if (BIO_reset(bio) == 1)
                key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        if (!key || PEM_read_bio(bio, &name, &header, &data, &size) != 1)
                return TAKE_PTR(key);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(data);
        return NULL;
}

bool tpm_coordinate(const EVP_PKEY *key, const char *name, TPM2B_ECC_PARAMETER *ret)
{
        BIGNUM *n = NULL;
        int written = -1;

        if (EVP_PKEY_get_bn_param(key, name, &n) == 1)
                written = BN_bn2binpad(n, ret->buffer, P256_BYTES);
        BN_free(n);
        ret->size = P256_BYTES;
        return written == P256_BYTES;
}

int tpm_public_from_pem(const char *pem, struct tpm_public *ret, struct error *e)
{
        _cleanup_(EVP_PKEY_free_ptr) EVP_PKEY *key = read_pem(pem);
        TPM2B_PUBLIC p = {.publicArea = {.type = TPM2_ALG_ECC,
                                         .nameAlg = TPM2_ALG_SHA256,
                                         .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_DECRYPT |
                                                             TPMA_OBJECT_USERWITHAUTH,
                                         .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                                                  .scheme.scheme = TPM2_ALG_NULL,
                                                                  .curveID = TPM2_ECC_NIST_P256,
                                                                  .kdf.scheme = TPM2_ALG_NULL}}};
        char group[64] = "";
        bool ok;

        ERR_clear_error();
        if (!key)
                return error_set(e, -EBADMSG,
                                 "PEM: one certificate or public key expected, found something else");
        ok = EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
             strcmp(group, SN_X9_62_prime256v1) == 0 &&
             tpm_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, &p.publicArea.unique.ecc.x) &&
             tpm_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, &p.publicArea.unique.ecc.y);
        ERR_clear_error();
        if (!ok)
                return error_set(e, -EKEYREJECTED, "PEM: a key of type EC on %s expected, found %s %s",
                                 SN_X9_62_prime256v1, EVP_PKEY_get0_type_name(key) ?: "an unknown type",
                                 group);
        return tpm_public_marshal(&p, ret, e);
}

/* --- to OpenSSL --- */

static int make_key(const char *type, OSSL_PARAM params[], EVP_PKEY **ret)
{
        _cleanup_(EVP_PKEY_CTX_free_ptr) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        bool ok = context && EVP_PKEY_fromdata_init(context) == 1 &&
                  EVP_PKEY_fromdata(context, ret, EVP_PKEY_PUBLIC_KEY, params) == 1;

        ERR_clear_error();
        return ok ? 0 : -EKEYREJECTED;
}

static int make_ec(const TPMT_PUBLIC *p, EVP_PKEY **ret)
{
        uint8_t point[1 + 2 * P256_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
        const TPM2B_ECC_PARAMETER *x = &p->unique.ecc.x, *y = &p->unique.ecc.y;
        char group[] = SN_X9_62_prime256v1;
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
                OSSL_PARAM_construct_end(),
        };

        if (p->parameters.eccDetail.curveID != TPM2_ECC_NIST_P256 || x->size > P256_BYTES ||
            y->size > P256_BYTES)
                return -EKEYREJECTED;
        memcpy(point + 1 + P256_BYTES - x->size, x->buffer, x->size);
        memcpy(point + 1 + 2 * P256_BYTES - y->size, y->buffer, y->size);
        return make_key("EC", params, ret);
}

static int make_rsa(const TPMT_PUBLIC *p, EVP_PKEY **ret)
{
        const TPM2B_PUBLIC_KEY_RSA *modulus = &p->unique.rsa;
        uint8_t n[RSA_BYTES]; /* OSSL_PARAM wants the machine's order of bytes */
        unsigned exponent = p->parameters.rsaDetail.exponent ?: RSA_EXPONENT;
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, n, sizeof(n)),
                OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_E, &exponent),
                OSSL_PARAM_construct_end(),
        };
        BIGNUM *number;
        int size;

        if (modulus->size != RSA_BYTES || exponent != RSA_EXPONENT)
                return -EKEYREJECTED;
        number = BN_bin2bn(modulus->buffer, RSA_BYTES, NULL);
        size = number && BN_num_bits(number) == RSA_BYTES * 8 ? BN_bn2nativepad(number, n, RSA_BYTES) : -1;
        BN_free(number);
        return size == RSA_BYTES ? make_key("RSA", params, ret) : -EKEYREJECTED;
}

int tpm_public_to_key(const struct tpm_public *p, EVP_PKEY **ret, struct error *e)
{
        TPM2B_PUBLIC in;
        int r;

        r = tpm_public_unmarshal(p, &in, e);
        if (r < 0)
                return r;
        r = -EKEYREJECTED;
        if (in.publicArea.type == TPM2_ALG_ECC)
                r = make_ec(&in.publicArea, ret);
        else if (in.publicArea.type == TPM2_ALG_RSA)
                r = make_rsa(&in.publicArea, ret);
        if (r < 0)
                return error_set(
                        e, r,
                        "public area: a key on P-256 or of RSA-2048 expected, found another (type 0x%04x)",
                        in.publicArea.type);
        return 0;
}
