/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From an OCI layout of tar layers to one of signed EROFS layers. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hex.h"
#include "build-internal.h"
#include "internal.h"

#define CHUNK ((size_t)1024 * 1024)
#define EMPTY_BLOB "{}"

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

/* A layer that was built: the same tar in several images is built once. */
struct built_layer {
        char source[72]; /* digest of the tar's blob */
        char digest[72]; /* of the EROFS blob */
        uint64_t size;
        struct verity_geometry geometry;
        char signature[72]; /* digest of the signature's blob */
        uint64_t signature_size;
};

struct conversion {
        const struct build_oci_options *o;
        int in;                  /* the source layout */
        char *out;               /* the new layout, under its temporary name */
        sd_json_variant **index; /* descriptors for index.json */
        size_t n_index;
        struct built_layer *layers;
        size_t n_layers, n_expected;
        char (*done)[72]; /* digests of the new manifests whose signatures are in the index */
        size_t n_done;
        struct build_oci_result result;
};

struct blob {
        char digest[72];
        uint64_t size;
};

static int blob_path(const struct conversion *c, const char *digest, char ret[static PATH_MAX],
                     struct error *e)
{
        if (snprintf(ret, PATH_MAX, "%s/blobs/sha256/%s", c->out, digest + 7) >= PATH_MAX)
                return error_errno(e, -ENAMETOOLONG, "%s", c->out);
        return 0;
}

static int write_blob(const struct conversion *c, const void *data, size_t size, struct blob *ret,
                      struct error *e)
{
        char path[PATH_MAX];
        uint8_t hash[32];
        int r;

        r = trust_sha256(data, size, hash);
        if (r < 0)
                return error_errno(e, r, "SHA-256");
        (void)stpcpy(ret->digest, "sha256:");
        hex_encode(hash, 32, ret->digest + 7);
        ret->size = size;
        r = blob_path(c, ret->digest, path, e);
        return r < 0 ? r : write_file_atomic(AT_FDCWD, path, data, size, 0644, e);
}

static int write_json_blob(const struct conversion *c, sd_json_variant *v, struct blob *ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r = sd_json_variant_format(v, 0, &text);

        return r < 0 ? error_errno(e, r, "JSON") : write_blob(c, text, strlen(text), ret, e);
}

static int hash_file(int fd, char ret[static 65], struct error *e)
{
        _cleanup_(EVP_MD_CTX_free_ptr) EVP_MD_CTX *context = EVP_MD_CTX_new();
        _cleanup_free_ uint8_t *buf = malloc(CHUNK);
        uint8_t hash[32];
        uint64_t at = 0;

        if (!context || !buf)
                return -ENOMEM;
        if (EVP_DigestInit_ex2(context, EVP_sha256(), NULL) != 1)
                return error_errno(e, -EIO, "SHA-256");
        for (;;) {
                ssize_t n = pread(fd, buf, CHUNK, (off_t)at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno(e, -errno, "reading");
                if (n == 0)
                        break;
                if (EVP_DigestUpdate(context, buf, (size_t)n) != 1)
                        return error_errno(e, -EIO, "SHA-256");
                at += (uint64_t)n;
        }
        if (EVP_DigestFinal_ex(context, hash, NULL) != 1)
                return error_errno(e, -EIO, "SHA-256");
        hex_encode(hash, 32, ret);
        return 0;
}

/* --- layers --- */

static bool is_tar_layer(const char *media_type)
{
        static const char *const types[] = {
                "application/vnd.oci.image.layer.v1.tar",
                "application/vnd.oci.image.layer.v1.tar+gzip",
                "application/vnd.oci.image.layer.v1.tar+zstd",
                "application/vnd.docker.image.rootfs.diff.tar",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
        };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (strcmp(media_type, types[i]) == 0)
                        return true;
        return false;
}

/* Opens the blob of a tar layer and reads it through once: size and digest must be what the manifest says. */
static int open_tar_layer(const struct conversion *c, const struct oci_descriptor *d, int *ret_fd,
                          struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        uint64_t size = 0;
        char hex[65];
        int r;

        if (!is_tar_layer(d->media_type))
                return error_set(e, -EBADMSG, "%s: media type of a tar layer expected, found \"%.80s\"",
                                 d->path, d->media_type);
        r = oci_open(c->in, d->path, &fd, &size, e);
        if (r < 0)
                return r;
        if (size != d->size)
                return error_set(e, -EBADMSG, "%s: %" PRIu64 " bytes expected, found %" PRIu64, d->path,
                                 d->size, size);
        r = hash_file(fd, hex, e);
        if (r < 0)
                return error_prefix(e, r, "%s", d->path);
        if (strcmp(hex, d->digest + 7) != 0)
                return error_set(e, -EBADMSG, "%s: content with that digest expected, found sha256:%s",
                                 d->path, hex);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int sign_layer(const struct conversion *c, struct built_layer *l, struct error *e)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_free_ uint8_t *der = NULL;
        struct blob blob = {};
        size_t size = 0;
        int r;

        verity_geometry_root_hash(&l->geometry, root_hash);
        r = trust_sign(c->o->layer_signer, TRUST_LAYER, root_hash, strlen(root_hash), false, &der, &size, e);
        if (r >= 0)
                r = write_blob(c, der, size, &blob, e);
        if (r < 0)
                return r;
        memcpy(l->signature, blob.digest, sizeof(l->signature));
        l->signature_size = blob.size;
        return 0;
}

/* Builds the layer in place below blobs/ and gives it the name of its digest. */
static int build_layer_blob(const struct conversion *c, int tar, const char *name, struct built_layer *l,
                            struct error *e)
{
        struct build_options options = {.allow_setuid = c->o->allow_setuid};
        _cleanup_close_ int fd = -EBADF;
        char building[PATH_MAX], path[PATH_MAX];
        struct stat st;
        int r;

        if (snprintf(building, sizeof(building), "%s/blobs/sha256/building", c->out) >= (int)sizeof(building))
                return error_errno(e, -ENAMETOOLONG, "%s", c->out);
        fd = open(building, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return error_errno(e, -errno, "%s", building);
        r = build_from_tar(tar, name, building, &options, &l->geometry, e);
        if (r < 0)
                return r;
        (void)stpcpy(l->digest, "sha256:");
        r = hash_file(fd, l->digest + 7, e);
        if (r >= 0)
                r = blob_path(c, l->digest, path, e);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0 || rename(building, path) < 0)
                return error_errno(e, -errno, "%s", path);
        l->size = (uint64_t)st.st_size;
        return 0;
}

static int get_layer(struct conversion *c, sd_json_variant *v, const char *name,
                     const struct built_layer **ret, struct error *e)
{
        _cleanup_close_ int tar = -EBADF;
        struct built_layer *bigger, *l, fresh = {};
        struct oci_descriptor d = {};
        int r;

        r = oci_descriptor_parse(v, name, &d, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < c->n_layers; i++)
                if (strcmp(c->layers[i].source, d.digest) == 0) {
                        *ret = &c->layers[i];
                        return 0;
                }
        if (c->o->layer)
                c->o->layer(c->o->userdata, d.digest, c->n_layers, c->n_expected);
        memcpy(fresh.source, d.digest, sizeof(fresh.source));
        r = open_tar_layer(c, &d, &tar, e);
        if (r >= 0)
                r = build_layer_blob(c, tar, d.path, &fresh, e);
        if (r >= 0)
                r = sign_layer(c, &fresh, e);
        if (r < 0)
                return r;
        bigger = reallocarray(c->layers, c->n_layers + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        c->layers = bigger;
        l = &c->layers[c->n_layers++];
        *l = fresh;
        c->result.size += l->size;
        *ret = l;
        return 0;
}

/* --- manifests --- */

static int descriptor(const char *media_type, const struct blob *b, sd_json_variant **ret)
{
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("mediaType", media_type),
                              SD_JSON_BUILD_PAIR_STRING("digest", b->digest),
                              SD_JSON_BUILD_PAIR_UNSIGNED("size", b->size));
}

static int layer_descriptor(const struct built_layer *l, sd_json_variant **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *annotations = NULL;
        int r;

        r = verity_geometry_to_annotations(&l->geometry, &annotations, e);
        if (r < 0)
                return r;
        r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_EROFS_TYPE),
                           SD_JSON_BUILD_PAIR_STRING("digest", l->digest),
                           SD_JSON_BUILD_PAIR_UNSIGNED("size", l->size),
                           SD_JSON_BUILD_PAIR_VARIANT("annotations", annotations));
        return r < 0 ? error_errno(e, r, "manifest") : 0;
}

static int layer_signature_descriptor(const struct built_layer *l, sd_json_variant **ret, struct error *e)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        int r;

        verity_geometry_root_hash(&l->geometry, root_hash);
        r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_PKCS7_TYPE),
                           SD_JSON_BUILD_PAIR_STRING("digest", l->signature),
                           SD_JSON_BUILD_PAIR_UNSIGNED("size", l->signature_size),
                           SD_JSON_BUILD_PAIR("annotations",
                                              SD_JSON_BUILD_OBJECT(
                                                      SD_JSON_BUILD_PAIR_STRING(OCI_LAYER_DIGEST, l->digest),
                                                      SD_JSON_BUILD_PAIR_STRING(OCI_ROOT_HASH, root_hash))));
        return r < 0 ? error_errno(e, r, "signature manifest") : 0;
}

/* Two arrays from the image's layers: their descriptors, and those of their signatures. */
static int describe_layers(struct conversion *c, sd_json_variant *layers, const char *name,
                           sd_json_variant **ret_layers, sd_json_variant **ret_signatures,
                           sd_json_variant **ret_diff_ids, struct error *e)
{
        _cleanup_json_ sd_json_variant *all = NULL, *signatures = NULL, *ids = NULL;
        size_t n = sd_json_variant_elements(layers);
        int r;

        if (n < 1 || n > STORE_LAYERS_MAX)
                return error_set(e, -EBADMSG, "%s: 1 to %d layers expected, found %zu", name,
                                 STORE_LAYERS_MAX, n);
        for (size_t i = 0; i < n; i++) {
                _cleanup_json_ sd_json_variant *layer = NULL, *signature = NULL;
                const struct built_layer *l = NULL;

                r = get_layer(c, sd_json_variant_by_index(layers, i), name, &l, e);
                if (r >= 0)
                        r = layer_descriptor(l, &layer, e);
                if (r >= 0)
                        r = layer_signature_descriptor(l, &signature, e);
                if (r < 0)
                        return r;
                if ((r = sd_json_variant_append_array(&all, layer)) < 0 ||
                    (r = sd_json_variant_append_array(&signatures, signature)) < 0 ||
                    (r = sd_json_variant_append_arrayb(&ids, SD_JSON_BUILD_STRING(l->digest))) < 0)
                        return error_errno(e, r, "%s", name);
        }
        *ret_layers = TAKE_PTR(all);
        *ret_signatures = TAKE_PTR(signatures);
        *ret_diff_ids = TAKE_PTR(ids);
        return 0;
}

/* The configuration as it was, but for the list of layers, which names what the layers are now. */
static int convert_config(struct conversion *c, sd_json_variant *manifest, const char *name,
                          sd_json_variant *diff_ids, struct blob *ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *config = NULL, *rootfs = NULL;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *v = NULL;
        struct oci_descriptor d = {};
        int r;

        if ((r = json_object(manifest, name, "config", &v, e)) < 0 ||
            (r = oci_descriptor_parse(v, name, &d, e)) < 0 ||
            (r = oci_read_blob(c->in, &d, OCI_MANIFEST_MAX, &text, e)) < 0 ||
            (r = json_parse(d.path, text, &config, e)) < 0)
                return r;
        if (!sd_json_variant_is_object(config))
                return error_set(e, -EBADMSG, "%s: an object expected, found something else", d.path);
        r = sd_json_buildo(&rootfs, SD_JSON_BUILD_PAIR_STRING("type", "layers"),
                           SD_JSON_BUILD_PAIR_VARIANT("diff_ids", diff_ids));
        if (r >= 0)
                r = sd_json_variant_set_field(&config, "rootfs", rootfs);
        if (r < 0)
                return error_errno(e, r, "%s", d.path);
        return write_json_blob(c, config, ret, e);
}

static int add_to_index(struct conversion *c, sd_json_variant *v)
{
        sd_json_variant **bigger = reallocarray(c->index, c->n_index + 1, sizeof(*bigger));

        if (!bigger)
                return -ENOMEM;
        c->index = bigger;
        c->index[c->n_index++] = sd_json_variant_ref(v);
        return 0;
}

/* A referrer: a manifest of this artifact type whose subject is the image. */
static int add_referrer(struct conversion *c, const char *artifact_type, sd_json_variant *blobs,
                        const struct blob *image, struct error *e)
{
        _cleanup_json_ sd_json_variant *subject = NULL, *empty = NULL, *manifest = NULL, *entry = NULL;
        struct blob empty_blob = {}, blob = {};
        int r;

        r = write_blob(c, EMPTY_BLOB, strlen(EMPTY_BLOB), &empty_blob, e);
        if (r < 0)
                return r;
        if ((r = descriptor(OCI_MANIFEST_TYPE, image, &subject)) < 0 ||
            (r = descriptor(OCI_EMPTY_TYPE, &empty_blob, &empty)) < 0)
                return error_errno(e, r, "signature manifest");
        r = sd_json_buildo(&manifest, SD_JSON_BUILD_PAIR_UNSIGNED("schemaVersion", 2),
                           SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_MANIFEST_TYPE),
                           SD_JSON_BUILD_PAIR_STRING("artifactType", artifact_type),
                           SD_JSON_BUILD_PAIR_VARIANT("config", empty),
                           SD_JSON_BUILD_PAIR_VARIANT("layers", blobs),
                           SD_JSON_BUILD_PAIR_VARIANT("subject", subject));
        if (r < 0)
                return error_errno(e, r, "signature manifest");
        r = write_json_blob(c, manifest, &blob, e);
        if (r < 0)
                return r;
        r = sd_json_buildo(&entry, SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_MANIFEST_TYPE),
                           SD_JSON_BUILD_PAIR_STRING("digest", blob.digest),
                           SD_JSON_BUILD_PAIR_UNSIGNED("size", blob.size),
                           SD_JSON_BUILD_PAIR_STRING("artifactType", artifact_type));
        return r < 0 ? error_errno(e, r, "index") : add_to_index(c, entry);
}

static int sign_manifest(struct conversion *c, const char *text, const struct blob *image, struct error *e)
{
        _cleanup_json_ sd_json_variant *signature = NULL, *blobs = NULL;
        _cleanup_free_ uint8_t *der = NULL;
        struct blob blob = {};
        size_t size = 0;
        int r;

        r = trust_sign(c->o->manifest_signer, TRUST_MANIFEST, text, strlen(text), false, &der, &size, e);
        if (r >= 0)
                r = write_blob(c, der, size, &blob, e);
        if (r < 0)
                return r;
        r = descriptor(OCI_PKCS7_TYPE, &blob, &signature);
        if (r >= 0)
                r = sd_json_variant_append_array(&blobs, signature);
        return r < 0 ? error_errno(e, r, "signature manifest")
                     : add_referrer(c, OCI_MANIFEST_SIGNATURE_TYPE, blobs, image, e);
}

/* Two names of one image share their signatures. */
static bool signed_before(const struct conversion *c, const char *digest)
{
        for (size_t i = 0; i < c->n_done; i++)
                if (strcmp(c->done[i], digest) == 0)
                        return true;
        return false;
}

static int note_signed(struct conversion *c, const char *digest)
{
        char(*bigger)[72] = reallocarray(c->done, c->n_done + 1, sizeof(*bigger));

        if (!bigger)
                return -ENOMEM;
        c->done = bigger;
        memcpy(c->done[c->n_done++], digest, sizeof(*bigger));
        return 0;
}

static int add_image(struct conversion *c, const char *reference, const struct blob *image, const char *text,
                     sd_json_variant *signatures, struct error *e)
{
        _cleanup_json_ sd_json_variant *entry = NULL;
        int r;

        r = sd_json_buildo(&entry, SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_MANIFEST_TYPE),
                           SD_JSON_BUILD_PAIR_STRING("digest", image->digest),
                           SD_JSON_BUILD_PAIR_UNSIGNED("size", image->size),
                           SD_JSON_BUILD_PAIR("annotations", SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING(
                                                                     OCI_REF_NAME, reference))));
        if (r >= 0)
                r = add_to_index(c, entry);
        if (r < 0)
                return error_errno(e, r, "index");
        c->result.n_images++;
        if (signed_before(c, image->digest))
                return 0;
        r = sign_manifest(c, text, image, e);
        if (r >= 0)
                r = add_referrer(c, OCI_VERITY_SIGNATURE_TYPE, signatures, image, e);
        return r < 0 ? r : note_signed(c, image->digest);
}

static int read_manifest(const struct conversion *c, const struct oci_descriptor *d, sd_json_variant **ret,
                         struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r;

        if (strcmp(d->media_type, OCI_MANIFEST_TYPE) != 0 &&
            strcmp(d->media_type, "application/vnd.docker.distribution.manifest.v2+json") != 0)
                return error_set(e, -EBADMSG, "%s: an image manifest expected, found media type \"%.80s\"",
                                 d->path, d->media_type);
        r = oci_read_blob(c->in, d, OCI_MANIFEST_MAX, &text, e);
        return r < 0 ? r : json_parse(d->path, text, ret, e);
}

static int convert_image(struct conversion *c, const struct oci_descriptor *d, const char *reference,
                         struct error *e)
{
        _cleanup_json_ sd_json_variant *old = NULL, *new = NULL, *layers = NULL, *signatures = NULL,
                                       *diff_ids = NULL, *config = NULL;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *tars = NULL;
        struct blob config_blob = {}, image = {};
        int r;

        if ((r = read_manifest(c, d, &old, e)) < 0 ||
            (r = json_array(old, d->path, "layers", &tars, e)) < 0 ||
            (r = describe_layers(c, tars, d->path, &layers, &signatures, &diff_ids, e)) < 0 ||
            (r = convert_config(c, old, d->path, diff_ids, &config_blob, e)) < 0)
                return r;
        r = descriptor(OCI_CONFIG_TYPE, &config_blob, &config);
        if (r >= 0)
                r = sd_json_buildo(&new, SD_JSON_BUILD_PAIR_UNSIGNED("schemaVersion", 2),
                                   SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_MANIFEST_TYPE),
                                   SD_JSON_BUILD_PAIR_VARIANT("config", config),
                                   SD_JSON_BUILD_PAIR_VARIANT("layers", layers));
        if (r >= 0)
                r = sd_json_variant_format(new, 0, &text);
        if (r < 0)
                return error_errno(e, r, "manifest");
        r = write_blob(c, text, strlen(text), &image, e);
        return r < 0 ? r : add_image(c, reference, &image, text, signatures, e);
}

/* --- the layout --- */

static const char *reference_of(const struct oci_descriptor *d)
{
        sd_json_variant *v = d->annotations ? sd_json_variant_by_key(d->annotations, OCI_REF_NAME) : NULL;

        return v && sd_json_variant_is_string(v) ? sd_json_variant_string(v) : NULL;
}

static int convert_all(struct conversion *c, sd_json_variant *manifests, struct error *e)
{
        for (size_t i = 0; i < sd_json_variant_elements(manifests); i++) {
                struct oci_descriptor d = {};
                const char *reference;
                int r;

                r = oci_descriptor_parse(sd_json_variant_by_index(manifests, i), "index.json", &d, e);
                if (r < 0)
                        return r;
                reference = reference_of(&d);
                if (!reference || (c->o->tag && strcmp(reference, c->o->tag) != 0))
                        continue;
                r = convert_image(c, &d, reference, e);
                if (r < 0)
                        return error_prefix(e, r, "image %.200s", reference);
        }
        if (c->result.n_images == 0)
                return error_set(e, -ENOENT, "index.json: an image with the name %s expected, found none",
                                 c->o->tag ?: "(any)");
        c->result.n_layers = c->n_layers;
        return 0;
}

/* How many distinct layers there are to build: for the progress line only, so that what cannot be read counts
 * nothing. */
static size_t count_layers(const struct conversion *c, sd_json_variant *manifests)
{
        size_t n = 0;

        for (size_t i = 0; i < sd_json_variant_elements(manifests); i++) {
                _cleanup_json_ sd_json_variant *manifest = NULL;
                struct oci_descriptor d = {};

                if (oci_descriptor_parse(sd_json_variant_by_index(manifests, i), "index.json", &d, NULL) <
                            0 ||
                    !reference_of(&d) || (c->o->tag && strcmp(reference_of(&d), c->o->tag) != 0) ||
                    read_manifest(c, &d, &manifest, NULL) < 0)
                        continue;
                n += sd_json_variant_elements(sd_json_variant_by_key(manifest, "layers"));
        }
        return n;
}

static int write_index(const struct conversion *c, struct error *e)
{
        _cleanup_json_ sd_json_variant *manifests = NULL, *index = NULL;
        _cleanup_free_ char *text = NULL;
        static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
        char path[PATH_MAX];
        int r;

        r = sd_json_variant_new_array(&manifests, c->index, c->n_index);
        if (r >= 0)
                r = sd_json_buildo(&index, SD_JSON_BUILD_PAIR_UNSIGNED("schemaVersion", 2),
                                   SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_INDEX_TYPE),
                                   SD_JSON_BUILD_PAIR_VARIANT("manifests", manifests));
        if (r >= 0)
                r = sd_json_variant_format(index, 0, &text);
        if (r < 0)
                return error_errno(e, r, "index.json");
        if (snprintf(path, sizeof(path), "%s/index.json", c->out) >= (int)sizeof(path))
                return error_errno(e, -ENAMETOOLONG, "%s", c->out);
        r = write_file_atomic(AT_FDCWD, path, text, strlen(text), 0644, e);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), "%s/oci-layout", c->out);
        return write_file_atomic(AT_FDCWD, path, version, strlen(version), 0644, e);
}

static int convert_layout(struct conversion *c, struct error *e)
{
        _cleanup_json_ sd_json_variant *index = NULL;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *manifests = NULL;
        int r;

        if ((r = read_file(c->in, "index.json", OCI_INDEX_MAX, &text, NULL, e)) < 0 ||
            (r = json_parse("index.json", text, &index, e)) < 0 ||
            (r = json_array(index, "index.json", "manifests", &manifests, e)) < 0)
                return r;
        if (sd_json_variant_elements(manifests) > STORE_IMAGES_MAX)
                return error_set(e, -EBADMSG, "index.json: at most %d manifests expected, found more",
                                 STORE_IMAGES_MAX);
        c->n_expected = count_layers(c, manifests);
        r = convert_all(c, manifests, e);
        return r < 0 ? r : write_index(c, e);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static void remove_tree(const char *path)
{
        (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Puts the new layout in the place of the old one in one step. What stands there and is no layout is not
 * touched. */
static int publish(const char *new, const char *output, struct error *e)
{
        char marker[PATH_MAX];

        if (renameat2(AT_FDCWD, new, AT_FDCWD, output, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EEXIST)
                return error_errno(e, -errno, "%s", output);
        if (snprintf(marker, sizeof(marker), "%s/oci-layout", output) >= (int)sizeof(marker))
                return error_errno(e, -ENAMETOOLONG, "%s", output);
        if (file_exists(AT_FDCWD, marker) <= 0)
                return error_set(e, -EEXIST, "%s: an OCI layout or nothing expected, found something else",
                                 output);
        if (renameat2(AT_FDCWD, new, AT_FDCWD, output, RENAME_EXCHANGE) < 0)
                return error_errno(e, -errno, "%s", output);
        return 0;
}

static void conversion_done(struct conversion *c)
{
        for (size_t i = 0; i < c->n_index; i++)
                sd_json_variant_unref(c->index[i]);
        free(c->index);
        free(c->layers);
        free(c->done);
        (void)close_fd(c->in);
        if (c->out)
                remove_tree(c->out);
        free(c->out);
}

static int prepare_output(struct conversion *c, const char *output, struct error *e)
{
        char blobs[PATH_MAX];
        uint64_t random;

        if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
                return error_errno(e, -EIO, "%s: random name", output);
        if (asprintf(&c->out, "%s.%016" PRIx64 ".tmp", output, random) < 0) {
                c->out = NULL;
                return -ENOMEM;
        }
        if (snprintf(blobs, sizeof(blobs), "%s/blobs/sha256", c->out) >= (int)sizeof(blobs))
                return error_errno(e, -ENAMETOOLONG, "%s", output);
        return make_directories(blobs, 0755, e);
}

int build_oci(const char *source, const char *output, const struct build_oci_options *o,
              struct build_oci_result *ret, struct error *e)
{
        struct conversion c = {.o = o};
        int r;

        c.in = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = c.in < 0 ? error_errno(e, -errno, "%s", source) : prepare_output(&c, output, e);
        if (r >= 0) {
                r = convert_layout(&c, e);
                if (r < 0)
                        (void)error_prefix(e, r, "%s", source);
        }
        if (r >= 0)
                r = publish(c.out, output, e);
        if (r >= 0)
                *ret = c.result;
        conversion_done(&c);
        return r;
}
