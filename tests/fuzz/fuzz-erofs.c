/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "fuzz.h"
#include "verity-tools/verity.h"

#include <string.h>
#include <sys/mman.h>

/* The input is the superblock, in a block of zeros. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t block[8192];
        _cleanup_close_ int fd = memfd_create("erofs", MFD_CLOEXEC);
        struct erofs_info info = {};

        memset(block, 0, sizeof(block));
        memcpy(block + 1024, "\xe2\xe1\xf5\xe0", 4);
        memcpy(block + 1028, data, size < 1024 ? size : 1024);
        PROMISE(pwrite_full(fd, block, sizeof(block), 0) == 0);
        if (erofs_check(fd, &info, NULL) < 0)
                return 0;
        PROMISE(info.block_size == 4096 && info.blocks >= 1 && info.blocks <= 2 &&
                info.feature_incompat == 0);
        return 0;
}
