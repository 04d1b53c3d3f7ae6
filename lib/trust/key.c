/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where keys and certificates come from: files, and URIs that an OpenSSL provider resolves. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <string.h>

#include "base/file.h"
#include "trust/internal.h"

static int load_provider(struct trust_providers *p, const char *name, OSSL_PARAM *parameters, struct error *e)
{
        OSSL_PROVIDER *provider;

        if (p->n == ELEMENTSOF(p->items))
                return error_set(e, -E2BIG, "providers: at most %zu expected, found more", p->n);
        provider = OSSL_PROVIDER_load_ex(p->context, name, parameters);
        if (!provider) {
                ERR_clear_error();
                return error_set(e, -ENOPKG,
                                 "OpenSSL provider \"%s\": an installed one expected, found none; install it "
                                 "or set OPENSSL_MODULES to its directory",
                                 name);
        }
        p->items[p->n++] = provider;
        return 0;
}

/* The attribute module-path of a pkcs11: URI says which module the provider loads; without it the provider's
 * own configuration does. */
static int load_pkcs11(struct trust_providers *p, const char *uri, struct error *e)
{
        _cleanup_free_ char *module = trust_pkcs11_attribute(uri, "module-path");
        OSSL_PARAM parameters[] = {OSSL_PARAM_END, OSSL_PARAM_END};

        if (module)
                parameters[0] = OSSL_PARAM_construct_utf8_string("pkcs11-module-path", module, 0);
        return load_provider(p, "pkcs11", parameters, e);
}

int trust_providers_load(const struct trust_signer_options *o, struct trust_providers *ret, struct error *e)
{
        _cleanup_(trust_providers_done) struct trust_providers p = {.context = OSSL_LIB_CTX_new()};
        int r;

        if (!p.context)
                return -ENOMEM;
        if (CONF_modules_load_file_ex(p.context, NULL, NULL, CONF_MFLAGS_IGNORE_MISSING_FILE) != 1)
                return trust_openssl_error(e, -EINVAL, "OpenSSL's configuration");
        /* First, so that keys from files stay there. */
        r = load_provider(&p, "default", NULL, e);
        if (r >= 0 && trust_is_pkcs11(o->key))
                r = load_pkcs11(&p, o->key, e);
        else if (r >= 0 && trust_is_pkcs11(o->certificate))
                r = load_pkcs11(&p, o->certificate, e);
        for (size_t i = 0; r >= 0 && i < o->n_providers; i++)
                r = load_provider(&p, o->providers[i], NULL, e);
        if (r < 0)
                return r;
        *ret = p;
        p = (struct trust_providers){};
        return 0;
}

void trust_providers_done(struct trust_providers *p)
{
        while (p->n > 0)
                (void)OSSL_PROVIDER_unload(p->items[--p->n]);
        OSSL_LIB_CTX_free(p->context);
        p->context = NULL;
}

/* --- loading --- */

/* Whoever starts us without a terminal would wait for ever. */
static int refuse_to_ask(UI *ui, UI_STRING *string)
{
        bool *asked = UI_get0_user_data(ui);

        if (asked)
                *asked = true;
        return -1;
}

/* Parsed again, for OpenSSL's own provider: that of the token would want to log in to use the public key. */
static X509 *copy_certificate(const X509 *x)
{
        unsigned char *der = NULL;
        const unsigned char *p;
        int n = i2d_X509(x, &der);
        X509 *copy;

        p = der;
        copy = n > 0 ? d2i_X509(NULL, &p, n) : NULL;
        OPENSSL_free(der);
        return copy;
}

static void take_object(OSSL_STORE_INFO *info, struct trust_objects *o)
{
        X509 *x = NULL;

        o->n++;
        if (!o->key)
                o->key = OSSL_STORE_INFO_get1_PKEY(info);
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_CERT)
                x = copy_certificate(OSSL_STORE_INFO_get0_CERT(info));
        if (x)
                o->certificates.items[o->certificates.n++] = x;
}

static void load(const struct trust_providers *p, const char *uri, int type, const UI_METHOD *ui,
                 struct trust_objects *ret)
{
        OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, p->context, NULL, ui, &ret->asked, NULL, NULL, NULL);

        if (store && type)
                (void)OSSL_STORE_expect(store, type);
        while (store && !OSSL_STORE_eof(store) && ret->n < TRUST_CERTIFICATES_MAX) {
                OSSL_STORE_INFO *info = OSSL_STORE_load(store);

                if (!info)
                        break;
                take_object(info, ret);
                OSSL_STORE_INFO_free(info);
        }
        (void)OSSL_STORE_close(store);
}

int trust_load_objects(const struct trust_providers *p, const char *uri, int type, bool ask,
                       struct trust_objects *ret)
{
        const UI_METHOD *before = UI_get_default_method();
        UI_METHOD *refusing;

        if (ask && isatty(STDIN_FILENO)) {
                load(p, uri, type, UI_OpenSSL(), ret);
                return 0;
        }
        refusing = UI_create_method("no terminal");
        if (!refusing)
                return -ENOMEM;
        (void)UI_method_set_reader(refusing, refuse_to_ask);
        /* The PKCS#11 provider turns to the default when it gets no answer. */
        UI_set_default_method(refusing);
        load(p, uri, type, refusing, ret);
        UI_set_default_method(before);
        UI_destroy_method(refusing);
        return 0;
}

void trust_objects_done(struct trust_objects *o)
{
        EVP_PKEY_free(o->key);
        trust_certificates_done(&o->certificates);
        *o = (struct trust_objects){};
}

bool trust_is_uri(const char *name)
{
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

        return isalpha((unsigned char)name[0]) && name[n] == ':' && access(name, F_OK) < 0;
}

/* What to say when nothing came of a name. */
static int nothing_loaded(const struct trust_providers *p, const char *name, int type,
                          const struct trust_objects *o, struct error *e)
{
        const char *what = type == OSSL_STORE_INFO_PKEY ? "private key" : "certificate";
        const char *reason, *detail = NULL;
        char text[128];
        int flags = 0;

        reason = ERR_reason_error_string(ERR_peek_last_error_all(NULL, NULL, NULL, &detail, &flags));
        if (trust_is_pkcs11(name) && detail && (flags & ERR_TXT_STRING))
                reason = detail;
        (void)snprintf(text, sizeof(text), "%s", reason ?: "found none");
        ERR_clear_error();
        if (trust_is_pkcs11(name))
                return trust_pkcs11_explain(p, name, type, what, text, e);
        if (o->asked)
                return error_set(e, -EACCES,
                                 "%.*s: a passphrase is needed, and standard input is no terminal to ask "
                                 "on: give a key without one, or a URI that names its PIN",
                                 trust_shown(name), name);
        if (trust_is_uri(name))
                return error_set(e, -ENOENT,
                                 "%.*s: %s expected: %s; does --provider=NAME name the one for it?",
                                 trust_shown(name), name, what, text);
        return error_set(e, -EBADMSG, "%s: %s in PEM or DER expected: %s", name, what, text);
}

int trust_load_key(const struct trust_providers *p, const char *name, EVP_PKEY **ret, struct error *e)
{
        _cleanup_(trust_objects_done) struct trust_objects o = {};
        int r;

        if (!trust_is_uri(name) && access(name, R_OK) < 0)
                return error_errno(e, -errno, "%s", name);
        r = trust_pkcs11_check_pin(name, e);
        if (r >= 0)
                r = trust_load_objects(p, name, OSSL_STORE_INFO_PKEY, true, &o);
        if (r < 0)
                return r;
        if (!o.key)
                return nothing_loaded(p, name, OSSL_STORE_INFO_PKEY, &o, e);
        ERR_clear_error();
        *ret = TAKE_PTR(o.key);
        return 0;
}

int trust_load_certificates(const struct trust_providers *p, const char *name, struct trust_certificates *ret,
                            struct error *e)
{
        _cleanup_(trust_objects_done) struct trust_objects o = {};
        int r;

        if (!trust_is_uri(name))
                return trust_read_certificates(AT_FDCWD, name, ret, e);
        r = trust_pkcs11_check_pin(name, e);
        if (r >= 0)
                r = trust_load_objects(p, name, OSSL_STORE_INFO_CERT, true, &o);
        if (r < 0)
                return r;
        if (o.certificates.n == 0)
                return nothing_loaded(p, name, OSSL_STORE_INFO_CERT, &o, e);
        ERR_clear_error();
        *ret = o.certificates;
        o.certificates.n = 0;
        return 0;
}
