/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/escape.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool continues(uint8_t c)
{
        return (c & 0xc0) == 0x80;
}

/* Bytes of the printable UTF-8 character at s (RFC 3629), or 0 if there is none. */
static size_t character(const uint8_t *s)
{
        if (s[0] < 0x80)
                return s[0] >= 0x20 && s[0] != 0x7f && s[0] != '\\';
        if (s[0] == 0xc2 && s[1] < 0xa0) /* C1 control characters */
                return 0;
        if (s[0] >= 0xc2 && s[0] <= 0xdf)
                return continues(s[1]) ? 2 : 0;
        if (s[0] >= 0xe0 && s[0] <= 0xef)
                return continues(s[1]) && continues(s[2]) && !(s[0] == 0xe0 && s[1] < 0xa0) &&
                                       !(s[0] == 0xed && s[1] > 0x9f)
                               ? 3
                               : 0;
        if (s[0] >= 0xf0 && s[0] <= 0xf4)
                return continues(s[1]) && continues(s[2]) && continues(s[3]) &&
                                       !(s[0] == 0xf0 && s[1] < 0x90) && !(s[0] == 0xf4 && s[1] > 0x8f)
                               ? 4
                               : 0;
        return 0;
}

char *escape_text(const char *text)
{
        const uint8_t *s = (const uint8_t *)text;
        char *escaped = calloc(strlen(text) + 1, 4), *to = escaped;

        while (escaped && *s) {
                size_t n = character(s);

                if (n > 0)
                        memcpy(to, s, n);
                else
                        (void)snprintf(to, 5, "\\x%02x", *s);
                to += n > 0 ? n : 4;
                s += n > 0 ? n : 1;
        }
        return escaped;
}
