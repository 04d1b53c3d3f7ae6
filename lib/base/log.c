/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"

static const char *program_name = "holdfast";
static bool to_journal;

void log_setup(const char *program)
{
        const char *slash = strrchr(program, '/');

        program_name = slash ? slash + 1 : program;
        to_journal = getenv("JOURNAL_STREAM") != NULL;
}

__attribute__((format(printf, 2, 0))) static void print(int level, const char *format, va_list ap)
{
        _cleanup_free_ char *shown = NULL;
        char line[1024];

        (void)vsnprintf(line, sizeof(line), format, ap);
        shown = escape_text(line);
        if (to_journal)
                (void)fprintf(stderr, "<%d>%s\n", level, shown ?: "out of memory");
        else
                (void)fprintf(stderr, "%s: %s\n", program_name, shown ?: "out of memory");
}

int log_error(int r, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        print(3, format, ap);
        va_end(ap);
        return r;
}

int log_failure(int r, const struct error *e)
{
        if (e->message[0])
                return log_error(r, "%s", e->message);
        return log_error(r, "%s", strerrordesc_np(-r) ?: "unknown error");
}

void log_warning(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        print(4, format, ap);
        va_end(ap);
}

void log_info(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        print(6, format, ap);
        va_end(ap);
}
