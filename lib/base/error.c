/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Names in parentheses are not taken for the analyzer's macros. */
int(error_set)(struct error *e, int r, const char *format, ...)
{
        va_list ap;

        if (!e)
                return r;
        va_start(ap, format);
        (void)vsnprintf(e->message, sizeof(e->message), format, ap);
        va_end(ap);
        return r;
}

int(error_errno)(struct error *e, int r, const char *format, ...)
{
        va_list ap;
        size_t n;

        if (!e)
                return r;
        va_start(ap, format);
        (void)vsnprintf(e->message, sizeof(e->message), format, ap);
        va_end(ap);
        n = strlen(e->message);
        (void)snprintf(e->message + n, sizeof(e->message) - n, ": %s",
                       strerrordesc_np(-r) ?: "unknown error");
        return r;
}

int(error_prefix)(struct error *e, int r, const char *format, ...)
{
        struct error inner;
        va_list ap;
        size_t n;

        if (!e)
                return r;
        inner = *e;
        va_start(ap, format);
        (void)vsnprintf(e->message, sizeof(e->message), format, ap);
        va_end(ap);
        n = strlen(e->message);
        (void)snprintf(e->message + n, sizeof(e->message) - n, ": %s", inner.message);
        return r;
}
