/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing to a registry: blobs in one piece, manifests, and referrers. */
#include <errno.h>
#include <string.h>

#include "registry-internal.h"

#define PUSH_ATTEMPTS 3

/* Whether the registry has the blob: 1, 0 or an error. */
static int has_blob(struct registry *r, const char *digest, struct error *e)
{
        _cleanup_(http_answer_done) struct http_answer a = {};
        _cleanup_free_ char *url = NULL;
        struct http_request q = {.method = "HEAD"};
        int k;

        k = registry_url(r, &url, "blobs", digest);
        if (k < 0)
                return k;
        q.url = url;
        k = registry_request(r, &q, &a, e);
        if (k < 0 || a.status == 200 || a.status == 404)
                return k < 0 ? k : a.status == 200;
        return registry_unexpected(&q, &a, e);
}

/* Begins an upload; the registry names the URL that takes the blob. */
static int begin_upload(struct registry *r, const char *digest, char **ret, struct error *e)
{
        _cleanup_(http_answer_done) struct http_answer a = {};
        _cleanup_free_ char *url = NULL, *location = NULL;
        struct http_request q = {.method = "POST", .body = ""};
        int k;

        k = registry_url(r, &url, "blobs", "uploads/");
        if (k < 0)
                return k;
        q.url = url;
        k = registry_request(r, &q, &a, e);
        if (k < 0)
                return k;
        if (a.status != 202 || a.location[0] == '\0')
                return registry_unexpected(&q, &a, e);
        k = registry_resolve(r, url, a.location, &location, e);
        if (k >= 0 &&
            asprintf(ret, "%s%cdigest=%s", location, strchr(location, '?') ? '&' : '?', digest) < 0) {
                *ret = NULL;
                k = -ENOMEM;
        }
        return k;
}

static int upload(struct registry *r, const char *digest, int fd, uint64_t size, struct error *e)
{
        _cleanup_(http_answer_done) struct http_answer a = {};
        _cleanup_free_ char *url = NULL;
        struct http_request q = {
                .method = "PUT",
                .content_type = "application/octet-stream",
                .body_fd = fd,
                .body_size = size,
        };
        int k;

        k = begin_upload(r, digest, &url, e);
        if (k < 0)
                return k;
        q.url = url;
        k = registry_request(r, &q, &a, e);
        return k >= 0 && a.status != 201 ? registry_unexpected(&q, &a, e) : k;
}

int registry_put_blob(struct registry *r, const char *digest, int fd, uint64_t size, struct error *e)
{
        int k = has_blob(r, digest, e);

        if (k < 0)
                return k;
        return k > 0 ? 0 : upload(r, digest, fd, size, e);
}

int registry_put_manifest(struct registry *r, const char *name, const char *media_type, const char *text,
                          size_t size, bool *ret_subject, struct error *e)
{
        _cleanup_(http_answer_done) struct http_answer a = {};
        _cleanup_free_ char *url = NULL;
        struct http_request q = {
                .method = "PUT",
                .content_type = media_type,
                .body = text,
                .body_size = size,
        };
        int k;

        k = registry_url(r, &url, "manifests", name);
        if (k < 0)
                return k;
        q.url = url;
        k = registry_request(r, &q, &a, e);
        if (k < 0)
                return k;
        if (a.status != 201)
                return registry_unexpected(&q, &a, e);
        if (ret_subject)
                *ret_subject = a.subject[0] != '\0';
        return 0;
}

/* --- the fallback tag --- */

static bool has_digest(sd_json_variant *manifests, const char *digest)
{
        for (size_t i = 0; i < sd_json_variant_elements(manifests); i++) {
                sd_json_variant *v = sd_json_variant_by_index(manifests, i);
                sd_json_variant *d =
                        sd_json_variant_is_object(v) ? sd_json_variant_by_key(v, "digest") : NULL;

                if (d && sd_json_variant_is_string(d) && strcmp(sd_json_variant_string(d), digest) == 0)
                        return true;
        }
        return false;
}

/* The manifests that the tag lists; none where there is no such tag. */
static int get_tagged(struct registry *r, const char *tag, sd_json_variant **ret, struct error *e)
{
        _cleanup_(registry_document_done) struct registry_document d = {};
        _cleanup_json_ sd_json_variant *index = NULL;
        sd_json_variant *manifests = NULL;
        struct error missing = {};
        int k;

        k = registry_get_manifest(r, tag, &d, &missing);
        if (k == -ENOENT) {
                k = sd_json_variant_new_array(ret, NULL, 0);
                return k < 0 ? error_errno(e, k, "index") : 0;
        }
        if (k < 0)
                return error_set(e, k, "%s", missing.message);
        if ((k = json_parse(tag, d.text, &index, e)) < 0 ||
            (k = json_array(index, tag, "manifests", &manifests, e)) < 0)
                return k;
        if (sd_json_variant_elements(manifests) >= STORE_IMAGES_MAX)
                return error_set(e, -E2BIG, "%s: less than %d referrers expected, found more", tag,
                                 STORE_IMAGES_MAX);
        *ret = sd_json_variant_ref(manifests);
        return 0;
}

static int put_tagged(struct registry *r, const char *tag, sd_json_variant *manifests, struct error *e)
{
        _cleanup_json_ sd_json_variant *index = NULL;
        _cleanup_free_ char *text = NULL;
        int k;

        k = sd_json_buildo(&index, SD_JSON_BUILD_PAIR_UNSIGNED("schemaVersion", 2),
                           SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_INDEX_TYPE),
                           SD_JSON_BUILD_PAIR_VARIANT("manifests", manifests));
        if (k >= 0)
                k = sd_json_variant_format(index, 0, &text);
        return k < 0 ? error_errno(e, k, "index")
                     : registry_put_manifest(r, tag, OCI_INDEX_TYPE, text, strlen(text), NULL, e);
}

/* Read, change, write; another writer may come between, so it is looked whether ours is there in the end. */
int registry_add_referrer(struct registry *r, const char *subject, sd_json_variant *descriptor,
                          struct error *e)
{
        const char *digest = sd_json_variant_string(sd_json_variant_by_key(descriptor, "digest"));
        char tag[80];

        (void)snprintf(tag, sizeof(tag), "sha256-%s", subject + 7);
        for (unsigned attempt = 0; attempt <= PUSH_ATTEMPTS; attempt++) {
                _cleanup_json_ sd_json_variant *manifests = NULL;
                int k = get_tagged(r, tag, &manifests, e);

                if (k < 0 || has_digest(manifests, digest))
                        return k;
                k = sd_json_variant_append_array(&manifests, descriptor);
                if (k < 0)
                        return error_errno(e, k, "index");
                k = put_tagged(r, tag, manifests, e);
                if (k < 0)
                        return k;
        }
        return error_set(e, -EBUSY, "%s/%s:%s: a tag that nobody else changes expected", r->reference.host,
                         r->reference.repository, tag);
}
