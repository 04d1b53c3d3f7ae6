/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* URIs of keys in tokens (RFC 7512), as far as the PKCS#11 provider leaves it to us. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/store.h>
#include <string.h>
#include <strings.h>

#include "trust/internal.h"

#define SCHEME "pkcs11:"

bool trust_is_pkcs11(const char *name)
{
        return name && strncasecmp(name, SCHEME, strlen(SCHEME)) == 0;
}

int trust_shown(const char *name)
{
        const char *pin = trust_is_pkcs11(name) ? strstr(name, "pin-") : NULL;
        size_t n = strcspn(name, "?");

        if (!trust_is_pkcs11(name) && !trust_is_uri(name))
                return (int)strlen(name);
        return (int)(pin && pin < name + n ? (size_t)(pin - name) : n);
}

char *trust_pkcs11_attribute(const char *uri, const char *attribute)
{
        size_t n = strlen(attribute);
        const char *p = strchr(uri, '?');

        while (p) {
                p++;
                if (strncmp(p, attribute, n) == 0 && p[n] == '=')
                        return strndup(p + n + 1, strcspn(p + n + 1, "&"));
                p = strchr(p, '&');
        }
        return NULL;
}

int trust_pkcs11_check_pin(const char *uri, struct error *e)
{
        _cleanup_free_ char *source = trust_pkcs11_attribute(uri, "pin-source");
        const char *path = source;

        if (!trust_is_pkcs11(uri) || !path)
                return 0;
        if (strncmp(path, "file:", 5) == 0)
                path += 5;
        return access(path, R_OK) < 0 ? error_errno(e, -errno, "pin-source %s", path) : 0;
}

static bool starts_with_any(const char *text, const char *const prefixes[])
{
        for (size_t i = 0; prefixes[i]; i++)
                if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0)
                        return true;
        return false;
}

/* The URI of the object without its PIN, or with `token` that of its token. To be freed. */
static char *shorten(const char *uri, bool token)
{
        static const char *const pin[] = {"pin-", NULL}, *const object[] = {"object=", "id=", "type=", NULL};
        char *text = calloc(1, strlen(uri) + 1), *to = text;
        const char *part = uri + strlen(SCHEME);

        if (!text)
                return NULL;
        to = stpcpy(to, SCHEME);
        while (*part && *part != '?') {
                size_t n = strcspn(part, ";?");

                if (!starts_with_any(part, pin) && !(token && starts_with_any(part, object))) {
                        if (to > text + strlen(SCHEME))
                                *to++ = ';';
                        to = mempcpy(to, part, n);
                }
                part += n;
                part += *part == ';';
        }
        *to = '\0';
        return text;
}

/* The provider says only that it found nothing. Who is asked for a PIN now is not logged in, so the token is
 * there and took no PIN before; and a token that shows other objects is there too. No PIN is tried here: a
 * token locks itself after a few wrong ones. */
int trust_pkcs11_explain(const struct trust_providers *p, const char *uri, int type, const char *what,
                         const char *reason, struct error *e)
{
        _cleanup_(trust_objects_done) struct trust_objects object = {}, others = {};
        _cleanup_free_ char *bare = shorten(uri, false), *token = shorten(uri, true);
        bool pin;
        int r;

        if (!bare || !token)
                return -ENOMEM;
        r = trust_load_objects(p, bare, type, false, &object);
        if (r >= 0)
                r = trust_load_objects(p, token, type, false, &others);
        ERR_clear_error();
        if (r < 0)
                return r;
        /* Certificates are mostly shown to everybody. */
        pin = object.asked && (type == OSSL_STORE_INFO_PKEY || others.n == 0);
        if (pin && (strstr(uri, "pin-") || isatty(STDIN_FILENO)))
                return error_set(e, -EACCES,
                                 "%s: the token refused the PIN; check it, a few wrong ones lock it", bare);
        if (pin)
                return error_set(e, -EACCES,
                                 "%s: the token asks for a PIN; add ?pin-source=file:PATH to the URI, or run "
                                 "at a terminal",
                                 bare);
        if (others.n > 0)
                return error_set(e, -ENOENT,
                                 "%s: %s expected, found none of that name among %zu; `pkcs11-tool -O` lists "
                                 "them",
                                 bare, what, others.n);
        return error_set(e, -ENODEV,
                         "%s: a token that holds a %s expected: %s; check the names, and that the provider "
                         "knows the module (?module-path=, PKCS11_PROVIDER_MODULE)",
                         bare, what, reason);
}
