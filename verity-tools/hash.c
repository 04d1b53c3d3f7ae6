/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which engine hashes, and what goes around the block: salt before it, padding behind. */
#include "hash.h"

#include <errno.h>
#include <string.h>

#include "hash-engine.h"
#include "internal.h"

int hasher_new(const char *algorithm, const void *salt, size_t salt_size, const char *engine,
               struct hasher **ret, struct error *e)
{
        _cleanup_(hasher_free_ptr) struct hasher *h = calloc(1, sizeof(*h));

        if (!h)
                return -ENOMEM;
        h->digest = verity_digest_size(algorithm);
        if (h->digest == 0 || salt_size > sizeof(h->salt))
                return error_set(e, -EINVAL,
                                 "hash: sha256, sha384 or sha512 and a salt of at most %zu bytes expected",
                                 sizeof(h->salt));
        if (salt_size > 0)
                memcpy(h->salt, salt, salt_size);
        h->salt_size = salt_size;
        h->md = EVP_MD_fetch(NULL, algorithm, NULL);
        if (!h->md)
                return error_set(e, -EOPNOTSUPP, "hash algorithm %s: not offered by OpenSSL", algorithm);
        *ret = TAKE_PTR(h);
        return 0;
}

struct hasher *hasher_free(struct hasher *h)
{
        if (h)
                EVP_MD_free(h->md);
        free(h);
        return NULL;
}

int hasher_blocks(const struct hasher *h, const void *blocks, size_t n, size_t block_size, uint8_t *digests,
                  size_t slot)
{
        return hash_openssl_blocks(h, blocks, n, block_size, digests, slot);
}
