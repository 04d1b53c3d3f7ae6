/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A firmware file as OVMF is built (UEFI Platform Initialization specification, volume 3): firmware volumes,
 * one of which holds, in one LZMA-compressed section, the volumes that PEI measures to PCR 0. */
#pragma once

#include "attest/slice.h"
#include "base/error.h"

#define FIRMWARE_FILE_MAX ((size_t)64 * 1024 * 1024)
#define FIRMWARE_VOLUMES_MAX 8u

struct firmware_volume {
        struct slice bytes;
        bool runs_in_place; /* it holds the PEI core, whose modules write to their own copy in memory */
};

struct firmware {
        uint8_t *unpacked; /* what the volumes lie in, owned */
        struct firmware_volume volumes[FIRMWARE_VOLUMES_MAX];
        size_t n_volumes;
        struct slice version; /* PcdFirmwareVersionString, UTF-16 with its NUL; points into a volume */
};

/* -EBADMSG: not such a firmware; -ENOENT: the version is not found, or not unmistakable. */
int firmware_parse(struct slice file, struct firmware *ret, struct error *e);
void firmware_done(struct firmware *f);
