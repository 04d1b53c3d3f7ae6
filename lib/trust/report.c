/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "trust/internal.h"

static struct trust_finding *add(struct trust_report *report, const char *check, const char *expected)
{
        struct trust_finding *f = &report->findings[report->n++];

        *f = (struct trust_finding){.check = check};
        (void)snprintf(f->expected, sizeof(f->expected), "%s", expected);
        return f;
}

void trust_accept(struct trust_report *report, const char *check, const char *expected, const char *found,
                  ...)
{
        struct trust_finding *f = add(report, check, expected);
        va_list ap;

        va_start(ap, found);
        (void)vsnprintf(f->found, sizeof(f->found), found, ap);
        va_end(ap);
}

int trust_refuse(struct trust_report *report, const char *check, int result, int kernel, const char *expected,
                 const char *found, ...)
{
        struct trust_finding *f = add(report, check, expected);
        va_list ap;

        f->result = result;
        f->kernel = kernel;
        va_start(ap, found);
        (void)vsnprintf(f->found, sizeof(f->found), found, ap);
        va_end(ap);
        return result;
}

int trust_report_result(const struct trust_report *report, struct error *e)
{
        for (size_t i = 0; i < report->n; i++) {
                const struct trust_finding *f = &report->findings[i];

                if (f->result < 0)
                        return error_set(e, f->result, "signature: %s expected, found %s%s%s", f->expected,
                                         f->found, f->kernel ? "; the kernel would answer " : "",
                                         f->kernel ? strerrorname_np(-f->kernel) : "");
        }
        return 0;
}
