/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of an IPE policy, of anybody's making. */
#include "fuzz.h"

#include <string.h>

#include "ipe-policy/ipe-policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        struct error e = {};
        int r = ipe_policy_parse((const char *)data, size, &policy, &e);

        PROMISE((r < 0) == (e.message[0] != '\0'));
        PROMISE((r < 0) == !policy);
        return 0;
}
