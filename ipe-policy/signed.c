/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <string.h>

#include "ipe-policy/author.h"

DEFINE_CLEANUP(CMS_ContentInfo *, CMS_ContentInfo_free)

int ipe_signed_content(const void *der, size_t size, char **ret, size_t *ret_size, struct error *e)
{
        _cleanup_(CMS_ContentInfo_free_ptr) CMS_ContentInfo *cms = NULL;
        const unsigned char *p = der;
        ASN1_OCTET_STRING **content;

        if (size > IPE_POLICY_MAX)
                return error_set(e, -EMSGSIZE, "signed policy: at most %zu bytes expected, found %zu",
                                 IPE_POLICY_MAX, size);
        cms = d2i_CMS_ContentInfo(NULL, &p, (long)size);
        ERR_clear_error();
        if (!cms || OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)
                return error_set(e, -EBADMSG,
                                 "signed policy: PKCS#7 SignedData in DER expected, found something "
                                 "else, or it is cut short");
        content = CMS_get0_content(cms);
        if (!content || !*content)
                return error_set(
                        e, -EBADMSG,
                        "signed policy: a signature with its content expected, found a detached one");
        *ret_size = (size_t)ASN1_STRING_length(*content);
        *ret = malloc(*ret_size + 1);
        if (!*ret)
                return error_errno(e, -ENOMEM, "signed policy");
        memcpy(*ret, ASN1_STRING_get0_data(*content), *ret_size);
        (*ret)[*ret_size] = '\0';
        return 0;
}
