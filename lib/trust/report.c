/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
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

/* --- what certificates are called in it --- */

void trust_format_time(const ASN1_TIME *t, size_t size, char *ret)
{
        struct tm tm;

        if (ASN1_TIME_to_tm(t, &tm) != 1 || strftime(ret, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                (void)snprintf(ret, size, "an unreadable time");
}

/* Escaped: certificates inside signatures are whatever somebody put there. */
void trust_format_name(const X509_NAME *x, size_t size, char *ret)
{
        _cleanup_(BIO_free_all_ptr) BIO *bio = BIO_new(BIO_s_mem());
        char *text = NULL;
        long n = 0;

        if (bio && X509_NAME_print_ex(bio, x, 0, XN_FLAG_RFC2253) >= 0)
                n = BIO_get_mem_data(bio, &text);
        (void)snprintf(ret, size, "%.*s", (int)n, n > 0 ? text : "");
}

void trust_describe(X509 *x, size_t size, char *ret)
{
        uint8_t digest[32] = {};
        char name[96], hex[65];

        trust_format_name(X509_get_subject_name(x), sizeof(name), name);
        (void)X509_digest(x, EVP_sha256(), digest, NULL);
        hex_encode(digest, sizeof(digest), hex);
        (void)snprintf(ret, size, "%s (SHA-256 %s)", name, hex);
}
