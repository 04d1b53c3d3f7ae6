/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "internal.h"

/* How many signatures over one thing are tried before the search ends. */
#define SIGNATURES_MAX 16

/* A referrer's manifest: room for as many signatures as an image may have layers. */
#define REFERRER_MAX ((size_t)256 * 1024)

struct entry {
        struct oci_descriptor descriptor;
        const char *reference;     /* borrowed from the index, or NULL */
        const char *artifact_type; /* borrowed from the index, or NULL */
};

struct store {
        int fd;
        sd_json_variant *index;
        struct entry *entries;
        size_t n_entries;
        const char **names;
        size_t n_names;
};

struct store *store_free(struct store *s)
{
        if (!s)
                return NULL;
        (void)close_fd(s->fd);
        sd_json_variant_unref(s->index);
        free(s->entries);
        free(s->names);
        free(s);
        return NULL;
}

struct store_image *store_image_free(struct store_image *i)
{
        if (!i)
                return NULL;
        for (size_t l = 0; l < i->n_layers; l++)
                free(i->layers[l].signature);
        free(i->layers);
        free(i->reference);
        sd_json_variant_unref(i->config);
        oci_free_strings(i->entrypoint);
        oci_free_strings(i->cmd);
        oci_free_strings(i->env);
        free(i->user);
        free(i->workdir);
        free(i);
        return NULL;
}

/* oci-layout: the one version there is. */
static int check_version(struct store *s, struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        const char *version;
        int r;

        r = oci_read_file(s->fd, "oci-layout", 4096, &text, e);
        if (r < 0)
                return r;
        r = json_parse("oci-layout", text, &v, e);
        if (r < 0)
                return -EBADMSG;
        version = json_optional_string(v, "imageLayoutVersion");
        if (!version || strcmp(version, "1.0.0") != 0)
                return error_set(e, -EBADMSG,
                                 "oci-layout: imageLayoutVersion \"1.0.0\" expected, found \"%.40s\"",
                                 version ?: "none");
        return 0;
}

static int add_entry(struct store *s, sd_json_variant *v, size_t i, struct error *e)
{
        struct entry *entry = &s->entries[i];
        char name[64];
        int r;

        (void)snprintf(name, sizeof(name), "index.json: manifest %zu", i);
        r = oci_descriptor_parse(v, name, &entry->descriptor, e);
        if (r < 0)
                return r;
        entry->reference = json_optional_string(entry->descriptor.annotations, OCI_REF_NAME);
        entry->artifact_type = json_optional_string(v, "artifactType");
        if (!entry->reference)
                return 0;
        for (const struct entry *before = s->entries; before < entry; before++)
                if (before->reference && strcmp(before->reference, entry->reference) == 0)
                        return error_set(e, -EBADMSG, "%s: each name once expected, found \"%.200s\" again",
                                         name, entry->reference);
        s->names[s->n_names++] = entry->reference;
        return 0;
}

static int read_index(struct store *s, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        sd_json_variant *manifests = NULL;
        int r;

        r = oci_read_file(s->fd, "index.json", OCI_INDEX_MAX, &text, e);
        if (r < 0)
                return r;
        r = json_parse("index.json", text, &s->index, e);
        if (r < 0)
                return -EBADMSG;
        r = json_array(s->index, "index.json", "manifests", &manifests, e);
        if (r < 0)
                return -EBADMSG;
        s->n_entries = sd_json_variant_elements(manifests);
        if (s->n_entries > STORE_IMAGES_MAX)
                return error_set(e, -EBADMSG, "index.json: at most %d manifests expected, found %zu",
                                 STORE_IMAGES_MAX, s->n_entries);
        s->entries = calloc(s->n_entries + 1, sizeof(*s->entries));
        s->names = calloc(s->n_entries + 1, sizeof(*s->names));
        if (!s->entries || !s->names)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_entries; i++) {
                r = add_entry(s, sd_json_variant_by_index(manifests, i), i, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

int store_open(int dirfd, const char *path, struct store **ret, struct error *e)
{
        _cleanup_(store_free_ptr) struct store *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->fd < 0)
                return error_errno(e, -errno, "%s", path);
        r = check_version(s, e);
        if (r >= 0)
                r = read_index(s, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        *ret = TAKE_PTR(s);
        return 0;
}

const char *const *store_list(const struct store *s, size_t *ret_n)
{
        *ret_n = s->n_names;
        return s->names;
}

/* NAME or NAME@sha256:HEX; with a digest, the entry must be that one. */
static const struct entry *find_entry(const struct store *s, const char *reference)
{
        const char *at = strchr(reference, '@');
        size_t n = at ? (size_t)(at - reference) : strlen(reference);

        for (size_t i = 0; i < s->n_entries; i++) {
                const struct entry *entry = &s->entries[i];

                if (entry->reference && strlen(entry->reference) == n &&
                    strncmp(entry->reference, reference, n) == 0 &&
                    (!at || strcmp(at + 1, entry->descriptor.digest) == 0))
                        return entry;
        }
        return NULL;
}

/* --- signatures --- */

/* Called with each candidate; 0 ends the search with success. */
typedef int (*try_signature_t)(void *userdata, uint8_t *der, size_t size, struct error *e);

struct search {
        const struct store *store;
        const char *subject; /* digest of the image's manifest */
        const char *artifact_type;
        const char *layer; /* digest of the layer, or NULL */
        try_signature_t try;
        void *userdata;
        unsigned tried;
        bool found;
};

/* The last error is kept: with one signature, as is usual, it says exactly what is wrong with it. */
static int try_blob(struct search *s, sd_json_variant *v, struct error *e)
{
        _cleanup_free_ char *der = NULL;
        struct oci_descriptor d = {};
        const char *layer;
        int r;

        r = oci_descriptor_parse(v, "signature", &d, e);
        if (r < 0)
                return r;
        if (strcmp(d.media_type, OCI_PKCS7_TYPE) != 0)
                return error_set(e, -EBADMSG, "signature: media type %s expected, found \"%.80s\"",
                                 OCI_PKCS7_TYPE, d.media_type);
        layer = json_optional_string(d.annotations, OCI_LAYER_DIGEST);
        if (s->layer && (!layer || strcmp(layer, s->layer) != 0))
                return 0;
        if (++s->tried > SIGNATURES_MAX)
                return error_set(e, -EBADMSG, "signature: at most %d over one thing expected, found more",
                                 SIGNATURES_MAX);
        r = oci_read_blob(s->store->fd, &d, TRUST_SIGNATURE_MAX, &der, e);
        if (r < 0)
                return r;
        r = s->try(s->userdata, (uint8_t *)der, (size_t)d.size, e);
        if (r < 0)
                return r;
        s->found = true;
        return 0;
}

/* Whether this referrer manifest is about our subject. */
static bool is_about(sd_json_variant *manifest, const char *subject)
{
        const char *digest = json_optional_string(sd_json_variant_by_key(manifest, "subject"), "digest");

        return digest && strcmp(digest, subject) == 0;
}

static int try_referrer(struct search *s, const struct entry *entry, struct error *e)
{
        _cleanup_json_ sd_json_variant *manifest = NULL;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *blobs = NULL;
        int r;

        r = oci_read_blob(s->store->fd, &entry->descriptor, REFERRER_MAX, &text, e);
        if (r < 0)
                return r;
        r = json_parse(entry->descriptor.path, text, &manifest, e);
        if (r < 0)
                return -EBADMSG;
        if (!sd_json_variant_is_object(manifest) || !is_about(manifest, s->subject))
                return 0;
        r = json_array(manifest, entry->descriptor.path, "layers", &blobs, e);
        if (r < 0 || sd_json_variant_elements(blobs) > STORE_LAYERS_MAX)
                return error_set(e, -EBADMSG, "%s: at most %d signatures expected", entry->descriptor.path,
                                 STORE_LAYERS_MAX);
        for (size_t i = 0; i < sd_json_variant_elements(blobs) && !s->found; i++) {
                int k = try_blob(s, sd_json_variant_by_index(blobs, i), e);

                if (k < 0)
                        r = k;
        }
        return s->found ? 0 : r;
}

static int search_signature(struct search *s, struct error *e)
{
        struct error last = {};
        int r = 0;

        for (size_t i = 0; i < s->store->n_entries && !s->found; i++) {
                const struct entry *entry = &s->store->entries[i];
                int k;

                if (!entry->artifact_type || strcmp(entry->artifact_type, s->artifact_type) != 0)
                        continue;
                k = try_referrer(s, entry, &last);
                if (k < 0)
                        r = k;
        }
        if (s->found)
                return 0;
        if (r < 0)
                return error_set(e, r, "%s%s%s", s->layer ?: s->subject, last.message[0] ? ": " : "",
                                 last.message);
        return error_set(e, -ENOKEY, "%s: a signature (%s) expected, found none", s->layer ?: s->subject,
                         s->artifact_type);
}

struct signed_manifest {
        const struct trust_store *trust;
        const char *text;
        size_t size;
};

static int try_manifest_signature(void *userdata, uint8_t *der, size_t size, struct error *e)
{
        struct signed_manifest *m = userdata;

        return trust_verify_detached(m->trust, TRUST_MANIFEST, m->text, m->size, der, size, e);
}

struct signed_layer {
        const struct trust_store *trust;
        struct store_layer *layer;
};

static int try_layer_signature(void *userdata, uint8_t *der, size_t size, struct error *e)
{
        struct signed_layer *l = userdata;
        int r;

        r = verity_signature_check(l->trust, TRUST_LAYER, &l->layer->geometry, der, size, e);
        if (r < 0)
                return r;
        l->layer->signature = malloc(size);
        if (!l->layer->signature)
                return -ENOMEM;
        memcpy(l->layer->signature, der, size);
        l->layer->signature_size = size;
        return 0;
}

/* Reads the manifest and returns its text only if it is signed: nothing unsigned is parsed further. */
static int read_signed_manifest(const struct store *s, const struct entry *entry,
                                const struct trust_store *trust, char **ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        struct signed_manifest m = {.trust = trust, .size = (size_t)entry->descriptor.size};
        struct search search = {
                .store = s,
                .subject = entry->descriptor.digest,
                .artifact_type = OCI_MANIFEST_SIGNATURE_TYPE,
                .try = try_manifest_signature,
                .userdata = &m,
        };
        int r;

        if (strcmp(entry->descriptor.media_type, OCI_MANIFEST_TYPE) != 0)
                return error_set(e, -EBADMSG, "media type %s expected, found \"%.80s\"", OCI_MANIFEST_TYPE,
                                 entry->descriptor.media_type);
        r = oci_read_blob(s->fd, &entry->descriptor, OCI_MANIFEST_MAX, &text, e);
        if (r < 0)
                return r;
        m.text = text;
        r = search_signature(&search, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(text);
        return 0;
}

static int check_layers(const struct store *s, const struct trust_store *trust, struct store_image *image,
                        struct error *e)
{
        for (size_t i = 0; i < image->n_layers; i++) {
                struct signed_layer l = {.trust = trust, .layer = &image->layers[i]};
                struct search search = {
                        .store = s,
                        .subject = image->digest,
                        .artifact_type = OCI_VERITY_SIGNATURE_TYPE,
                        .layer = image->layers[i].digest,
                        .try = try_layer_signature,
                        .userdata = &l,
                };
                int r;

                r = search_signature(&search, e);
                if (r < 0)
                        return error_prefix(e, r, "layer %zu", i);
        }
        return 0;
}

static int read_config(const struct store *s, const struct oci_descriptor *d, struct store_image *image,
                       struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r;

        r = oci_read_blob(s->fd, d, OCI_MANIFEST_MAX, &text, e);
        if (r < 0)
                return r;
        r = json_parse(d->path, text, &image->config, e);
        if (r < 0)
                return -EBADMSG;
        return oci_parse_config(image->config, d->path, image, e);
}

static int fill_image(const struct store *s, const struct entry *entry, const struct trust_store *trust,
                      struct store_image *image, struct error *e)
{
        _cleanup_json_ sd_json_variant *manifest = NULL;
        _cleanup_free_ char *text = NULL;
        struct oci_descriptor config = {};
        int r;

        memcpy(image->digest, entry->descriptor.digest, sizeof(image->digest));
        r = read_signed_manifest(s, entry, trust, &text, e);
        if (r < 0)
                return r;
        r = json_parse(entry->descriptor.path, text, &manifest, e);
        if (r < 0)
                return -EBADMSG;
        r = oci_parse_manifest(manifest, entry->descriptor.path, image, &config, e);
        if (r < 0)
                return r;
        r = read_config(s, &config, image, e);
        if (r < 0)
                return r;
        return check_layers(s, trust, image, e);
}

int store_find_image(const struct store *s, const char *reference, const struct trust_store *trust,
                     struct store_image **ret, struct error *e)
{
        _cleanup_(store_image_free_ptr) struct store_image *image = NULL;
        const struct entry *entry = find_entry(s, reference);
        int r;

        if (!entry)
                return error_set(e, -ENOENT, "image %.200s: not in the store", reference);
        image = calloc(1, sizeof(*image));
        if (!image)
                return -ENOMEM;
        image->reference = strdup(reference);
        if (!image->reference)
                return -ENOMEM;
        r = fill_image(s, entry, trust, image, e);
        if (r == -ENOENT)
                r = -EBADMSG;
        if (r < 0)
                return error_prefix(e, r, "image %.200s", reference);
        *ret = TAKE_PTR(image);
        return 0;
}

int store_open_layer(const struct store *s, const struct store_layer *layer, int *ret_fd, struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        uint64_t size = 0;
        int r;

        r = oci_open(s->fd, layer->path, &fd, &size, e);
        if (r < 0)
                return r;
        if (size != layer->size)
                return error_set(e, -EBADMSG, "%s: %" PRIu64 " bytes expected, found %" PRIu64, layer->path,
                                 layer->size, size);
        r = verity_superblock_compare(fd, &layer->geometry, e);
        if (r < 0)
                return error_prefix(e, r, "%s", layer->path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}
