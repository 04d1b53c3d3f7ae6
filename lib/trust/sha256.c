/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "trust/internal.h"

struct trust_hash {
        EVP_MD_CTX *context;
};

int trust_sha256(const void *data, size_t size, uint8_t ret[static 32])
{
        return EVP_Digest(data, size, ret, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

int trust_hash_new(struct trust_hash **ret)
{
        _cleanup_(trust_hash_free_ptr) struct trust_hash *h = calloc(1, sizeof(*h));

        if (!h)
                return -ENOMEM;
        h->context = EVP_MD_CTX_new();
        if (!h->context)
                return -ENOMEM;
        if (EVP_DigestInit_ex2(h->context, EVP_sha256(), NULL) != 1)
                return -EIO;
        *ret = TAKE_PTR(h);
        return 0;
}

int trust_hash_add(struct trust_hash *h, const void *data, size_t size)
{
        return EVP_DigestUpdate(h->context, data, size) == 1 ? 0 : -EIO;
}

int trust_hash_end(struct trust_hash *h, uint8_t ret[static 32])
{
        return EVP_DigestFinal_ex(h->context, ret, NULL) == 1 ? 0 : -EIO;
}

struct trust_hash *trust_hash_free(struct trust_hash *h)
{
        if (h)
                EVP_MD_CTX_free(h->context);
        free(h);
        return NULL;
}
