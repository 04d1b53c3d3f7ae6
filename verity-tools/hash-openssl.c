/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any algorithm, one block after the other. */
#include <errno.h>
#include <string.h>

#include "hash-engine.h"

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

int hash_openssl_blocks(const struct hasher *h, const uint8_t *blocks, size_t n, size_t block_size,
                        uint8_t *digests, size_t slot)
{
        _cleanup_(EVP_MD_CTX_free_ptr) EVP_MD_CTX *salted = EVP_MD_CTX_new();
        _cleanup_(EVP_MD_CTX_free_ptr) EVP_MD_CTX *hash = EVP_MD_CTX_new();

        if (!salted || !hash)
                return -ENOMEM;
        if (EVP_DigestInit_ex2(salted, h->md, NULL) != 1 ||
            EVP_DigestUpdate(salted, h->salt, h->salt_size) != 1)
                return -EIO;
        for (size_t i = 0; i < n; i++) {
                if (EVP_MD_CTX_copy_ex(hash, salted) != 1 ||
                    EVP_DigestUpdate(hash, blocks + i * block_size, block_size) != 1 ||
                    EVP_DigestFinal_ex(hash, digests + i * slot, NULL) != 1)
                        return -EIO;
                memset(digests + i * slot + h->digest, 0, slot - h->digest);
        }
        return 0;
}
