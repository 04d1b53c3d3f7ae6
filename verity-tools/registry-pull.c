/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading from a registry: documents and blobs, checked against their digests while they arrive. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "registry-internal.h"

#define MANIFEST_TYPES OCI_MANIFEST_TYPE ", " OCI_INDEX_TYPE ", " DOCKER_MANIFEST_TYPE ", " DOCKER_INDEX_TYPE

void registry_document_done(struct registry_document *d)
{
        free(d->text);
        *d = (struct registry_document){};
}

/* A document of the right digest: the one asked for, and the one that the registry says it sends. */
static int take_document(struct http_answer *a, const char *digest, struct registry_document *ret,
                         struct error *e)
{
        struct registry_document d = {.size = a->size};
        uint8_t hash[32];
        int k;

        k = trust_sha256(a->body ?: "", a->size, hash);
        if (k < 0)
                return error_errno(e, k, "SHA-256");
        (void)stpcpy(d.digest, "sha256:");
        hex_encode(hash, 32, d.digest + 7);
        if (digest && strcmp(d.digest, digest) != 0)
                return error_set(e, -EBADMSG, "content with the digest %s expected, found %s", digest,
                                 d.digest);
        if (a->content_digest[0] && strcmp(d.digest, a->content_digest) != 0)
                return error_set(e, -EBADMSG, "Docker-Content-Digest %s expected, found \"%s\"", d.digest,
                                 a->content_digest);
        if (!a->body || memchr(a->body, '\0', a->size))
                return error_set(e, -EBADMSG, "JSON expected, found something else");
        (void)snprintf(d.media_type, sizeof(d.media_type), "%.*s", (int)strcspn(a->content_type, "; "),
                       a->content_type);
        d.text = TAKE_PTR(a->body);
        *ret = d;
        return 0;
}

int registry_get_document(struct registry *r, const char *url, const char *digest,
                          struct registry_document *ret, char **ret_link, struct error *e)
{
        _cleanup_(http_answer_done) struct http_answer a = {};
        struct http_request q = {
                .method = "GET",
                .url = url,
                .accept = MANIFEST_TYPES,
                .max = OCI_MANIFEST_MAX,
                .total_seconds = DOCUMENT_SECONDS,
        };
        _cleanup_free_ char *link = NULL;
        int k;

        k = registry_request(r, &q, &a, e);
        if (k >= 0 && a.status != 200)
                return registry_unexpected(&q, &a, e);
        if (k < 0)
                return k;
        link = strdup(a.link);
        if (!link)
                return -ENOMEM;
        k = take_document(&a, digest, ret, e);
        if (k < 0)
                return error_prefix(e, k, "%s", url);
        if (ret_link)
                *ret_link = TAKE_PTR(link);
        return 0;
}

int registry_get_manifest(struct registry *r, const char *name, struct registry_document *ret,
                          struct error *e)
{
        _cleanup_free_ char *url = NULL;
        int k = registry_url(r, &url, "manifests", name);

        return k < 0 ? k : registry_get_document(r, url, strchr(name, ':') ? name : NULL, ret, NULL, e);
}

/* A blob on its way to a file. */
struct download {
        int fd;
        uint64_t received, size;
        struct trust_hash *digest;
        const struct registry *registry;
};

static int take_piece(void *userdata, const void *data, size_t size, struct error *e)
{
        struct download *d = userdata;
        int k;

        if (atomic_load(&d->registry->stopped))
                return error_set(e, -ECANCELED, "stopped");
        if (size > d->size - d->received)
                return error_set(e, -EBADMSG, "%" PRIu64 " bytes expected, found more", d->size);
        k = pwrite_full(d->fd, data, size, d->received);
        if (k < 0)
                return error_errno(e, k, "writing at %" PRIu64, d->received);
        k = trust_hash_add(d->digest, data, size);
        if (k < 0)
                return error_errno(e, k, "SHA-256");
        d->received += size;
        if (d->registry->received)
                d->registry->received(d->registry->userdata, size);
        return 0;
}

static uint64_t received_so_far(void *userdata)
{
        return ((struct download *)userdata)->received;
}

static int check_download(const struct download *d, const struct oci_descriptor *expected, struct error *e)
{
        uint8_t hash[32];
        int k = trust_hash_end(d->digest, hash);

        return k < 0 ? error_errno(e, k, "SHA-256") : oci_check_blob(expected, d->received, hash, e);
}

int registry_get_blob(struct registry *r, const struct oci_descriptor *d, int fd, struct error *e)
{
        _cleanup_(trust_hash_free_ptr) struct trust_hash *digest = NULL;
        struct download download = {.fd = fd, .size = d->size, .registry = r};
        _cleanup_(http_answer_done) struct http_answer a = {};
        _cleanup_free_ char *url = NULL;
        struct http_request q = {
                .method = "GET",
                .sink = take_piece,
                .again = received_so_far,
                .userdata = &download,
                .accept = "*/*",
        };
        int k;

        k = trust_hash_new(&digest);
        if (k < 0)
                return error_errno(e, k, "SHA-256");
        download.digest = digest;
        k = registry_url(r, &url, "blobs", d->digest);
        if (k < 0)
                return k;
        q.url = url;
        k = registry_request(r, &q, &a, e);
        if (k >= 0 && a.status != (q.from > 0 ? 206 : 200))
                return registry_unexpected(&q, &a, e);
        if (k >= 0) {
                k = check_download(&download, d, e);
                if (k < 0)
                        (void)error_prefix(e, k, "%s", url);
        }
        return k;
}
