/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The header of the data volume: whoever has the disk writes it. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "osguard/volume.h"

static struct tpm_public owner;

/* The seeds have tokens of this owner. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEno9T7MvMG7K05Xm9DEgOkYk5vszd\n"
                                  "4Fm/MdsKwpJP3yrq4IlQroGalIPNBrS5oDCaildkM3vLigTEMMjlx/slHg==\n"
                                  "-----END PUBLIC KEY-----\n";

        PROMISE(tpm_public_from_pem(pem, &owner, NULL) == 0);
        return 0;
}

/* What is taken can be written, and is taken again. */
static void try_json(const char *json)
{
        struct tpm_sealed sealed, again;
        _cleanup_free_ char *token = NULL;
        struct error e = {};

        if (volume_json_check(json, &owner, &sealed, &e) < 0) {
                PROMISE(e.message[0]);
                return;
        }
        PROMISE(sealed.private_size > 0);
        PROMISE(volume_token(&sealed, &token, &e) == 0);
        PROMISE(tpm_sealed_parse(&owner, sealed.public_area.bytes, sealed.public_area.size,
                                 sealed.private_area, sealed.private_size, &again, &e) == 0);
        PROMISE(memcmp(sealed.public_area.name, again.public_area.name, TPM_NAME_SIZE) == 0);
}

/* The input as the primary copy, behind it a secondary one that is the same. */
static void try_copies(const uint8_t *data, size_t size)
{
        uint8_t copies[2 * VOLUME_COPY_SIZE] = {};

        memcpy(copies, data, size < VOLUME_COPY_SIZE ? size : VOLUME_COPY_SIZE);
        memcpy(copies + VOLUME_COPY_SIZE, copies, VOLUME_COPY_SIZE);
        PROMISE(volume_copies_check(copies, NULL) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *json = strndup((const char *)data, size);

        PROMISE(json);
        try_json(json);
        free(json);
        try_copies(data, size);
        return 0;
}
