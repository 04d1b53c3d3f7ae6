/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Revocation lists, as OpenSSL meets them on a path. */
#include <errno.h>
#include <string.h>

#include "trust/internal.h"

bool trust_has_list(const struct trust_store *s, X509 *x)
{
        for (size_t i = 0; i < s->n_crls; i++)
                if (X509_NAME_cmp(X509_CRL_get_issuer(s->crls[i]), X509_get_issuer_name(x)) == 0)
                        return true;
        return false;
}

static void note_revocation(struct trust_revocation *r, int error, X509_STORE_CTX *context)
{
        X509 *x = X509_STORE_CTX_get_current_cert(context);
        X509_CRL *crl = X509_STORE_CTX_get0_current_crl(context);
        X509_REVOKED *entry = NULL;
        char name[96], when[32];

        if (r->error)
                return;
        r->error = error;
        trust_format_name(X509_get_subject_name(x), sizeof(name), name);
        if (error != X509_V_ERR_CERT_REVOKED || X509_CRL_get0_by_cert(crl, &entry, x) != 1) {
                (void)snprintf(r->found, sizeof(r->found), "for %s: %s", name,
                               X509_verify_cert_error_string(error));
                return;
        }
        trust_format_time(X509_REVOKED_get0_revocationDate(entry), sizeof(when), when);
        (void)snprintf(r->found, sizeof(r->found), "%s revoked on %s", name, when);
}

int trust_judge_failure(int ok, X509_STORE_CTX *context)
{
        struct trust_revocation *r = X509_STORE_CTX_get_app_data(context);
        int error = X509_STORE_CTX_get_error(context);

        if (ok)
                return 1;
        switch (error) {
        case X509_V_ERR_CERT_NOT_YET_VALID:
        case X509_V_ERR_CERT_HAS_EXPIRED:
                return 1;
        case X509_V_ERR_UNABLE_TO_GET_CRL:
                if (trust_has_list(r->store, X509_STORE_CTX_get_current_cert(context)))
                        note_revocation(r, error, context);
                return 1;
        case X509_V_ERR_CERT_REVOKED:
        case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
        case X509_V_ERR_CRL_SIGNATURE_FAILURE:
        case X509_V_ERR_CRL_NOT_YET_VALID:
        case X509_V_ERR_CRL_HAS_EXPIRED:
        case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
        case X509_V_ERR_DIFFERENT_CRL_SCOPE:
        case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
                note_revocation(r, error, context);
                return 1;
        default:
                return 0;
        }
}

void trust_report_revocation(struct trust_verification *v, const struct trust_revocation *r)
{
        const char *expected = "no certificate on a revocation list of its issuer";

        if (r->error)
                (void)trust_refuse(v->report, "revocation",
                                   r->error == X509_V_ERR_CERT_REVOKED ? -EKEYREVOKED : -EKEYREJECTED, 0,
                                   r->error == X509_V_ERR_CERT_REVOKED ? expected : "a valid revocation list",
                                   "%s", r->found);
        else
                trust_accept(v->report, "revocation", expected,
                             r->consulted ? "none" : "no list for these issuers");
}
