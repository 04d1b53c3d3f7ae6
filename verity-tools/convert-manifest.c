/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configuration, manifest and signatures of a converted image. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "convert.h"

#define EMPTY_BLOB "{}"
#define TITLE "org.opencontainers.image.title"

/* --- layers --- */

/* EROFS image specification: all but the last say that they lie below another. */
static int layer_descriptor(const struct layer_job *j, bool last, sd_json_variant **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *annotations = NULL;
        int r;

        r = verity_geometry_to_annotations(&j->geometry, &annotations, e);
        if (r < 0)
                return r;
        if (!last)
                r = sd_json_variant_set_field_string(&annotations, "org.erofs.role", "overlay-lower");
        if (r >= 0)
                r = oci_descriptor_build(OCI_EROFS_TYPE, &j->blob, ret);
        if (r >= 0)
                r = sd_json_variant_set_field(ret, "annotations", annotations);
        return r < 0 ? error_errno(e, r, "manifest") : 0;
}

static int signature_descriptor(const struct layer_job *j, const char *layer, size_t number,
                                sd_json_variant **ret, struct error *e)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1], title[64];
        _cleanup_json_ sd_json_variant *annotations = NULL;
        int r;

        verity_geometry_root_hash(&j->geometry, root_hash);
        (void)snprintf(title, sizeof(title), "layer-%zu.pkcs7.sig", number);
        r = sd_json_buildo(&annotations, SD_JSON_BUILD_PAIR_STRING(OCI_LAYER_DIGEST, layer),
                           SD_JSON_BUILD_PAIR_STRING(OCI_ROOT_HASH, root_hash),
                           SD_JSON_BUILD_PAIR_STRING(TITLE, title));
        if (r >= 0)
                r = oci_descriptor_build(OCI_PKCS7_TYPE, &j->signature, ret);
        if (r >= 0)
                r = sd_json_variant_set_field(ret, "annotations", annotations);
        return r < 0 ? error_errno(e, r, "signature manifest") : 0;
}

static int sign_layer(struct conversion *c, struct layer_job *j, struct error *e)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1];

        if (j->signature.digest[0] != '\0')
                return 0;
        verity_geometry_root_hash(&j->geometry, root_hash);
        return conversion_sign(c, TRUST_LAYER, root_hash, root_hash, &j->signature, e);
}

/* Arrays over the layers of an image, bottom first. */
struct described {
        sd_json_variant *layers, *signatures, *diff_ids;
        sd_json_variant *report; /* for the user: digest, size, root hash */
};

static void described_done(struct described *d)
{
        sd_json_variant_unref(d->layers);
        sd_json_variant_unref(d->signatures);
        sd_json_variant_unref(d->diff_ids);
        sd_json_variant_unref(d->report);
}

static int describe_layer(struct described *d, const struct layer_job *j, const char *name, size_t number,
                          bool last, struct error *e)
{
        _cleanup_json_ sd_json_variant *layer = NULL, *signature = NULL;
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        int r;

        r = layer_descriptor(j, last, &layer, e);
        if (r >= 0)
                r = signature_descriptor(j, name, number, &signature, e);
        if (r < 0)
                return r;
        verity_geometry_root_hash(&j->geometry, root_hash);
        if ((r = sd_json_variant_append_array(&d->layers, layer)) < 0 ||
            (r = sd_json_variant_append_array(&d->signatures, signature)) < 0 ||
            (r = sd_json_variant_append_arrayb(&d->diff_ids, SD_JSON_BUILD_STRING(j->blob.digest))) < 0 ||
            (r = sd_json_variant_append_arraybo(&d->report,
                                                SD_JSON_BUILD_PAIR_STRING("digest", j->blob.digest),
                                                SD_JSON_BUILD_PAIR_UNSIGNED("size", j->blob.size),
                                                SD_JSON_BUILD_PAIR_STRING("root_hash", root_hash))) < 0)
                return error_errno(e, r, "manifest");
        return 0;
}

static int describe_layers(struct conversion *c, const struct oci_image *image, struct described *d,
                           struct error *e)
{
        size_t n = image->n_layers, each = c->o->squash ? n : 1;
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i += each) {
                const struct oci_descriptor *sources = image->layers + i;
                struct layer_job *j = conversion_find_job(c, sources, each, conversion_is_bottom(c, i));

                r = sign_layer(c, j, e);
                if (r >= 0)
                        r = describe_layer(d, j, c->o->signatures_only ? sources->digest : j->blob.digest, i,
                                           i + each == n, e);
        }
        return r;
}

/* --- the configuration --- */

/* What said how each layer was made is kept, and is about no layer any more: there is one, made here. */
static int squash_history(sd_json_variant **config)
{
        sd_json_variant *old = sd_json_variant_by_key(*config, "history");
        _cleanup_json_ sd_json_variant *history = NULL;
        int r = 0;

        if (!old || !sd_json_variant_is_array(old))
                return 0;
        for (size_t i = 0; r >= 0 && i < sd_json_variant_elements(old); i++) {
                _cleanup_json_ sd_json_variant *entry = sd_json_variant_ref(sd_json_variant_by_index(old, i));

                if (!sd_json_variant_is_object(entry))
                        continue;
                r = sd_json_variant_set_field_boolean(&entry, "empty_layer", true);
                if (r >= 0)
                        r = sd_json_variant_append_array(&history, entry);
        }
        if (r >= 0)
                r = sd_json_variant_append_arraybo(
                        &history, SD_JSON_BUILD_PAIR_STRING("created_by", "verity image --squash"));
        return r < 0 ? r : sd_json_variant_set_field(config, "history", history);
}

/* Those who cannot mount EROFS layers see by this that they cannot run the image. */
static int add_feature(sd_json_variant **config)
{
        sd_json_variant *old = sd_json_variant_by_key(*config, "os.features");
        _cleanup_json_ sd_json_variant *features = NULL;
        int r;

        if (old && sd_json_variant_is_array(old)) {
                for (size_t i = 0; i < sd_json_variant_elements(old); i++) {
                        sd_json_variant *v = sd_json_variant_by_index(old, i);

                        if (sd_json_variant_is_string(v) && strcmp(sd_json_variant_string(v), "erofs") == 0)
                                return 0;
                }
                features = sd_json_variant_ref(old);
        }
        r = sd_json_variant_append_arrayb(&features, SD_JSON_BUILD_STRING("erofs"));
        return r < 0 ? r : sd_json_variant_set_field(config, "os.features", features);
}

/* The configuration as it was, but for what is about the layers. */
static int convert_config(struct conversion *c, const struct oci_image *image, sd_json_variant *diff_ids,
                          sd_json_variant **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *config = NULL, *rootfs = NULL;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *v = NULL;
        struct oci_descriptor d = {};
        int r;

        if ((r = json_object(image->manifest, image->digest, "config", &v, e)) < 0 ||
            (r = oci_descriptor_parse(v, image->digest, &d, e)) < 0)
                return -EBADMSG;
        if (strcmp(d.media_type, OCI_CONFIG_TYPE) != 0 && strcmp(d.media_type, DOCKER_CONFIG_TYPE) != 0)
                return error_set(e, -EBADMSG,
                                 "%s: the configuration of an image expected, found media type \"%.80s\"",
                                 image->digest, d.media_type);
        r = oci_source_read(c->source, &d, OCI_MANIFEST_MAX, &text, e);
        if (r < 0)
                return r;
        if (json_parse(d.path, text, &config, e) < 0)
                return -EBADMSG;
        if (!sd_json_variant_is_object(config))
                return error_set(e, -EBADMSG, "%s: an object expected, found something else", d.path);
        r = sd_json_buildo(&rootfs, SD_JSON_BUILD_PAIR_STRING("type", "layers"),
                           SD_JSON_BUILD_PAIR_VARIANT("diff_ids", diff_ids));
        if (r >= 0)
                r = sd_json_variant_set_field(&config, "rootfs", rootfs);
        if (r >= 0)
                r = add_feature(&config);
        if (r >= 0 && c->o->squash)
                r = squash_history(&config);
        if (r < 0)
                return error_errno(e, r, "%s", d.path);
        *ret = TAKE_PTR(config);
        return 0;
}

/* --- referrers --- */

/* A manifest of this artifact type. */
static int build_referrer(struct conversion *c, const char *artifact_type, sd_json_variant *blobs,
                          sd_json_variant *annotations, sd_json_variant *subject, struct oci_blob *ret,
                          struct error *e)
{
        _cleanup_json_ sd_json_variant *empty = NULL, *manifest = NULL;
        struct oci_blob empty_blob = {};
        int r;

        r = layout_put(c->out, EMPTY_BLOB, strlen(EMPTY_BLOB), &empty_blob, e);
        if (r < 0)
                return r;
        r = oci_descriptor_build(OCI_EMPTY_TYPE, &empty_blob, &empty);
        if (r < 0)
                return error_errno(e, r, "signature manifest");
        r = sd_json_buildo(&manifest, SD_JSON_BUILD_PAIR_UNSIGNED("schemaVersion", 2),
                           SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_MANIFEST_TYPE),
                           SD_JSON_BUILD_PAIR_STRING("artifactType", artifact_type),
                           SD_JSON_BUILD_PAIR_VARIANT("config", empty),
                           SD_JSON_BUILD_PAIR_VARIANT("layers", blobs),
                           SD_JSON_BUILD_PAIR_VARIANT("subject", subject),
                           SD_JSON_BUILD_PAIR_CONDITION(annotations != NULL, "annotations",
                                                        SD_JSON_BUILD_VARIANT(annotations)));
        return r < 0 ? error_errno(e, r, "signature manifest") : layout_put_json(c->out, manifest, ret, e);
}

static int add_referrer(struct conversion *c, const char *artifact_type, sd_json_variant *blobs,
                        sd_json_variant *annotations, sd_json_variant *subject, struct error *e)
{
        _cleanup_json_ sd_json_variant *entry = NULL;
        struct oci_blob blob = {};
        int r;

        r = build_referrer(c, artifact_type, blobs, annotations, subject, &blob, e);
        if (r < 0)
                return r;
        r = oci_descriptor_build(OCI_MANIFEST_TYPE, &blob, &entry);
        if (r >= 0)
                r = sd_json_variant_set_field_string(&entry, "artifactType", artifact_type);
        if (r >= 0 && annotations)
                r = sd_json_variant_set_field(&entry, "annotations", annotations);
        if (r >= 0)
                r = layout_add(c->out, entry);
        return r < 0 ? error_errno(e, r, "index") : 0;
}

/* Notation's form: one referrer with the signatures of all layers. */
static int add_layer_signatures(struct conversion *c, sd_json_variant *signatures, sd_json_variant *subject,
                                struct error *e)
{
        _cleanup_json_ sd_json_variant *annotations = NULL;
        int r;

        r = sd_json_buildo(&annotations,
                           SD_JSON_BUILD_PAIR_STRING("io.cncf.notary.dm-verity.signature", "true"));
        return r < 0 ? error_errno(e, r, "signature manifest")
                     : add_referrer(c, OCI_VERITY_SIGNATURE_TYPE, signatures, annotations, subject, e);
}

static int add_manifest_signature(struct conversion *c, const char *text, const struct oci_blob *image,
                                  sd_json_variant *subject, struct error *e)
{
        _cleanup_json_ sd_json_variant *signature = NULL, *blobs = NULL;
        struct oci_blob blob = {};
        int r;

        r = conversion_sign(c, TRUST_MANIFEST, image->digest + strlen("sha256:"), text, &blob, e);
        if (r < 0)
                return r;
        r = oci_descriptor_build(OCI_PKCS7_TYPE, &blob, &signature);
        if (r >= 0)
                r = sd_json_variant_append_array(&blobs, signature);
        return r < 0 ? error_errno(e, r, "signature manifest")
                     : add_referrer(c, OCI_MANIFEST_SIGNATURE_TYPE, blobs, NULL, subject, e);
}

/* --- the image --- */

/* Two names of one image share their signatures. */
static bool signed_before(const struct conversion *c, const char *digest)
{
        for (size_t i = 0; i < c->n_done; i++)
                if (strcmp(c->done[i], digest) == 0)
                        return true;
        return false;
}

static int sign_image(struct conversion *c, const char *text, const struct oci_blob *manifest,
                      sd_json_variant *signatures, struct error *e)
{
        _cleanup_json_ sd_json_variant *subject = NULL;
        char(*bigger)[72];
        int r;

        if (signed_before(c, manifest->digest))
                return 0;
        bigger = reallocarray(c->done, c->n_done + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        c->done = bigger;
        memcpy(c->done[c->n_done++], manifest->digest, sizeof(*bigger));
        r = oci_descriptor_build(OCI_MANIFEST_TYPE, manifest, &subject);
        if (r < 0)
                return error_errno(e, r, "signature manifest");
        r = add_manifest_signature(c, text, manifest, subject, e);
        return r < 0 ? r : add_layer_signatures(c, signatures, subject, e);
}

static int build_manifest(struct conversion *c, const struct oci_image *image, sd_json_variant *config,
                          sd_json_variant *layers, char **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *manifest = NULL, *descriptor = NULL;
        sd_json_variant *annotations = sd_json_variant_by_key(image->manifest, "annotations");
        struct oci_blob blob = {};
        int r;

        r = layout_put_json(c->out, config, &blob, e);
        if (r < 0)
                return r;
        if (annotations && !sd_json_variant_is_object(annotations))
                annotations = NULL;
        r = oci_descriptor_build(OCI_CONFIG_TYPE, &blob, &descriptor);
        if (r >= 0)
                r = sd_json_buildo(&manifest, SD_JSON_BUILD_PAIR_UNSIGNED("schemaVersion", 2),
                                   SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_MANIFEST_TYPE),
                                   SD_JSON_BUILD_PAIR_VARIANT("config", descriptor),
                                   SD_JSON_BUILD_PAIR_VARIANT("layers", layers),
                                   SD_JSON_BUILD_PAIR_CONDITION(annotations != NULL, "annotations",
                                                                SD_JSON_BUILD_VARIANT(annotations)));
        if (r >= 0)
                r = sd_json_variant_format(manifest, 0, ret);
        return r < 0 ? error_errno(e, r, "manifest") : 0;
}

/* The entry of the index, by which the image is found. */
static int add_entry(struct conversion *c, const char *reference, sd_json_variant *config,
                     const struct oci_blob *manifest)
{
        _cleanup_json_ sd_json_variant *entry = NULL, *platform = NULL, *annotations = NULL;
        const char *variant = json_optional_string(config, "variant") ?: "";
        int r;

        if ((r = sd_json_buildo(&platform,
                                SD_JSON_BUILD_PAIR_STRING("architecture",
                                                          json_optional_string(config, "architecture") ?: ""),
                                SD_JSON_BUILD_PAIR_STRING("os", json_optional_string(config, "os") ?: ""),
                                SD_JSON_BUILD_PAIR_CONDITION(variant[0] != '\0', "variant",
                                                             SD_JSON_BUILD_STRING(variant)),
                                SD_JSON_BUILD_PAIR_VARIANT(
                                        "os.features", sd_json_variant_by_key(config, "os.features")))) < 0 ||
            (r = sd_json_buildo(&annotations, SD_JSON_BUILD_PAIR_STRING(OCI_REF_NAME, reference))) < 0 ||
            (r = oci_descriptor_build(OCI_MANIFEST_TYPE, manifest, &entry)) < 0 ||
            (r = sd_json_variant_set_field(&entry, "platform", platform)) < 0 ||
            (r = sd_json_variant_set_field(&entry, "annotations", annotations)) < 0)
                return r;
        return layout_add(c->out, entry);
}

int conversion_add_image(struct conversion *c, const struct oci_image *image, sd_json_variant **ret,
                         struct error *e)
{
        _cleanup_(described_done) struct described d = {};
        _cleanup_json_ sd_json_variant *config = NULL;
        _cleanup_free_ char *text = NULL;
        struct oci_blob manifest = {};
        int r;

        if ((r = describe_layers(c, image, &d, e)) < 0 ||
            (r = convert_config(c, image, d.diff_ids, &config, e)) < 0 ||
            (r = build_manifest(c, image, config, d.layers, &text, e)) < 0 ||
            (r = layout_put(c->out, text, strlen(text), &manifest, e)) < 0)
                return r;
        r = add_entry(c, image->reference, config, &manifest);
        if (r < 0)
                return error_errno(e, r, "index");
        r = sign_image(c, text, &manifest, d.signatures, e);
        if (r < 0)
                return r;
        r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("reference", image->reference),
                           SD_JSON_BUILD_PAIR_STRING("digest", manifest.digest),
                           SD_JSON_BUILD_PAIR_VARIANT("layers", d.report));
        return r < 0 ? error_errno(e, r, "result") : 0;
}

/* A node that converts the layers itself gets these root hashes, since the same tar gives the same bytes. */
int conversion_add_signatures(struct conversion *c, const struct oci_image *image, sd_json_variant **ret,
                              struct error *e)
{
        _cleanup_(described_done) struct described d = {};
        _cleanup_json_ sd_json_variant *subject = NULL;
        struct oci_blob manifest = {.size = image->size};
        int r;

        memcpy(manifest.digest, image->digest, sizeof(manifest.digest));
        r = describe_layers(c, image, &d, e);
        if (r < 0)
                return r;
        r = oci_descriptor_build(image->media_type, &manifest, &subject);
        if (r >= 0)
                r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("reference", image->reference),
                                   SD_JSON_BUILD_PAIR_STRING("digest", manifest.digest),
                                   SD_JSON_BUILD_PAIR_VARIANT("layers", d.report));
        return r < 0 ? error_errno(e, r, "signature manifest")
                     : add_layer_signatures(c, d.signatures, subject, e);
}
