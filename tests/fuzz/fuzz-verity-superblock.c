/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "verity-tools/internal.h"

#include <string.h>

/* The input is what stands behind the signature and the version, and before the salt. What is accepted is in
 * range, has a tree of sane size, and is written back as it was read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t block[VERITY_SUPERBLOCK_SIZE] = "verity\0\0\1", uuid[16], again[VERITY_SUPERBLOCK_SIZE];
        struct verity_geometry g = {};
        struct verity_layout layout;

        memcpy(block + 12, data, size < 76 ? size : 76);
        if (verity_superblock_parse(block, sizeof(block), 0, &g, uuid, NULL) < 0)
                return 0;
        PROMISE(verity_geometry_check(&g, NULL) == 0);
        verity_layout_of(&g, &layout);
        PROMISE(layout.levels <= VERITY_LEVELS_MAX);
        PROMISE(verity_tree_size(&g) % g.hash_block_size == 0);
        PROMISE(verity_tree_size(&g) / 8 <= verity_data_size(&g) + 4096);
        verity_superblock_write(&g, uuid, again);
        PROMISE(memcmp(again, block, 32) == 0);
        PROMISE(memcmp(again + 64, block + 64, 18) == 0);
        return 0;
}
