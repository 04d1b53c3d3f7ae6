/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one form of signatures. What the kernel answers to another was measured on Linux 6.12. */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "trust/internal.h"

#define CHECK "form"

/* DER has one encoding for one value: what does not come out again as it went in is another encoding or has
 * bytes behind. */
static bool is_der(CMS_ContentInfo *cms, const void *der, size_t size)
{
        unsigned char *again = NULL;
        int n = i2d_CMS_ContentInfo(cms, &again);
        bool same = n > 0 && (size_t)n == size && memcmp(again, der, size) == 0;

        OPENSSL_free(again);
        return same;
}

static int parse(struct trust_verification *v, const void *der, size_t size, size_t max)
{
        const unsigned char *p = der;

        if (size > max)
                return trust_refuse(v->report, CHECK, -EBADMSG, 0, "a signature of bounded size",
                                    "%zu bytes where %zu are the limit", size, max);
        v->cms = d2i_CMS_ContentInfo(NULL, &p, (long)size);
        ERR_clear_error();
        if (!v->cms)
                return trust_refuse(v->report, CHECK, -EBADMSG, -EBADMSG, "PKCS#7 in DER", "something else");
        if (!is_der(v->cms, der, size))
                return trust_refuse(v->report, CHECK, -EBADMSG, 0, "DER",
                                    "another encoding or trailing bytes");
        if (OBJ_obj2nid(CMS_get0_type(v->cms)) != NID_pkcs7_signed)
                return trust_refuse(v->report, CHECK, -EBADMSG, -EINVAL, "PKCS#7 SignedData",
                                    "another content type");
        if (OBJ_obj2nid(CMS_get0_eContentType(v->cms)) != NID_pkcs7_data)
                return trust_refuse(v->report, CHECK, -EBADMSG, -EKEYREJECTED, "content of type data",
                                    "another type");
        return 0;
}

static int check_content(struct trust_verification *v, bool attached)
{
        ASN1_OCTET_STRING **content = CMS_get0_content(v->cms);
        bool inside = content && *content;

        if (inside == attached)
                return 0;
        return trust_refuse(v->report, CHECK, -EBADMSG, -EBADMSG,
                            attached ? "a signature with content" : "a detached signature",
                            attached ? "a detached one" : "one with content");
}

/* Attributes would be what is signed in the content's place, and the kernel refuses some of them: those that
 * come with S/MIME capabilities. */
static int check_signer_info(struct trust_verification *v)
{
        STACK_OF(CMS_SignerInfo) *signers = CMS_get0_SignerInfos(v->cms);

        if (sk_CMS_SignerInfo_num(signers) != 1)
                return trust_refuse(v->report, CHECK, -EBADMSG, 0, "one signer", "%d",
                                    sk_CMS_SignerInfo_num(signers));
        v->si = sk_CMS_SignerInfo_value(signers, 0);
        if (CMS_signed_get_attr_count(v->si) >= 0)
                return trust_refuse(
                        v->report, CHECK, -EBADMSG,
                        CMS_signed_get_attr_by_NID(v->si, NID_SMIMECapabilities, -1) >= 0 ? -EKEYREJECTED : 0,
                        "no signed attributes", "%d", CMS_signed_get_attr_count(v->si));
        if (CMS_unsigned_get_attr_count(v->si) >= 0)
                return trust_refuse(v->report, CHECK, -EBADMSG, 0, "no unsigned attributes", "%d",
                                    CMS_unsigned_get_attr_count(v->si));
        return 0;
}

static bool has_parameters(const X509_ALGOR *a)
{
        return a->parameter && a->parameter->type != V_ASN1_NULL;
}

/* The signature algorithms that go with a digest. */
static const struct {
        int digest, ecdsa;
} algorithms[] = {
        {NID_sha256, NID_ecdsa_with_SHA256},
        {NID_sha384, NID_ecdsa_with_SHA384},
        {NID_sha512, NID_ecdsa_with_SHA512},
};

static int check_algorithms(struct trust_verification *v)
{
        X509_ALGOR *digest, *signature;
        int md, algorithm;
        char name[80];
        size_t i = 0;

        CMS_SignerInfo_get0_algs(v->si, NULL, NULL, &digest, &signature);
        md = OBJ_obj2nid(digest->algorithm);
        algorithm = OBJ_obj2nid(signature->algorithm);
        while (i < ELEMENTSOF(algorithms) && algorithms[i].digest != md)
                i++;
        (void)OBJ_obj2txt(name, sizeof(name), digest->algorithm, 0);
        if (i == ELEMENTSOF(algorithms))
                return trust_refuse(v->report, CHECK, -EBADMSG, md == NID_sha1 ? 0 : -ENOPKG,
                                    "digest SHA-256, SHA-384 or SHA-512", "%s", name);
        (void)OBJ_obj2txt(name, sizeof(name), signature->algorithm, 0);
        if (algorithm != NID_rsaEncryption && algorithm != algorithms[i].ecdsa)
                return trust_refuse(v->report, CHECK, -EBADMSG, -ENOPKG,
                                    "algorithm rsaEncryption, or ECDSA with the signer's digest", "%s", name);
        if (has_parameters(digest) || has_parameters(signature))
                return trust_refuse(v->report, CHECK, -EBADMSG, 0, "algorithms without parameters", "some");
        v->digest = EVP_get_digestbynid(md);
        v->rsa = algorithm == NID_rsaEncryption;
        trust_accept(v->report, CHECK, "PKCS#7, one signer, no attributes", "%s with %s", name,
                     OBJ_nid2sn(md));
        return 0;
}

int trust_check_form(struct trust_verification *v, const void *der, size_t size, bool attached)
{
        int r = parse(v, der, size, attached ? TRUST_ATTACHED_MAX : TRUST_SIGNATURE_MAX);

        if (r >= 0)
                r = check_content(v, attached);
        if (r >= 0)
                r = check_signer_info(v);
        return r < 0 ? r : check_algorithms(v);
}
