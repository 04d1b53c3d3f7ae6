/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a TPM lies on disks and comes over wires: public areas, sealed objects, endorsement keys. The first
 * byte says where the public area ends. */
#include "fuzz.h"

#include <openssl/evp.h>
#include <string.h>

#include "tpm/attestation.h"
#include "tpm/seal.h"

static const struct tpm_public authority = {.name = {0, 0x0b}};

static void try_public(const uint8_t *data, size_t size)
{
        struct tpm_credential credential;
        struct tpm_public p;
        EVP_PKEY *key = NULL;

        if (tpm_public_parse(data, size, &p, NULL) < 0)
                return;
        PROMISE(p.size == size && memcmp(p.bytes, data, size) == 0);
        if (tpm_public_to_key(&p, &key, NULL) == 0)
                PROMISE(key);
        EVP_PKEY_free(key);
        (void)tpm_ak_check(&p, NULL);
        (void)tpm_make_credential(&p, p.name, "secret", 6, &credential, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct tpm_sealed sealed;
        char pem[4096];
        struct tpm_public p;
        size_t n;

        if (size == 0)
                return 0;
        n = data[0] < size - 1 ? data[0] : size - 1;
        try_public(data + 1, size - 1);
        if (tpm_sealed_parse(&authority, data + 1, n, data + 1 + n, size - 1 - n, &sealed, NULL) == 0)
                PROMISE(sealed.public_area.size == n && sealed.private_size == size - 1 - n);
        if (size < sizeof(pem)) {
                memcpy(pem, data, size);
                pem[size] = '\0';
                (void)tpm_public_from_pem(pem, &p, NULL);
        }
        return 0;
}
