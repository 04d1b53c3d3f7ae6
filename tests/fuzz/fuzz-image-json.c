/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image.json is signed, but `osguard status` reads it from a log. */
#include "fuzz.h"

#include "osguard/osguard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct image image = {};
        struct error e = {};

        if (image_parse((const char *)data, size, &image, &e) >= 0)
                PROMISE(image.modules && image.cmdline && image.root.root_hash_size > 0);
        image_done(&image);
        return 0;
}
