/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OCI image layouts (image-spec 1.1: image-layout.md, descriptor.md, manifest.md, config.md). Whatever is in
 * one may be written by an enemy: names never become paths, sizes are compared, digests are checked before
 * anything is parsed. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/hex.h"
#include "internal.h"

#define STRINGS_MAX 4096

int oci_descriptor_parse(sd_json_variant *v, const char *name, struct oci_descriptor *ret, struct error *e)
{
        struct oci_descriptor d = {};
        const char *digest = NULL;

        if (!sd_json_variant_is_object(v))
                return error_set(e, -EBADMSG, "%s: a descriptor expected, found something else", name);
        if (json_string(v, name, "mediaType", &d.media_type, e) < 0 ||
            json_string(v, name, "digest", &digest, e) < 0 ||
            json_unsigned(v, name, "size", INT64_MAX, &d.size, e) < 0)
                return -EBADMSG;
        if (strlen(digest) != 71 || strncmp(digest, "sha256:", 7) != 0 ||
            strspn(digest + 7, "0123456789abcdef") != 64)
                return error_set(
                        e, -EBADMSG,
                        "%s: digest \"sha256:\" and 64 lower-case hex digits expected, found \"%.80s\"", name,
                        digest);
        (void)stpcpy(d.digest, digest);
        (void)stpcpy(stpcpy(d.path, "blobs/sha256/"), digest + 7);
        d.annotations = sd_json_variant_by_key(v, "annotations");
        if (d.annotations && !sd_json_variant_is_object(d.annotations))
                return error_set(e, -EBADMSG,
                                 "%s: field \"annotations\": an object expected, found something else", name);
        *ret = d;
        return 0;
}

int oci_open(int layout_fd, const char *path, int *ret_fd, uint64_t *ret_size, struct error *e)
{
        struct open_how how = {
                .flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };
        _cleanup_close_ int fd = (int)syscall(SYS_openat2, layout_fd, path, &how, sizeof(how));
        struct stat st;

        if (fd < 0)
                return error_errno(e, -errno, "%s", path);
        if (fstat(fd, &st) < 0)
                return error_errno(e, -errno, "%s", path);
        if (!S_ISREG(st.st_mode))
                return error_set(e, -EBADMSG, "%s: a regular file expected, found something else", path);
        *ret_fd = TAKE_FD(fd);
        *ret_size = (uint64_t)st.st_size;
        return 0;
}

int oci_read_file(int layout_fd, const char *path, size_t max, char **ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -EBADF;
        uint64_t size = 0;
        int r;

        r = oci_open(layout_fd, path, &fd, &size, e);
        if (r < 0)
                return r;
        if (size > max)
                return error_set(e, -EBADMSG, "%s: at most %zu bytes expected, found %" PRIu64, path, max,
                                 size);
        text = calloc(1, (size_t)size + 1);
        if (!text)
                return -ENOMEM;
        r = pread_full(fd, text, (size_t)size, 0);
        if (r < 0)
                return error_errno(e, r, "%s", path);
        *ret = TAKE_PTR(text);
        return 0;
}

int oci_check_blob(const struct oci_descriptor *d, uint64_t size, const uint8_t hash[static 32],
                   struct error *e)
{
        char hex[65];

        if (size != d->size)
                return error_set(e, -EBADMSG, "%s: %" PRIu64 " bytes expected, found %" PRIu64, d->path,
                                 d->size, size);
        hex_encode(hash, 32, hex);
        if (strcmp(hex, d->digest + strlen("sha256:")) != 0)
                return error_set(e, -EBADMSG, "%s: content with that digest expected, found sha256:%s",
                                 d->path, hex);
        return 0;
}

int oci_read_blob(int layout_fd, const struct oci_descriptor *d, size_t max, char **ret, struct error *e)
{
        _cleanup_free_ char *data = NULL;
        _cleanup_close_ int fd = -EBADF;
        uint8_t found[32];
        uint64_t size = 0;
        int r;

        r = oci_open(layout_fd, d->path, &fd, &size, e);
        if (r < 0)
                return r;
        if (size != d->size)
                return error_set(e, -EBADMSG, "%s: %" PRIu64 " bytes expected, found %" PRIu64, d->path,
                                 d->size, size);
        if (size > max)
                return error_set(e, -EBADMSG, "%s: at most %zu bytes expected, found %" PRIu64, d->path, max,
                                 size);
        data = malloc((size_t)size + 1);
        if (!data)
                return -ENOMEM;
        r = pread_full(fd, data, (size_t)size, 0);
        if (r >= 0)
                r = trust_sha256(data, (size_t)size, found);
        if (r < 0)
                return error_errno(e, r, "%s", d->path);
        r = oci_check_blob(d, size, found, e);
        if (r < 0)
                return r;
        data[size] = '\0';
        *ret = TAKE_PTR(data);
        return 0;
}

/* A layer's geometry lies inside its blob: data, then superblock and tree to the end. */
static int check_layer_extent(const struct store_layer *l, const char *name, struct error *e)
{
        const struct verity_geometry *g = &l->geometry;
        uint64_t end = verity_tree_offset(g) + verity_tree_size(g);

        if (verity_data_size(g) > g->hash_offset)
                return error_set(e, -EBADMSG,
                                 "%s: data of at most %" PRIu64 " bytes expected, found %" PRIu64, name,
                                 g->hash_offset, verity_data_size(g));
        if (end != l->size)
                return error_set(e, -EBADMSG,
                                 "%s: a blob of %" PRIu64 " bytes expected by its geometry, found %" PRIu64,
                                 name, end, l->size);
        return 0;
}

static int parse_layer(sd_json_variant *v, const char *name, struct store_layer *l, struct error *e)
{
        struct oci_descriptor d = {.media_type = ""};
        int r;

        r = oci_descriptor_parse(v, name, &d, e);
        if (r < 0)
                return r;
        if (strcmp(d.media_type, OCI_EROFS_TYPE) != 0)
                return error_set(e, -EBADMSG, "%s: media type %s expected, found \"%.80s\"", name,
                                 OCI_EROFS_TYPE, d.media_type);
        if (!d.annotations)
                return error_set(e, -EBADMSG, "%s: annotations with the verity geometry expected, found none",
                                 name);
        r = verity_geometry_from_annotations(d.annotations, name, &l->geometry, e);
        if (r < 0)
                return -EBADMSG;
        memcpy(l->digest, d.digest, sizeof(l->digest));
        memcpy(l->path, d.path, sizeof(l->path));
        l->size = d.size;
        return check_layer_extent(l, name, e);
}

static int parse_layers(sd_json_variant *layers, const char *name, struct store_image *image, struct error *e)
{
        size_t n = sd_json_variant_elements(layers);
        char layer_name[256];
        int r;

        if (n < 1 || n > STORE_LAYERS_MAX)
                return error_set(e, -EBADMSG, "%s: 1 to %d layers expected, found %zu", name,
                                 STORE_LAYERS_MAX, n);
        image->layers = calloc(n, sizeof(*image->layers));
        if (!image->layers)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                (void)snprintf(layer_name, sizeof(layer_name), "%s: layer %zu", name, i);
                r = parse_layer(sd_json_variant_by_index(layers, i), layer_name, &image->layers[i], e);
                if (r < 0)
                        return r;
                image->n_layers++;
        }
        return 0;
}

int oci_parse_manifest(sd_json_variant *manifest, const char *name, struct store_image *image,
                       struct oci_descriptor *ret_config, struct error *e)
{
        sd_json_variant *config = NULL, *layers = NULL;
        const char *type = NULL;
        uint64_t version = 0;
        int r;

        if (json_unsigned(manifest, name, "schemaVersion", UINT32_MAX, &version, e) < 0 ||
            json_string(manifest, name, "mediaType", &type, e) < 0 ||
            json_object(manifest, name, "config", &config, e) < 0 ||
            json_array(manifest, name, "layers", &layers, e) < 0)
                return -EBADMSG;
        if (version != 2 || strcmp(type, OCI_MANIFEST_TYPE) != 0)
                return error_set(e, -EBADMSG,
                                 "%s: %s of version 2 expected, found \"%.80s\" of version %" PRIu64, name,
                                 OCI_MANIFEST_TYPE, type, version);
        r = oci_descriptor_parse(config, name, ret_config, e);
        if (r < 0)
                return r;
        if (strcmp(ret_config->media_type, OCI_CONFIG_TYPE) != 0)
                return error_set(e, -EBADMSG, "%s: config: media type %s expected, found \"%.80s\"", name,
                                 OCI_CONFIG_TYPE, ret_config->media_type);
        return parse_layers(layers, name, image, e);
}

/* An optional array of strings; absent and null are the empty one. */
static int parse_strings(sd_json_variant *config, const char *name, const char *field, char ***ret,
                         struct error *e)
{
        sd_json_variant *v = config ? sd_json_variant_by_key(config, field) : NULL;
        size_t n = 0;
        char **strings;

        if (v && !sd_json_variant_is_null(v)) {
                if (!sd_json_variant_is_array(v) || sd_json_variant_elements(v) > STRINGS_MAX)
                        return error_set(e, -EBADMSG,
                                         "%s: field \"%s\": an array of at most %d strings expected", name,
                                         field, STRINGS_MAX);
                n = sd_json_variant_elements(v);
        }
        strings = calloc(n + 1, sizeof(*strings));
        if (!strings)
                return -ENOMEM;
        *ret = strings;
        for (size_t i = 0; i < n; i++) {
                sd_json_variant *item = sd_json_variant_by_index(v, i);

                if (!sd_json_variant_is_string(item))
                        return error_set(e, -EBADMSG,
                                         "%s: field \"%s\": strings expected, found something else", name,
                                         field);
                strings[i] = strdup(sd_json_variant_string(item));
                if (!strings[i])
                        return -ENOMEM;
        }
        return 0;
}

static int parse_text(sd_json_variant *config, const char *name, const char *field, char **ret,
                      struct error *e)
{
        sd_json_variant *v = config ? sd_json_variant_by_key(config, field) : NULL;

        if (v && !sd_json_variant_is_null(v) && !sd_json_variant_is_string(v))
                return error_set(e, -EBADMSG, "%s: field \"%s\": a string expected, found something else",
                                 name, field);
        *ret = strdup(v && sd_json_variant_is_string(v) ? sd_json_variant_string(v) : "");
        return *ret ? 0 : -ENOMEM;
}

int oci_parse_config(sd_json_variant *root, const char *name, struct store_image *image, struct error *e)
{
        sd_json_variant *config = sd_json_variant_by_key(root, "config");
        const char *os = NULL;
        int r;

        if (json_string(root, name, "os", &os, e) < 0)
                return -EBADMSG;
        if (strcmp(os, "linux") != 0)
                return error_set(e, -EBADMSG, "%s: os \"linux\" expected, found \"%.40s\"", name, os);
        if (config && sd_json_variant_is_null(config))
                config = NULL;
        if (config && !sd_json_variant_is_object(config))
                return error_set(e, -EBADMSG,
                                 "%s: field \"config\": an object expected, found something else", name);
        if ((r = parse_strings(config, name, "Entrypoint", &image->entrypoint, e)) < 0 ||
            (r = parse_strings(config, name, "Cmd", &image->cmd, e)) < 0 ||
            (r = parse_strings(config, name, "Env", &image->env, e)) < 0 ||
            (r = parse_text(config, name, "User", &image->user, e)) < 0 ||
            (r = parse_text(config, name, "WorkingDir", &image->workdir, e)) < 0)
                return r;
        return 0;
}

void oci_free_strings(char **strings)
{
        for (char **s = strings; s && *s; s++)
                free(*s);
        free(strings);
}
