/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Certification paths (RFC 5280): from the signer to a trusted certificate, and valid in time. OpenSSL builds
 * and checks them; here is what it leaves open. */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <time.h>

#include "trust/internal.h"

#define DEPTH_MAX 8      /* certificates between the signer and the trusted one */
#define SECURITY_LEVEL 2 /* of OpenSSL's: 112 bits, so no SHA-1 and no RSA below 2048 bits */

/* All trusted certificates of the purpose and all lists. */
static X509_STORE *make_store(const struct trust_verification *v)
{
        const struct trust_certificates *c = &v->store->certificates[v->purpose];
        X509_STORE *store = X509_STORE_new();
        int ok = store != NULL;

        for (size_t i = 0; ok && i < c->n; i++)
                ok = X509_STORE_add_cert(store, c->items[i]);
        for (size_t i = 0; ok && i < v->store->n_crls; i++)
                ok = X509_STORE_add_crl(store, v->store->crls[i]);
        if (ok)
                return store;
        X509_STORE_free(store);
        return NULL;
}

bool trust_may_issue(X509 *ca, enum trust_purpose purpose)
{
        _cleanup_(ASN1_OBJECT_free_ptr) ASN1_OBJECT *ours = trust_purpose_oid(purpose);
        EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(ca, NID_ext_key_usage, NULL, NULL);
        bool found = !usage && X509_get_ext_by_NID(ca, NID_ext_key_usage, -1) < 0;

        for (int i = 0; ours && i < sk_ASN1_OBJECT_num(usage); i++) {
                const ASN1_OBJECT *o = sk_ASN1_OBJECT_value(usage, i);

                found = found || OBJ_cmp(o, ours) == 0 || OBJ_obj2nid(o) == NID_anyExtendedKeyUsage;
        }
        EXTENDED_KEY_USAGE_free(usage);
        return found;
}

/* What OpenSSL does not ask of a path. */
static int check_links(struct trust_verification *v, STACK_OF(X509) * path, const char *expected)
{
        struct error e = {};

        if (!(X509_get_key_usage(v->signer) & KU_DIGITAL_SIGNATURE))
                return trust_refuse(v->report, "chain", -EKEYREJECTED, 0,
                                    "a signer whose key usage has digitalSignature", "one without");
        for (int i = 0; i < sk_X509_num(path); i++) {
                X509 *x = sk_X509_value(path, i);
                char name[96];

                trust_format_name(X509_get_subject_name(x), sizeof(name), name);
                if (trust_check_key(name, X509_get0_pubkey(x), &e) < 0)
                        return trust_refuse(v->report, "chain", -EKEYREJECTED, -ENOPKG, expected, "%s",
                                            e.message);
                if (i > 0 && !trust_may_issue(x, v->purpose))
                        return trust_refuse(v->report, "chain", -EKEYREJECTED, 0,
                                            "issuers that may issue for this purpose",
                                            "%s, whose extended key usage says otherwise", name);
        }
        return 0;
}

void trust_format_validity(int64_t at, char ret[static 64])
{
        const time_t t = (time_t)at;
        struct tm tm;

        (void)strftime(ret, 64, "certificates valid at %Y-%m-%dT%H:%M:%SZ",
                       gmtime_r(&t, &tm) ?: &(struct tm){});
}

bool trust_is_valid(X509 *x, int64_t at, char ret[static 160])
{
        const ASN1_TIME *from = X509_get0_notBefore(x), *until = X509_get0_notAfter(x);
        time_t t = (time_t)at;
        bool early = X509_cmp_time(from, &t) >= 0, late = X509_cmp_time(until, &t) <= 0;
        char name[96], when[32];

        if (!early && !late)
                return true;
        trust_format_name(X509_get_subject_name(x), sizeof(name), name);
        trust_format_time(early ? from : until, sizeof(when), when);
        (void)snprintf(ret, 160, "%s %s %s", name, early ? "not valid before" : "expired since", when);
        return false;
}

static void check_validity(struct trust_verification *v, STACK_OF(X509) * path)
{
        const ASN1_TIME *end = X509_get0_notAfter(v->signer);
        char expected[64], found[160], when[32];

        trust_format_validity(v->store->at, expected);
        for (int i = 0; i < sk_X509_num(path); i++) {
                X509 *x = sk_X509_value(path, i);
                const ASN1_TIME *until = X509_get0_notAfter(x);

                if (!trust_is_valid(x, v->store->at, found)) {
                        (void)trust_refuse(v->report, "validity", -EKEYEXPIRED, 0, expected, "%s", found);
                        return;
                }
                end = ASN1_TIME_compare(until, end) < 0 ? until : end;
        }
        trust_format_time(end, sizeof(when), when);
        trust_accept(v->report, "validity", expected, "valid until %s", when);
}

/* What the reasons that have a better answer than "rejected" mean to us and to the kernel, which finds
 * issuers by the authority key identifier alone. */
static const struct {
        int error, result, kernel;
} reasons[] = {
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, -ENOKEY, -ENOKEY},
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, -ENOKEY, -ENOKEY},
        {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, -ENOKEY, -ENOKEY},
        {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, -ENOKEY, -ENOKEY},
        {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, -ENOKEY, -ENOKEY},
        {X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER, -EKEYREJECTED, -ENOKEY},
        {X509_V_ERR_CERT_SIGNATURE_FAILURE, -EKEYREJECTED, -EKEYREJECTED},
};

static void refuse_path(struct trust_verification *v, X509_STORE_CTX *context, const char *expected)
{
        int error = X509_STORE_CTX_get_error(context), result = -EKEYREJECTED, kernel = 0;
        X509 *x = X509_STORE_CTX_get_current_cert(context);
        char found[192];

        for (size_t i = 0; i < ELEMENTSOF(reasons); i++) {
                if (reasons[i].error == error) {
                        result = reasons[i].result;
                        kernel = reasons[i].kernel;
                }
        }
        trust_describe(x ?: v->signer, sizeof(found), found);
        (void)trust_refuse(v->report, "chain", result, kernel, expected, "%s: %s", found,
                           X509_verify_cert_error_string(error));
}

static void check_context(struct trust_verification *v, X509_STORE_CTX *context)
{
        X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
        struct trust_revocation revocation = {.store = v->store};
        STACK_OF(X509) * path;
        char expected[96], name[96];

        (void)snprintf(expected, sizeof(expected), "a chain to a certificate of %.60s/%s.pem", v->store->path,
                       trust_purpose_to_string(v->purpose));
        X509_VERIFY_PARAM_set_depth(parameters, DEPTH_MAX);
        X509_VERIFY_PARAM_set_auth_level(parameters, SECURITY_LEVEL);
        (void)X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT |
                                                              X509_V_FLAG_CRL_CHECK |
                                                              X509_V_FLAG_CRL_CHECK_ALL);
        X509_STORE_CTX_set_verify_cb(context, trust_judge_failure);
        (void)X509_STORE_CTX_set_app_data(context, &revocation);
        if (X509_verify_cert(context) != 1) {
                refuse_path(v, context, expected);
                return;
        }
        path = X509_STORE_CTX_get0_chain(context);
        trust_format_name(X509_get_subject_name(sk_X509_value(path, sk_X509_num(path) - 1)), sizeof(name),
                          name);
        if (check_links(v, path, expected) >= 0)
                trust_accept(v->report, "chain", expected, "%d certificates up to %s", sk_X509_num(path),
                             name);
        check_validity(v, path);
        for (int i = 0; i < sk_X509_num(path); i++)
                revocation.consulted += trust_has_list(v->store, sk_X509_value(path, i));
        trust_report_revocation(v, &revocation);
}

void trust_check_path(struct trust_verification *v)
{
        X509_STORE *store = make_store(v);
        X509_STORE_CTX *context = X509_STORE_CTX_new();

        if (sk_X509_num(v->inside) > TRUST_CERTIFICATES_MAX)
                (void)trust_refuse(v->report, "chain", -EBADMSG, 0, "a bounded number of certificates inside",
                                   "%d where %d are the limit", sk_X509_num(v->inside),
                                   TRUST_CERTIFICATES_MAX);
        else if (store && context && X509_STORE_CTX_init(context, store, v->signer, v->inside) == 1)
                check_context(v, context);
        else
                (void)trust_refuse(v->report, "chain", -ENOMEM, 0, "memory", "none");
        ERR_clear_error();
        X509_STORE_CTX_free(context);
        X509_STORE_free(store);
}
