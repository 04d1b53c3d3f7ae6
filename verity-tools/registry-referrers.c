/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What refers to a manifest (OCI distribution specification 1.1, "Listing Referrers"): a list in pages, or
 * the fallback tag of registries that keep no such list. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "registry-internal.h"

#define PAGES_MAX 32u

/* --- the header Link (RFC 8288, section 3) --- */

/* The end of a parameter: the next ; or , that is not inside of quotes. */
static const char *parameter_end(const char *p)
{
        bool quoted = false;

        for (; *p && (quoted || !strchr(";,", *p)); p++)
                if (*p == '"')
                        quoted = !quoted;
                else if (*p == '\\' && quoted && p[1])
                        p++;
        return p;
}

/* Whether this is rel=next, or next is one of rel="…". */
static bool is_next(const char *p, const char *end)
{
        p += strspn(p, " \t");
        if (end - p < 4 || strncasecmp(p, "rel=", 4) != 0)
                return false;
        for (p += 4; p < end;) {
                size_t n;

                p += strspn(p, "\" \t");
                n = strcspn(p, "\" \t;,");
                if (n == 4 && strncasecmp(p, "next", n) == 0)
                        return true;
                p += n > 0 ? n : 1;
        }
        return false;
}

bool registry_link_next(const char *header, char ret[static REGISTRY_LINK_MAX])
{
        for (const char *p = header; (p = strchr(p, '<')) != NULL;) {
                const char *target = p + 1;
                size_t n = strcspn(target, ">");

                if (target[n] == '\0' || n >= REGISTRY_LINK_MAX)
                        return false;
                for (p = parameter_end(target + n + 1); *p == ';';) {
                        const char *end = parameter_end(++p);

                        if (is_next(p, end)) {
                                memcpy(ret, target, n);
                                ret[n] = '\0';
                                return true;
                        }
                        p = end;
                }
        }
        return false;
}

/* --- pages --- */

/* Where the next page is, to be freed; NULL: this was the last one. It is the registry's own. */
static int next_page(struct registry *r, const char *url, const char *link, char **ret, struct error *e)
{
        char location[REGISTRY_LINK_MAX];
        int k;

        *ret = NULL;
        if (!registry_link_next(link, location))
                return 0;
        k = registry_resolve(r, url, location, ret, e);
        if (k >= 0 && !registry_same_origin(r, *ret)) {
                k = error_set(e, -EPROTO, "%s: the next page on %s expected, found another server", url,
                              r->base);
                free(*ret);
                *ret = NULL;
        }
        return k;
}

static int call_each(const char *url, const char *text, registry_referrer_t call, void *userdata,
                     struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *manifests = NULL;
        int k = 0;

        if (json_parse(url, text, &v, e) < 0 || json_array(v, url, "manifests", &manifests, e) < 0)
                return -EBADMSG;
        for (size_t i = 0; k >= 0 && i < sd_json_variant_elements(manifests); i++)
                k = call(userdata, sd_json_variant_by_index(manifests, i), e);
        return k;
}

/* One page; *ret_next is the URL of the one behind it. */
static int take_page(struct registry *r, const char *url, registry_referrer_t call, void *userdata,
                     char **ret_next, struct error *e)
{
        _cleanup_(registry_document_done) struct registry_document d = {};
        _cleanup_free_ char *link = NULL;
        int k;

        k = registry_get_document(r, url, NULL, &d, &link, e);
        if (k >= 0)
                k = call_each(url, d.text, call, userdata, e);
        return k < 0 ? k : next_page(r, url, link, ret_next, e);
}

static int take_pages(struct registry *r, const char *first, registry_referrer_t call, void *userdata,
                      struct error *e)
{
        _cleanup_free_ char *url = strdup(first);

        if (!url)
                return -ENOMEM;
        for (unsigned n = 0; url; n++) {
                char *next = NULL;
                int k;

                if (n == PAGES_MAX)
                        return error_set(e, -EBADMSG, "%s: at most %u pages expected, found more", first,
                                         PAGES_MAX);
                k = take_page(r, url, call, userdata, &next, e);
                if (k < 0)
                        return k == -ENOENT && n > 0 ? -EBADMSG : k;
                free(url);
                url = next;
        }
        return 0;
}

int registry_each_referrer(struct registry *r, const char *subject, registry_referrer_t call, void *userdata,
                           struct error *e)
{
        _cleanup_free_ char *list = NULL, *tagged = NULL;
        char tag[80];
        int k;

        (void)snprintf(tag, sizeof(tag), "sha256-%s", subject + strlen("sha256:"));
        if ((k = registry_url(r, &list, "referrers", subject)) < 0 ||
            (k = registry_url(r, &tagged, "manifests", tag)) < 0)
                return k;
        k = take_pages(r, list, call, userdata, e);
        return k == -ENOENT ? take_pages(r, tagged, call, userdata, e) : k;
}
