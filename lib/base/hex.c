/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/hex.h"

#include <errno.h>
#include <string.h>

void hex_encode(const void *data, size_t size, char *ret)
{
        static const char digits[] = "0123456789abcdef";
        const uint8_t *p = data;

        for (size_t i = 0; i < size; i++) {
                ret[2 * i] = digits[p[i] >> 4];
                ret[2 * i + 1] = digits[p[i] & 15];
        }
        ret[2 * size] = '\0';
}

static int digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

int hex_decode(const char *hex, void *ret, size_t size)
{
        uint8_t *out = ret;

        if (strlen(hex) != 2 * size)
                return -EINVAL;
        for (size_t i = 0; i < size; i++)
                if (digit(hex[2 * i]) < 0 || digit(hex[2 * i + 1]) < 0)
                        return -EINVAL;
        for (size_t i = 0; i < size; i++)
                out[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
        return 0;
}
