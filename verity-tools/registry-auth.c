/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a registry asks for, and what the user's auth file has for it. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "registry.h"

#define AUTH_FILE_MAX ((size_t)1024 * 1024)
#define CREDENTIALS_MAX 4096
#define DOCKER_HUB "docker.io"
#define DOCKER_HUB_KEY "https://index.docker.io/v1/"

/* --- WWW-Authenticate (RFC 9110, 11.6.1) --- */

static bool is_token(char c)
{
        return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip(const char *p, const char *set)
{
        return p + strspn(p, set);
}

/* A token or quoted string, copied to ret. NULL if it is neither or too long. */
static const char *take_value(const char *p, char *ret, size_t max)
{
        size_t n = 0;
        bool quoted = *p == '"';

        if (quoted)
                p++;
        while (quoted ? *p != '"' : is_token(*p)) {
                if (quoted && *p == '\\')
                        p++;
                if (*p == '\0' || iscntrl((unsigned char)*p) || n + 1 >= max)
                        return NULL;
                ret[n++] = *p++;
        }
        ret[n] = '\0';
        return quoted ? p + 1 : p;
}

/* NAME=VALUE; NULL where there is none, which is where the next challenge begins. */
static const char *take_parameter(const char *p, struct registry_challenge *c)
{
        char value[1024];
        size_t n = 0;

        while (is_token(p[n]))
                n++;
        if (n == 0 || *skip(p + n, " \t") != '=')
                return NULL;
        const char *end = take_value(skip(skip(p + n, " \t") + 1, " \t"), value, sizeof(value));
        if (!end)
                return NULL;
        if (n == 5 && strncasecmp(p, "realm", n) == 0)
                (void)stpcpy(c->realm, value);
        else if (n == 5 && strncasecmp(p, "scope", n) == 0)
                (void)stpcpy(c->scope, value);
        else if (n == 7 && strncasecmp(p, "service", n) == 0 && strlen(value) < sizeof(c->service))
                (void)stpcpy(c->service, value);
        return end;
}

int registry_challenge_parse(const char *header, struct registry_challenge *ret, struct error *e)
{
        const char *p = header;

        while (*(p = skip(p, " \t,")) != '\0') {
                struct registry_challenge c = {};
                const char *scheme = p, *next;
                size_t n = 0;

                while (is_token(p[n]))
                        n++;
                if (n == 0)
                        break;
                p = skip(p + n, " \t");
                while ((next = take_parameter(p, &c)) != NULL)
                        p = skip(next, " \t,");
                c.bearer = n == 6 && strncasecmp(scheme, "Bearer", n) == 0;
                if ((c.bearer && c.realm[0]) || (n == 5 && strncasecmp(scheme, "Basic", n) == 0)) {
                        *ret = c;
                        return 0;
                }
        }
        return error_set(e, -EBADMSG, "WWW-Authenticate: Bearer or Basic expected, found \"%.80s\"", header);
}

/* --- auth files --- */

/* "auth" is USER:PASSWORD in Base64. */
static int decode_entry(sd_json_variant *entry, const char *name, const char *key, char **ret,
                        struct error *e)
{
        sd_json_variant *auth = sd_json_variant_by_key(entry, "auth");
        _cleanup_free_ char *text = NULL;
        void *data = NULL;
        size_t size = 0;

        if (!auth)
                return 0;
        if (!sd_json_variant_is_string(auth) || sd_json_variant_unbase64(auth, &data, &size) < 0)
                return error_set(e, -EINVAL, "%s: auths: %s: Base64 expected in \"auth\"", name, key);
        text = strndup(data, size);
        free(data);
        if (!text)
                return -ENOMEM;
        if (size > CREDENTIALS_MAX || strlen(text) != size || !strchr(text, ':') || strpbrk(text, "\r\n"))
                return error_set(e, -EINVAL, "%s: auths: %s: USER:PASSWORD expected in \"auth\"", name, key);
        *ret = TAKE_PTR(text);
        return 0;
}

/* HOST/a/b, then HOST/a, then HOST. */
static int find_entry(sd_json_variant *auths, const char *name, const char *host, const char *repository,
                      char **ret, struct error *e)
{
        char key[600];
        int r = 0;

        (void)snprintf(key, sizeof(key), "%s/%s", host, repository);
        for (;;) {
                char *slash = strrchr(key, '/');
                sd_json_variant *entry = sd_json_variant_by_key(auths, key);

                if (entry && sd_json_variant_is_object(entry))
                        r = decode_entry(entry, name, key, ret, e);
                if (r < 0 || *ret || !slash)
                        return r;
                *slash = '\0';
        }
}

/* A helper program has the credentials: it is named, because running programs that a file names is not done.
 */
static int refuse_helper(sd_json_variant *root, const char *name, const char *host, struct error *e)
{
        sd_json_variant *helpers = sd_json_variant_by_key(root, "credHelpers");
        sd_json_variant *helper =
                helpers && sd_json_variant_is_object(helpers) ? sd_json_variant_by_key(helpers, host) : NULL;

        if (!helper)
                helper = sd_json_variant_by_key(root, "credsStore");
        if (!helper || !sd_json_variant_is_string(helper) || sd_json_variant_string(helper)[0] == '\0')
                return 0;
        return error_set(
                e, -EOPNOTSUPP,
                "%s: the credentials for %s are with the helper docker-credential-%.80s, and helpers "
                "are not run: give an auth file that holds them with --authfile=FILE",
                name, host, sd_json_variant_string(helper));
}

int registry_credentials_parse(const char *text, const char *name, const char *host, const char *repository,
                               char **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *root = NULL;
        sd_json_variant *auths;
        int r;

        r = json_parse(name, text, &root, e);
        if (r < 0)
                return r;
        *ret = NULL;
        if (!sd_json_variant_is_object(root))
                return error_set(e, -EINVAL, "%s: an object expected, found something else", name);
        auths = sd_json_variant_by_key(root, "auths");
        if (auths && !sd_json_variant_is_object(auths))
                return error_set(e, -EINVAL, "%s: field \"auths\": an object expected, found something else",
                                 name);
        if (auths)
                r = find_entry(auths, name, host, repository, ret, e);
        if (r >= 0 && auths && !*ret && strcmp(host, DOCKER_HUB) == 0) {
                sd_json_variant *entry = sd_json_variant_by_key(auths, DOCKER_HUB_KEY);

                if (entry && sd_json_variant_is_object(entry))
                        r = decode_entry(entry, name, DOCKER_HUB_KEY, ret, e);
        }
        return r < 0 || *ret ? r : refuse_helper(root, name, host, e);
}

/* Where docker, podman and skopeo are told to look. "" if nowhere. */
static void default_file(char ret[static PATH_MAX])
{
        const char *file = getenv("REGISTRY_AUTH_FILE"), *config = getenv("DOCKER_CONFIG"),
                   *home = getenv("HOME");

        ret[0] = '\0';
        if (file && file[0])
                (void)snprintf(ret, PATH_MAX, "%s", file);
        else if (config && config[0])
                (void)snprintf(ret, PATH_MAX, "%s/config.json", config);
        else if (home && home[0])
                (void)snprintf(ret, PATH_MAX, "%s/.docker/config.json", home);
}

int registry_credentials_find(const char *authfile, const char *host, const char *repository, char **ret,
                              struct error *e)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        int r;

        *ret = NULL;
        if (authfile) {
                r = read_file(AT_FDCWD, authfile, AUTH_FILE_MAX, &text, NULL, e);
                return r < 0 ? r : registry_credentials_parse(text, authfile, host, repository, ret, e);
        }
        default_file(path);
        if (path[0] == '\0')
                return 0;
        r = file_exists(AT_FDCWD, path);
        if (r <= 0)
                return r < 0 ? error_errno(e, r, "%s", path) : 0;
        r = read_file(AT_FDCWD, path, AUTH_FILE_MAX, &text, NULL, e);
        return r < 0 ? r : registry_credentials_parse(text, path, host, repository, ret, e);
}
