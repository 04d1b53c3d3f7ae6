/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of images in registries. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "registry.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define ALNUM LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* DNS name, IPv4 address or [IPv6 address], and a port. */
static bool host_ok(const char *host)
{
        const char *end;

        if (*host == '[') {
                end = host + 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
                if (end == host + 1 || *end != ']')
                        return false;
                end++;
        } else {
                end = host + strspn(host, ALNUM ".-");
                if (end == host)
                        return false;
        }
        if (*end == ':') {
                size_t digits = strspn(end + 1, "0123456789");

                if (digits < 1 || digits > 5)
                        return false;
                end += digits + 1;
        }
        return *end == '\0';
}

/* Components of lower-case letters, digits and, between those, separators. */
static bool repository_ok(const char *p)
{
        for (;;) {
                size_t n = strspn(p, LOWER "._-");

                if (n == 0 || !strchr(LOWER, p[0]) || !strchr(LOWER, p[n - 1]))
                        return false;
                p += n;
                if (*p == '\0')
                        return true;
                if (*p++ != '/')
                        return false;
        }
}

static bool tag_ok(const char *tag)
{
        size_t n = strspn(tag, ALNUM "_.-");

        return n >= 1 && n <= 128 && tag[n] == '\0' && tag[0] != '.' && tag[0] != '-';
}

static bool digest_ok(const char *digest)
{
        return strlen(digest) == 71 && strncmp(digest, "sha256:", 7) == 0 &&
               strspn(digest + 7, "0123456789abcdef") == 64;
}

/* Whether the first component is a host: that is how Docker tells it from a repository of Docker Hub. */
static bool names_host(const char *text, size_t n)
{
        return memchr(text, '.', n) || memchr(text, ':', n) || (n == 9 && strncmp(text, "localhost", 9) == 0);
}

/* Splits host and repository, without tag and digest. */
static bool split_host(const char *text, struct registry_reference *ret)
{
        const char *slash = strchr(text, '/');
        bool has_host = slash && names_host(text, (size_t)(slash - text));
        const char *repository = has_host ? slash + 1 : text;
        int n;

        n = has_host ? snprintf(ret->host, sizeof(ret->host), "%.*s", (int)(slash - text), text)
                     : snprintf(ret->host, sizeof(ret->host), "docker.io");
        if (n >= (int)sizeof(ret->host))
                return false;
        n = snprintf(ret->repository, sizeof(ret->repository), "%s%s",
                     strcmp(ret->host, "docker.io") == 0 && !strchr(repository, '/') ? "library/" : "",
                     repository);
        return n < (int)sizeof(ret->repository) && host_ok(ret->host) && repository_ok(ret->repository);
}

int registry_reference_parse(const char *text, struct registry_reference *ret, struct error *e)
{
        struct registry_reference reference = {};
        char *at, *colon, name[640];

        if (snprintf(name, sizeof(name), "%s", text) >= (int)sizeof(name))
                return error_set(e, -EINVAL, "%.80s…: a shorter name of an image expected", text);
        at = strchr(name, '@');
        if (at) {
                *at++ = '\0';
                if (!digest_ok(at))
                        return error_set(e, -EINVAL,
                                         "%s: digest sha256: and 64 lower-case hex digits expected", text);
                (void)stpcpy(reference.digest, at);
        }
        colon = strrchr(name, ':');
        if (colon && !strchr(colon, '/')) {
                *colon++ = '\0';
                if (!tag_ok(colon))
                        return error_set(e, -EINVAL,
                                         "%s: a tag of 1 to 128 letters, digits and \"_.-\" expected", text);
                (void)stpcpy(reference.tag, colon);
        } else if (!at) {
                (void)stpcpy(reference.tag, "latest");
        }
        if (!split_host(name, &reference))
                return error_set(
                        e, -EINVAL,
                        "%s: HOST[:PORT]/REPOSITORY[:TAG][@sha256:…] expected, the repository in lower "
                        "case",
                        text);
        *ret = reference;
        return 0;
}
