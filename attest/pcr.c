/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pcr.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/cleanup.h"

static const struct algorithm {
        uint16_t id;
        uint16_t size;
        const char *name;
        const EVP_MD *(*md)(void);
} algorithms[] = {
        {PCR_SHA1, 20, "sha1", EVP_sha1},       {PCR_SHA256, 32, "sha256", EVP_sha256},
        {PCR_SHA384, 48, "sha384", EVP_sha384}, {PCR_SHA512, 64, "sha512", EVP_sha512},
        {PCR_SM3_256, 32, "sm3_256", EVP_sm3},
};

static const struct algorithm *find_algorithm(uint16_t id)
{
        for (size_t i = 0; i < ELEMENTSOF(algorithms); i++)
                if (algorithms[i].id == id)
                        return &algorithms[i];
        return NULL;
}

size_t pcr_digest_size(uint16_t algorithm)
{
        const struct algorithm *a = find_algorithm(algorithm);

        return a ? a->size : 0;
}

const char *pcr_algorithm_name(uint16_t algorithm)
{
        const struct algorithm *a = find_algorithm(algorithm);

        return a ? a->name : NULL;
}

uint16_t pcr_algorithm_from_name(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(algorithms); i++)
                if (strcmp(algorithms[i].name, name) == 0)
                        return algorithms[i].id;
        return 0;
}

int pcr_hash(uint16_t algorithm, const void *data, size_t size, uint8_t *ret)
{
        const struct algorithm *a = find_algorithm(algorithm);

        if (!a)
                return -ENOTSUP;
        return EVP_Digest(data, size, ret, NULL, a->md(), NULL) == 1 ? 0 : -EIO;
}

int pcr_bank_start(struct pcr_bank *bank, uint16_t algorithm)
{
        const struct algorithm *a = find_algorithm(algorithm);

        if (!a)
                return -ENOTSUP;
        *bank = (struct pcr_bank){.algorithm = algorithm, .size = a->size};
        for (unsigned i = 17; i <= 22; i++)
                memset(bank->value[i], 0xff, a->size);
        return 0;
}

int pcr_bank_extend(struct pcr_bank *bank, unsigned pcr, const uint8_t *digest)
{
        uint8_t joined[2 * PCR_DIGEST_MAX];

        if (pcr >= PCR_COUNT)
                return -ERANGE;
        memcpy(joined, bank->value[pcr], bank->size);
        memcpy(joined + bank->size, digest, bank->size);
        bank->extended |= 1u << pcr;
        return pcr_hash(bank->algorithm, joined, 2 * (size_t)bank->size, bank->value[pcr]);
}

void pcr_bank_set_locality(struct pcr_bank *bank, uint8_t locality)
{
        memset(bank->value[0], 0, bank->size);
        bank->value[0][bank->size - 1] = locality;
        bank->extended |= 1;
}
