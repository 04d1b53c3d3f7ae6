/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a registry to a layout: a signed image with its signatures, as it is. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "registry.h"
#include "transfer.h"

#define SIGNATURES_MAX 64u

struct fetch {
        struct registry *registry;
        struct layout *out;
        unsigned n_signatures;
};

static int fetch_blob(const struct fetch *f, const struct oci_descriptor *d, struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        struct oci_blob b = {};
        int r;

        r = layout_begin_blob(f->out, 0, &fd, e);
        if (r >= 0)
                r = registry_get_blob(f->registry, d, fd, e);
        return r < 0 ? r : layout_end_blob(f->out, 0, fd, &b, e);
}

/* What nobody vouches for yet is small. */
static int fetch_small(const struct fetch *f, sd_json_variant *v, const char *name, size_t max,
                       struct error *e)
{
        struct oci_descriptor d = {};
        int r;

        r = oci_descriptor_parse(v, name, &d, e);
        if (r >= 0 && d.size > max)
                r = error_set(e, -EBADMSG, "%s: %s of at most %zu bytes expected, found %" PRIu64, name,
                              d.digest, max, d.size);
        return r < 0 ? r : fetch_blob(f, &d, e);
}

/* Its configuration and, of a referrer, its signatures. */
static int fetch_blobs(const struct fetch *f, const struct registry_document *d, bool signatures,
                       struct error *e)
{
        _cleanup_json_ sd_json_variant *manifest = NULL;
        sd_json_variant *config = NULL, *layers = NULL;
        int r;

        if (strcmp(d->media_type, OCI_MANIFEST_TYPE) != 0)
                return error_set(e, -EBADMSG, "%s: media type %s expected, found \"%.80s\"", d->digest,
                                 OCI_MANIFEST_TYPE, d->media_type);
        if ((r = json_parse(d->digest, d->text, &manifest, e)) < 0 ||
            (r = json_object(manifest, d->digest, "config", &config, e)) < 0 ||
            (r = json_array(manifest, d->digest, "layers", &layers, e)) < 0)
                return -EBADMSG;
        if (sd_json_variant_elements(layers) > STORE_LAYERS_MAX)
                return error_set(e, -EBADMSG, "%s: at most %d layers expected, found more", d->digest,
                                 STORE_LAYERS_MAX);
        r = fetch_small(f, config, d->digest, OCI_MANIFEST_MAX, e);
        for (size_t i = 0; r >= 0 && signatures && i < sd_json_variant_elements(layers); i++)
                r = fetch_small(f, sd_json_variant_by_index(layers, i), d->digest, TRUST_SIGNATURE_MAX, e);
        return r;
}

/* A manifest with what is small of it, and its entry in the index: by reference, or as what artifact it is.
 */
static int add_manifest(const struct fetch *f, const struct registry_document *d, const char *reference,
                        const char *artifact_type, struct error *e)
{
        _cleanup_json_ sd_json_variant *entry = NULL, *annotations = NULL;
        struct oci_blob b = {};
        int r;

        r = fetch_blobs(f, d, artifact_type != NULL, e);
        if (r >= 0)
                r = layout_put(f->out, d->text, d->size, &b, e);
        if (r < 0)
                return r;
        r = oci_descriptor_build(OCI_MANIFEST_TYPE, &b, &entry);
        if (r >= 0 && artifact_type)
                r = sd_json_variant_set_field_string(&entry, "artifactType", artifact_type);
        if (r >= 0 && reference)
                r = sd_json_buildo(&annotations, SD_JSON_BUILD_PAIR_STRING(OCI_REF_NAME, reference));
        if (r >= 0 && reference)
                r = sd_json_variant_set_field(&entry, "annotations", annotations);
        if (r >= 0)
                r = layout_add(f->out, entry);
        return r < 0 ? error_errno(e, r, "index") : 0;
}

/* Which of our two kinds of signature this entry of a list of referrers is; NULL for others. */
static const char *signature_type(sd_json_variant *entry)
{
        static const char *const types[] = {OCI_VERITY_SIGNATURE_TYPE, OCI_MANIFEST_SIGNATURE_TYPE};
        sd_json_variant *v =
                sd_json_variant_is_object(entry) ? sd_json_variant_by_key(entry, "artifactType") : NULL;

        for (size_t i = 0; v && sd_json_variant_is_string(v) && i < ELEMENTSOF(types); i++)
                if (strcmp(sd_json_variant_string(v), types[i]) == 0)
                        return types[i];
        return NULL;
}

static int fetch_referrer(void *userdata, sd_json_variant *entry, struct error *e)
{
        _cleanup_(registry_document_done) struct registry_document d = {};
        struct oci_descriptor descriptor = {};
        const char *type = signature_type(entry);
        struct fetch *f = userdata;
        int r;

        if (!type)
                return 0;
        if (++f->n_signatures > SIGNATURES_MAX)
                return error_set(e, -EBADMSG, "referrers: at most %u signatures expected, found more",
                                 SIGNATURES_MAX);
        if ((r = oci_descriptor_parse(entry, "referrers", &descriptor, e)) < 0 ||
            (r = registry_get_manifest(f->registry, descriptor.digest, &d, e)) < 0)
                return r == -ENOENT ? -EBADMSG : r;
        r = add_manifest(f, &d, NULL, type, e);
        return r == -ENOENT ? -EBADMSG : r;
}

static int fetch_referrers(struct fetch *f, const char *subject, struct error *e)
{
        int r = registry_each_referrer(f->registry, subject, fetch_referrer, f, e);

        return r == -ENOENT ? error_set(e, -ENOKEY, "%s: signatures expected, found none", subject) : r;
}

/* The layers of an image that is signed: nobody else says how much is fetched. */
static int fetch_layers(const struct fetch *f, const char *name, const struct trust_store *trust,
                        struct error *e)
{
        _cleanup_(store_image_free_ptr) struct store_image *image = NULL;
        _cleanup_(store_free_ptr) struct store *store = NULL;
        int r;

        r = store_open(AT_FDCWD, layout_path(f->out), &store, e);
        if (r >= 0)
                r = store_find_image(store, name, trust, &image, e);
        for (size_t i = 0; r >= 0 && i < image->n_layers; i++) {
                const struct store_layer *l = &image->layers[i];
                struct oci_descriptor d = {.size = l->size};

                memcpy(d.digest, l->digest, sizeof(d.digest));
                r = fetch_blob(f, &d, e);
        }
        return r;
}

static int fetch_image(struct fetch *f, const struct registry_reference *reference, const char *name,
                       const struct trust_store *trust, struct error *e)
{
        _cleanup_(registry_document_done) struct registry_document d = {};
        int r;

        r = registry_get_manifest(f->registry, reference->digest[0] ? reference->digest : reference->tag, &d,
                                  e);
        if (r >= 0)
                r = add_manifest(f, &d, name, NULL, e);
        if (r >= 0)
                r = fetch_referrers(f, d.digest, e);
        if (r >= 0)
                r = layout_write_index(f->out, e);
        return r < 0 ? r : fetch_layers(f, name, trust, e);
}

int layout_fetch(const char *reference, const char *place, const struct registry_options *o,
                 const struct trust_store *trust, struct layout **ret, struct error *e)
{
        _cleanup_(registry_free_ptr) struct registry *registry = NULL;
        _cleanup_(layout_free_ptr) struct layout *out = NULL;
        struct registry_reference from = {};
        _cleanup_free_ char *name = NULL;
        const char *text;
        int r;

        if (strncmp(reference, OCI_REGISTRY_PREFIX, strlen(OCI_REGISTRY_PREFIX)) != 0)
                return error_set(e, -EINVAL, "docker://HOST/REPOSITORY[:TAG] expected, found %s", reference);
        text = reference + strlen(OCI_REGISTRY_PREFIX);
        name = strndup(text, strcspn(text, "@"));
        if (!name)
                return -ENOMEM;
        if ((r = registry_reference_parse(text, &from, e)) < 0 ||
            (r = registry_open(&from, o, &registry, e)) < 0 || (r = layout_new(place, &out, e)) < 0)
                return r;
        r = fetch_image(&(struct fetch){.registry = registry, .out = out}, &from, name, trust, e);
        if (r < 0)
                return error_prefix(e, r, "%s", reference);
        *ret = TAKE_PTR(out);
        return 0;
}
