/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Certification paths (RFC 5280): from the signer to a trusted certificate, in time, and not revoked. OpenSSL
 * builds and checks them; here is what it leaves open. */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "trust/internal.h"

#define DEPTH_MAX 8      /* certificates between the signer and the trusted one */
#define SECURITY_LEVEL 2 /* of OpenSSL's: 112 bits, so no SHA-1 and no RSA below 2048 bits */

/* What one path's check found about revocation lists. */
struct revocation {
        const struct trust_verification *v;
        int error;        /* the first of X509_V_ERR_…, 0 for none */
        size_t consulted; /* certificates whose issuer has a list */
        char found[192];
};

/* --- text --- */

static void format_time(const ASN1_TIME *t, size_t size, char *ret)
{
        struct tm tm;

        if (ASN1_TIME_to_tm(t, &tm) != 1 || strftime(ret, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                (void)snprintf(ret, size, "an unreadable time");
}

/* Escaped: certificates inside signatures are whatever somebody put there. */
static void format_name(X509 *x, size_t size, char *ret)
{
        _cleanup_(BIO_free_all_ptr) BIO *bio = BIO_new(BIO_s_mem());
        char *text = NULL;
        long n = 0;

        if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(x), 0, XN_FLAG_RFC2253) >= 0)
                n = BIO_get_mem_data(bio, &text);
        (void)snprintf(ret, size, "%.*s", (int)n, n > 0 ? text : "");
}

void trust_describe(X509 *x, size_t size, char *ret)
{
        uint8_t digest[32] = {};
        char name[96], hex[65];

        format_name(x, sizeof(name), name);
        (void)X509_digest(x, EVP_sha256(), digest, NULL);
        hex_encode(digest, sizeof(digest), hex);
        (void)snprintf(ret, size, "%s (SHA-256 %s)", name, hex);
}

/* --- revocation --- */

static bool has_list(const struct trust_store *s, X509 *x)
{
        for (size_t i = 0; i < s->n_crls; i++)
                if (X509_NAME_cmp(X509_CRL_get_issuer(s->crls[i]), X509_get_issuer_name(x)) == 0)
                        return true;
        return false;
}

static void note_revocation(struct revocation *r, int error, X509_STORE_CTX *context)
{
        X509 *x = X509_STORE_CTX_get_current_cert(context);
        X509_CRL *crl = X509_STORE_CTX_get0_current_crl(context);
        X509_REVOKED *entry = NULL;
        char name[96], when[32];

        if (r->error)
                return;
        r->error = error;
        format_name(x, sizeof(name), name);
        if (error != X509_V_ERR_CERT_REVOKED || X509_CRL_get0_by_cert(crl, &entry, x) != 1) {
                (void)snprintf(r->found, sizeof(r->found), "for %s: %s", name,
                               X509_verify_cert_error_string(error));
                return;
        }
        format_time(X509_REVOKED_get0_revocationDate(entry), sizeof(when), when);
        (void)snprintf(r->found, sizeof(r->found), "%s revoked on %s", name, when);
}

/* Whether a failure stands in the way of the path itself. Times are judged apart, for the time asked for;
 * what is wrong with a revocation list is noted; a certificate whose issuer has no list here is not looked
 * up. */
static int judge(int ok, X509_STORE_CTX *context)
{
        struct revocation *r = X509_STORE_CTX_get_app_data(context);
        int error = X509_STORE_CTX_get_error(context);

        if (ok)
                return 1;
        switch (error) {
        case X509_V_ERR_CERT_NOT_YET_VALID:
        case X509_V_ERR_CERT_HAS_EXPIRED:
                return 1;
        case X509_V_ERR_UNABLE_TO_GET_CRL:
                if (has_list(r->v->store, X509_STORE_CTX_get_current_cert(context)))
                        note_revocation(r, error, context);
                return 1;
        case X509_V_ERR_CERT_REVOKED:
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

static void check_revocation(struct trust_verification *v, const struct revocation *r)
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

/* --- the path --- */

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

/* A certification authority that restricts its purposes names ours. */
static bool may_issue(X509 *ca, enum trust_purpose purpose)
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

                format_name(x, sizeof(name), name);
                if (trust_check_key(name, X509_get0_pubkey(x), &e) < 0)
                        return trust_refuse(v->report, "chain", -EKEYREJECTED, -ENOPKG, expected, "%s",
                                            e.message);
                if (i > 0 && !may_issue(x, v->purpose))
                        return trust_refuse(v->report, "chain", -EKEYREJECTED, 0,
                                            "issuers that may issue for this purpose",
                                            "%s, whose extended key usage says otherwise", name);
        }
        return 0;
}

static void check_validity(struct trust_verification *v, STACK_OF(X509) * path)
{
        const time_t at = (time_t)v->store->at;
        char expected[64], name[96], when[32];
        struct tm tm;

        (void)strftime(expected, sizeof(expected), "certificates valid at %Y-%m-%dT%H:%M:%SZ",
                       gmtime_r(&at, &tm) ?: &(struct tm){});
        for (int i = 0; i < sk_X509_num(path); i++) {
                X509 *x = sk_X509_value(path, i);
                time_t t = at;
                bool early = X509_cmp_time(X509_get0_notBefore(x), &t) >= 0;
                bool late = X509_cmp_time(X509_get0_notAfter(x), &t) <= 0;

                if (!early && !late)
                        continue;
                format_name(x, sizeof(name), name);
                format_time(early ? X509_get0_notBefore(x) : X509_get0_notAfter(x), sizeof(when), when);
                (void)trust_refuse(v->report, "validity", -EKEYEXPIRED, 0, expected, "%s %s %s", name,
                                   early ? "not valid before" : "expired since", when);
                return;
        }
        trust_accept(v->report, "validity", expected, "them");
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
        struct revocation revocation = {.v = v};
        STACK_OF(X509) * path;
        char expected[96];

        (void)snprintf(expected, sizeof(expected), "a chain to a certificate of %.60s/%s.pem", v->store->path,
                       trust_purpose_to_string(v->purpose));
        X509_VERIFY_PARAM_set_depth(parameters, DEPTH_MAX);
        X509_VERIFY_PARAM_set_auth_level(parameters, SECURITY_LEVEL);
        (void)X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT |
                                                              X509_V_FLAG_CRL_CHECK |
                                                              X509_V_FLAG_CRL_CHECK_ALL);
        X509_STORE_CTX_set_verify_cb(context, judge);
        (void)X509_STORE_CTX_set_app_data(context, &revocation);
        if (X509_verify_cert(context) != 1) {
                refuse_path(v, context, expected);
                return;
        }
        path = X509_STORE_CTX_get0_chain(context);
        if (check_links(v, path, expected) >= 0)
                trust_accept(v->report, "chain", expected, "one of %d", sk_X509_num(path));
        check_validity(v, path);
        for (int i = 0; i < sk_X509_num(path); i++)
                revocation.consulted += has_list(v->store, sk_X509_value(path, i));
        check_revocation(v, &revocation);
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
