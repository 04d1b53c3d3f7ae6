/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What registries, archives and their users say: the same text as the name of an image, a challenge, a Link,
 * an auth file and an archive's manifest. */
#include "fuzz.h"
#include "verity-tools/oci-source.h"
#include "verity-tools/registry.h"

#include <ctype.h>
#include <string.h>

static bool has_control(const char *s)
{
        for (; *s; s++)
                if (iscntrl((unsigned char)*s))
                        return true;
        return false;
}

static void as_reference(const char *text)
{
        struct registry_reference r = {};

        if (registry_reference_parse(text, &r, NULL) < 0)
                return;
        PROMISE(r.host[0] && r.repository[0] && (r.tag[0] || r.digest[0]));
        PROMISE(!strpbrk(r.host, "/?#@% ") && !strpbrk(r.repository, "?#@%: ") && !strpbrk(r.tag, "/?#@%: "));
        PROMISE(!strstr(r.repository, "//") && !strstr(r.repository, "/../") && r.repository[0] != '.');
        PROMISE(!has_control(r.host) && !has_control(r.repository) && !has_control(r.tag));
}

static void as_challenge(const char *text)
{
        struct registry_challenge c = {};

        if (registry_challenge_parse(text, &c, NULL) < 0)
                return;
        PROMISE(!c.bearer || c.realm[0]);
        PROMISE(!has_control(c.realm) && !has_control(c.service) && !has_control(c.scope));
}

static void as_link(const char *text)
{
        char target[REGISTRY_LINK_MAX] = "";

        if (registry_link_next(text, target))
                PROMISE(strstr(text, target) && !strchr(target, '>'));
}

static void as_auth_file(const char *text)
{
        char *credentials = NULL;

        if (registry_credentials_parse(text, "input", "h", "a/b", &credentials, NULL) < 0)
                PROMISE(!credentials);
        PROMISE(!credentials || (strchr(credentials, ':') && !strpbrk(credentials, "\r\n")));
        free(credentials);
}

static void as_archive(const char *text)
{
        struct docker_archive a = {};

        if (docker_archive_parse(text, &a, NULL) < 0)
                return;
        PROMISE(a.n >= 1 && a.n <= STORE_IMAGES_MAX);
        for (size_t i = 0; i < a.n; i++)
                PROMISE(a.images[i].config[0] && a.images[i].n_layers <= STORE_LAYERS_MAX &&
                        !a.images[i].layers[a.images[i].n_layers] && !a.images[i].tags[a.images[i].n_tags]);
        docker_archive_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = strndup((const char *)data, size);

        as_reference(text);
        as_challenge(text);
        as_link(text);
        as_auth_file(text);
        as_archive(text);
        free(text);
        return 0;
}
