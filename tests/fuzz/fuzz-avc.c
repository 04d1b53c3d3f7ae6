/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A line of a kernel log: any process writes what stands around a record there. */
#include "fuzz.h"

#include <string.h>

#include "selinux/avc.h"

static bool is_name(const char *p, size_t size)
{
        size_t n = strnlen(p, size);

        return n > 0 && n < size && strcspn(p, "\"'{}\n\t\033=") == n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct avc avc;
        struct error e = {};
        int r = avc_parse((const char *)data, size, &avc, &e);

        PROMISE((r < 0) == (e.message[0] != '\0'));
        if (r > 0) {
                PROMISE(is_name(avc.source, sizeof(avc.source)) && !strchr(avc.source, ' '));
                PROMISE(is_name(avc.target, sizeof(avc.target)) && !strchr(avc.target, ' '));
                PROMISE(is_name(avc.class, sizeof(avc.class)) && !strchr(avc.class, ' '));
                PROMISE(is_name(avc.permissions, sizeof(avc.permissions)));
        }
        return 0;
}
