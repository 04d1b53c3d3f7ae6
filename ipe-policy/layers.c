/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layers of OCI images by their manifests (image-spec 1.1), which may be written by anybody: names never
 * become paths, and a blob is what its digest says before it is parsed. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "ipe-policy/author.h"

#define JSON_MAX ((size_t)4 * 1024 * 1024)
#define LAYERS_MAX 65536u
#define HEX "0123456789abcdef"
#define VERITY_SIGNATURE_TYPE "application/vnd.cncf.notary.signature.dm-verity"
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"

struct reading {
        int layout; /* or -EBADF: a manifest alone */
        const struct trust_store *trust;
        struct ipe_layers *layers;
        char **signed_hashes; /* root hashes that have a signature */
        size_t n_signed;
};

void ipe_layers_done(struct ipe_layers *l)
{
        for (size_t i = 0; i < l->n; i++) {
                free(l->items[i].image);
                free(l->items[i].algorithm);
                free(l->items[i].root_hash);
        }
        free(l->items);
        *l = (struct ipe_layers){};
}

struct ipe_subject ipe_layer_subject(const struct ipe_layer *layer)
{
        return (struct ipe_subject){
                .dmverity_signature = layer->is_signed,
                .dmverity_roothash = {layer->algorithm, layer->root_hash},
        };
}

/* Reads the blob that the descriptor names, and checks it. */
static int read_blob(const struct reading *r, sd_json_variant *descriptor, char **ret, size_t *ret_size,
                     struct error *e)
{
        const char *digest = json_optional_string(descriptor, "digest");
        char path[sizeof("blobs/sha256/") + 64], hex[65];
        _cleanup_free_ char *data = NULL;
        uint8_t hash[32];
        int n;

        if (!digest || strlen(digest) != 71 || strncmp(digest, "sha256:", 7) != 0 ||
            strspn(digest + 7, HEX) != 64)
                return error_set(e, -EBADMSG,
                                 "index.json: digest \"sha256:\" and 64 digits expected, found \"%.80s\"",
                                 digest ?: "none");
        (void)stpcpy(stpcpy(path, "blobs/sha256/"), digest + 7);
        n = read_file(r->layout, path, JSON_MAX, &data, ret_size, e);
        if (n < 0)
                return n;
        if (trust_sha256(data, *ret_size, hash) < 0)
                return error_errno(e, -EIO, "SHA-256");
        hex_encode(hash, sizeof(hash), hex);
        if (strcmp(hex, digest + 7) != 0)
                return error_set(e, -EBADMSG, "%s: content with that digest expected, found sha256:%s", path,
                                 hex);
        *ret = TAKE_PTR(data);
        return 0;
}

static int read_json_blob(const struct reading *r, sd_json_variant *descriptor, sd_json_variant **ret,
                          struct error *e)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int n;

        n = read_blob(r, descriptor, &text, &size, e);
        if (n < 0)
                return n;
        return json_parse(json_optional_string(descriptor, "digest"), text, ret, e) < 0 ? -EBADMSG : 0;
}

/* --- signatures --- */

static int note_signed(struct reading *r, const char *root_hash)
{
        char **bigger;

        if (r->n_signed >= LAYERS_MAX)
                return -E2BIG;
        bigger = reallocarray(r->signed_hashes, r->n_signed + 1, sizeof(char *));
        if (!bigger)
                return -ENOMEM;
        r->signed_hashes = bigger;
        r->signed_hashes[r->n_signed] = strdup(root_hash);
        return r->signed_hashes[r->n_signed++] ? 0 : -ENOMEM;
}

/* A signature that does not verify counts as none: whoever wrote the layout may put anything there. */
static int note_signature(struct reading *r, sd_json_variant *descriptor, struct error *e)
{
        const char *root_hash = json_optional_string(sd_json_variant_by_key(descriptor, "annotations"),
                                                     "io.cncf.notary.dm-verity.root-hash");
        _cleanup_free_ char *der = NULL;
        size_t size = 0;
        int n;

        if (!root_hash)
                return 0;
        if (r->trust) {
                n = read_blob(r, descriptor, &der, &size, e);
                if (n < 0)
                        return n;
                if (trust_verify_detached(r->trust, TRUST_LAYER, root_hash, strlen(root_hash), der, size,
                                          NULL) < 0)
                        return 0;
        }
        n = note_signed(r, root_hash);
        return n < 0 ? error_errno(e, n, "signatures") : 0;
}

static int read_signatures(struct reading *r, sd_json_variant *index, struct error *e)
{
        size_t n = sd_json_variant_elements(index);
        int k = 0;

        for (size_t i = 0; i < n && k >= 0; i++) {
                sd_json_variant *entry = sd_json_variant_by_index(index, i), *layers = NULL;
                _cleanup_json_ sd_json_variant *manifest = NULL;
                const char *type = json_optional_string(entry, "artifactType");

                if (!type || strcmp(type, VERITY_SIGNATURE_TYPE) != 0)
                        continue;
                if ((k = read_json_blob(r, entry, &manifest, e)) < 0 ||
                    (k = json_array(manifest, "signature manifest", "layers", &layers, e)) < 0)
                        break;
                for (size_t j = 0; j < sd_json_variant_elements(layers) && k >= 0; j++)
                        k = note_signature(r, sd_json_variant_by_index(layers, j), e);
        }
        return k;
}

static bool is_signed(const struct reading *r, const char *root_hash)
{
        for (size_t i = 0; i < r->n_signed; i++)
                if (strcmp(r->signed_hashes[i], root_hash) == 0)
                        return true;
        return false;
}

/* --- layers --- */

static int add_layer(struct reading *r, const char *image, unsigned number, sd_json_variant *descriptor,
                     struct error *e)
{
        const char *digest = json_optional_string(sd_json_variant_by_key(descriptor, "annotations"),
                                                  "org.erofs.dmverity.root_digest");
        const char *hex = digest ? strchr(digest, ':') : NULL;
        struct ipe_layer *bigger, *l;
        char name[256];

        if (!hex || hex == digest || strlen(hex + 1) < 32 || strspn(hex + 1, HEX) != strlen(hex + 1) ||
            strspn(digest, "abcdefghijklmnopqrstuvwxyz0123456789-") != (size_t)(hex - digest))
                return error_set(
                        e, -EBADMSG,
                        "%s: layer %u: org.erofs.dmverity.root_digest as ALGORITHM:HEX expected, found "
                        "\"%.80s\"",
                        image, number, digest ?: "none");
        if (r->layers->n >= LAYERS_MAX)
                return error_set(e, -E2BIG, "%s: at most %u layers expected", image, LAYERS_MAX);
        bigger = reallocarray(r->layers->items, r->layers->n + 1, sizeof(*bigger));
        if (!bigger)
                return error_errno(e, -ENOMEM, "layers");
        r->layers->items = bigger;
        ipe_printable(image, strlen(image), name, sizeof(name));
        l = &r->layers->items[r->layers->n++];
        *l = (struct ipe_layer){
                .image = strdup(name),
                .number = number,
                .algorithm = strndup(digest, (size_t)(hex - digest)),
                .root_hash = strdup(hex + 1),
                .is_signed = is_signed(r, hex + 1),
        };
        return l->image && l->algorithm && l->root_hash ? 0 : error_errno(e, -ENOMEM, "layers");
}

static int add_manifest(struct reading *r, const char *name, sd_json_variant *manifest, struct error *e)
{
        sd_json_variant *layers = NULL;
        int k;

        k = json_array(manifest, name, "layers", &layers, e);
        if (k < 0)
                return -EBADMSG;
        for (unsigned i = 0; i < sd_json_variant_elements(layers) && k >= 0; i++)
                k = add_layer(r, name, i + 1, sd_json_variant_by_index(layers, i), e);
        return k;
}

/* Images are the manifests without an artifact type; each once, whatever names it has. */
static int add_images(struct reading *r, sd_json_variant *index, const char *only, struct error *e)
{
        size_t found = 0;
        int k = 0;

        for (size_t i = 0; i < sd_json_variant_elements(index) && k >= 0; i++) {
                sd_json_variant *entry = sd_json_variant_by_index(index, i);
                _cleanup_json_ sd_json_variant *manifest = NULL;
                const char *type = json_optional_string(entry, "mediaType");
                const char *name = json_optional_string(sd_json_variant_by_key(entry, "annotations"),
                                                        "org.opencontainers.image.ref.name");

                if (!type || strcmp(type, MANIFEST_TYPE) != 0 ||
                    json_optional_string(entry, "artifactType") ||
                    (only && (!name || strcmp(name, only) != 0)))
                        continue;
                found++;
                k = read_json_blob(r, entry, &manifest, e);
                if (k >= 0)
                        k = add_manifest(r, name ?: json_optional_string(entry, "digest"), manifest, e);
        }
        if (k >= 0 && found == 0)
                return error_set(e, -ENOENT, "index.json: an image%s%s expected, found none",
                                 only ? " named " : "", only ?: "");
        return k;
}

static int read_layout(struct reading *r, const char *path, const char *only, struct error *e)
{
        _cleanup_json_ sd_json_variant *index = NULL;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *manifests = NULL;
        int k;

        r->layout = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (r->layout < 0)
                return error_errno(e, -errno, "%s", path);
        if ((k = read_file(r->layout, "index.json", JSON_MAX, &text, NULL, e)) < 0)
                return k;
        if (json_parse("index.json", text, &index, e) < 0 ||
            json_array(index, "index.json", "manifests", &manifests, e) < 0)
                return -EBADMSG;
        k = read_signatures(r, manifests, e);
        return k < 0 ? k : add_images(r, manifests, only, e);
}

static int read_manifest(struct reading *r, const char *path, struct error *e)
{
        _cleanup_json_ sd_json_variant *manifest = NULL;
        _cleanup_free_ char *text = NULL;
        int k;

        k = read_file(AT_FDCWD, path, JSON_MAX, &text, NULL, e);
        if (k < 0)
                return k;
        if (json_parse(path, text, &manifest, e) < 0)
                return -EBADMSG;
        return add_manifest(r, path, manifest, e);
}

static bool is_directory(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* DIRECTORY, DIRECTORY:NAME, or a file. */
static int read_any(struct reading *r, const char *path, struct error *e)
{
        struct stat st;
        const char *colon;

        if (is_directory(path))
                return read_layout(r, path, NULL, e);
        if (stat(path, &st) == 0)
                return read_manifest(r, path, e);
        for (colon = strchr(path, ':'); colon; colon = strchr(colon + 1, ':')) {
                _cleanup_free_ char *directory = strndup(path, (size_t)(colon - path));

                if (directory && is_directory(directory))
                        return error_prefix(e, read_layout(r, directory, colon + 1, e), "%s", directory);
        }
        return error_errno(e, -ENOENT, "%s", path);
}

int ipe_layers_read(const char *path, const struct trust_store *trust, struct ipe_layers *layers,
                    struct error *e)
{
        struct reading r = {.layout = -EBADF, .trust = trust, .layers = layers};
        int k = read_any(&r, path, e);

        (void)close_fd(r.layout);
        for (size_t i = 0; i < r.n_signed; i++)
                free(r.signed_hashes[i]);
        free(r.signed_hashes);
        return k;
}
