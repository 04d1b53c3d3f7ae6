/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include <stdlib.h>

#include "attest/predict/initrd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *content = NULL;
        size_t n = 0;

        if (initrd_find((struct slice){data, size}, "init", &content, &n, NULL) == 0) {
                PROMISE(content[n] == '\0');
                free(content);
        }
        return 0;
}
