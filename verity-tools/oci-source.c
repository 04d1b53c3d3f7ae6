/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "oci-source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "image-archive.h"
#include "output.h"
#include "registry.h"

#define INDEX_DEPTH_MAX 3
#define DOCKER_PREFIX "docker-archive:"
#define OCI_PREFIX "oci-archive:"

struct oci_source {
        struct registry *registry; /* or NULL: the layout */
        int layout_fd;
        struct layout *unpacked; /* what layout_fd is of, if it was an archive */
        char *name;              /* of the image in the registry; base name of the layout */
        char *manifest_name;     /* tag or digest in the registry; tag in the layout, or NULL for all */
        char *scratch;
        char os[32], architecture[32], variant[32]; /* variant "": any */
};

struct oci_source *oci_source_free(struct oci_source *s)
{
        if (!s)
                return NULL;
        registry_free(s->registry);
        (void)close_fd(s->layout_fd);
        layout_free(s->unpacked);
        free(s->name);
        free(s->manifest_name);
        free(s->scratch);
        free(s);
        return NULL;
}

void oci_images_free(struct oci_image *images, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                free(images[i].reference);
                free(images[i].layers);
                sd_json_variant_unref(images[i].manifest);
        }
        free(images);
}

/* --- platforms --- */

/* Go's names for what uname calls otherwise. */
static const char *architecture_of(const char *machine)
{
        static const char *const names[][2] = {
                {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"}, {"i686", "386"}};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(machine, names[i][0]) == 0)
                        return names[i][1];
        return machine;
}

static int set_platform(struct oci_source *s, const char *platform, struct error *e)
{
        char text[96], *rest = text, *os, *architecture, *variant;
        struct utsname u;

        if (!platform) {
                (void)uname(&u);
                (void)snprintf(s->os, sizeof(s->os), "linux");
                (void)snprintf(s->architecture, sizeof(s->architecture), "%.31s", architecture_of(u.machine));
                return 0;
        }
        (void)snprintf(text, sizeof(text), "%s", platform);
        os = strsep(&rest, "/");
        architecture = strsep(&rest, "/");
        variant = rest;
        if (!architecture || strlen(platform) >= sizeof(text) || os[0] == '\0' || architecture[0] == '\0' ||
            strlen(os) >= sizeof(s->os) || strlen(architecture) >= sizeof(s->architecture) ||
            (variant && (strlen(variant) >= sizeof(s->variant) || strchr(variant, '/'))))
                return error_set(e, -EINVAL,
                                 "--platform: OS/ARCHITECTURE[/VARIANT] expected, found \"%.80s\"", platform);
        (void)stpcpy(s->os, os);
        (void)stpcpy(s->architecture, architecture);
        (void)stpcpy(s->variant, variant ?: "");
        return 0;
}

static bool field_is(sd_json_variant *object, const char *field, const char *value)
{
        const char *found = json_optional_string(object, field);

        return found && strcmp(found, value) == 0;
}

/* An entry without a platform is for any; what builders attach to images is for "unknown". */
static bool fits_platform(const struct oci_source *s, sd_json_variant *entry)
{
        sd_json_variant *p = sd_json_variant_by_key(entry, "platform");

        if (!p || !sd_json_variant_is_object(p))
                return true;
        return field_is(p, "os", s->os) && field_is(p, "architecture", s->architecture) &&
               (s->variant[0] == '\0' || field_is(p, "variant", s->variant));
}

/* --- opening --- */

static int open_registry(struct oci_source *s, const char *name, const struct registry_options *o,
                         struct error *e)
{
        struct registry_reference reference = {};
        int r;

        r = registry_reference_parse(name, &reference, e);
        if (r >= 0)
                r = registry_open(&reference, o, &s->registry, e);
        if (r < 0)
                return r;
        s->name = strndup(name, strcspn(name, "@"));
        s->manifest_name = strdup(reference.digest[0] ? reference.digest : reference.tag);
        return s->name && s->manifest_name ? 0 : -ENOMEM;
}

static int open_layout(struct oci_source *s, const char *path, struct error *e)
{
        s->layout_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return s->layout_fd < 0 ? error_errno(e, -errno, "%s", path) : 0;
}

typedef int (*import_t)(const char *path, struct layout *l, struct error *e);

/* What Docker 25 and later write is both; its names of images are those of manifest.json. */
static int import_either(const char *path, struct layout *l, struct error *e)
{
        int r = docker_archive_import(path, l, e);

        if (r != -ENOMSG)
                return r;
        r = oci_archive_import(path, l, e);
        return r == -ENOMSG ? error_set(e, r, "%s: manifest.json or index.json expected in the archive", path)
                            : r;
}

static int open_archive(struct oci_source *s, const char *path, import_t import, struct error *e)
{
        int r;

        r = layout_new(s->scratch, &s->unpacked, e);
        if (r >= 0)
                r = import(path, s->unpacked, e);
        if (r == -ENOMSG)
                return -EBADMSG;
        return r < 0 ? r : open_layout(s, layout_path(s->unpacked), e);
}

/* PATH or PATH:TAG; what is there by the whole name has no tag. import: NULL for a layout, or an archive of
 * any kind. */
static int open_path(struct oci_source *s, const char *operand, import_t import, struct error *e)
{
        _cleanup_free_ char *path = NULL;
        const char *colon = NULL, *base;
        struct stat st;
        int r = file_exists(AT_FDCWD, operand);

        if (r < 0)
                return error_errno(e, r, "%s", operand);
        if (r == 0)
                colon = strchr(operand, ':');
        path = colon ? strndup(operand, (size_t)(colon - operand)) : strdup(operand);
        s->manifest_name = colon ? strdup(colon + 1) : NULL;
        if (!path || (colon && !s->manifest_name))
                return -ENOMEM;
        base = strrchr(path, '/');
        s->name = strdup(base && base[1] ? base + 1 : path);
        if (!s->name)
                return -ENOMEM;
        if (stat(path, &st) < 0)
                return error_errno(e, -errno, "%s", path);
        if (!import && !S_ISDIR(st.st_mode))
                import = import_either;
        return import ? open_archive(s, path, import, e) : open_layout(s, path, e);
}

int oci_source_open(const char *operand, const struct oci_source_options *o, struct oci_source **ret,
                    struct error *e)
{
        _cleanup_(oci_source_free_ptr) struct oci_source *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->layout_fd = -EBADF;
        s->scratch = strdup(o->scratch);
        if (!s->scratch)
                return -ENOMEM;
        r = set_platform(s, o->platform, e);
        if (r < 0)
                return r;
        if (strncmp(operand, OCI_REGISTRY_PREFIX, strlen(OCI_REGISTRY_PREFIX)) == 0)
                r = open_registry(s, operand + strlen(OCI_REGISTRY_PREFIX), &o->registry, e);
        else if (strncmp(operand, DOCKER_PREFIX, strlen(DOCKER_PREFIX)) == 0)
                r = open_path(s, operand + strlen(DOCKER_PREFIX), docker_archive_import, e);
        else if (strncmp(operand, OCI_PREFIX, strlen(OCI_PREFIX)) == 0)
                r = open_path(s, operand + strlen(OCI_PREFIX), oci_archive_import, e);
        else
                r = open_path(s, operand, NULL, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

bool oci_source_watch(const struct oci_source *s, void (*received)(void *userdata, size_t size),
                      void *userdata)
{
        if (s->registry)
                registry_watch(s->registry, received, userdata);
        return s->registry != NULL;
}

void oci_source_stop(const struct oci_source *s)
{
        if (s->registry)
                registry_stop(s->registry);
}

/* --- blobs --- */

/* A file that is gone when it is closed. */
static int scratch_file(const struct oci_source *s, int *ret_fd, struct error *e)
{
        _cleanup_(output_done) struct output o = OUTPUT_NONE;
        int r = output_begin(s->scratch, &o, e);

        if (r >= 0)
                *ret_fd = TAKE_FD(o.fd);
        return r;
}

int oci_source_open_blob(const struct oci_source *s, const struct oci_descriptor *d, int *ret_fd,
                         struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        uint64_t size = 0;
        int r;

        if (s->registry) {
                r = scratch_file(s, &fd, e);
                if (r >= 0)
                        r = registry_get_blob(s->registry, d, fd, e);
        } else {
                r = oci_open(s->layout_fd, d->path, &fd, &size, e);
                if (r >= 0 && size != d->size)
                        r = error_set(e, -EBADMSG, "%s: %" PRIu64 " bytes expected, found %" PRIu64, d->path,
                                      d->size, size);
        }
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int oci_source_read(const struct oci_source *s, const struct oci_descriptor *d, size_t max, char **ret,
                    struct error *e)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!s->registry)
                return oci_read_blob(s->layout_fd, d, max, ret, e);
        if (d->size > max)
                return error_set(e, -EBADMSG, "%s: at most %zu bytes expected, found %" PRIu64, d->digest,
                                 max, d->size);
        r = oci_source_open_blob(s, d, &fd, e);
        if (r < 0)
                return r;
        text = malloc((size_t)d->size + 1);
        if (!text)
                return -ENOMEM;
        r = pread_full(fd, text, (size_t)d->size, 0);
        if (r < 0)
                return error_errno(e, r, "%s", d->digest);
        text[d->size] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

/* --- images --- */

static bool is_index(const char *media_type)
{
        return strcmp(media_type, OCI_INDEX_TYPE) == 0 || strcmp(media_type, DOCKER_INDEX_TYPE) == 0;
}

static bool is_manifest(const char *media_type)
{
        return strcmp(media_type, OCI_MANIFEST_TYPE) == 0 || strcmp(media_type, DOCKER_MANIFEST_TYPE) == 0;
}

/* The document that a descriptor in an index names. In a registry these are manifests, not blobs. */
static int read_document(const struct oci_source *s, const struct oci_descriptor *d, char **ret,
                         struct error *e)
{
        struct registry_document document = {};
        int r;

        if (!s->registry)
                return oci_read_blob(s->layout_fd, d, OCI_MANIFEST_MAX, ret, e);
        r = registry_get_manifest(s->registry, d->digest, &document, e);
        if (r < 0)
                return r;
        *ret = document.text;
        if (document.size != d->size)
                return error_set(e, -EBADMSG, "%s: %" PRIu64 " bytes expected, found %zu", d->digest, d->size,
                                 document.size);
        return 0;
}

/* The entry of an index that is for our platform. */
static int choose(const struct oci_source *s, sd_json_variant *index, const char *name,
                  struct oci_descriptor *ret, struct error *e)
{
        sd_json_variant *manifests = NULL;
        int r;

        r = json_array(index, name, "manifests", &manifests, e);
        if (r < 0)
                return -EBADMSG;
        if (sd_json_variant_elements(manifests) > STORE_IMAGES_MAX)
                return error_set(e, -EBADMSG, "%s: at most %d manifests expected, found more", name,
                                 STORE_IMAGES_MAX);
        for (size_t i = 0; i < sd_json_variant_elements(manifests); i++) {
                sd_json_variant *v = sd_json_variant_by_index(manifests, i);

                if (sd_json_variant_is_object(v) && sd_json_variant_by_key(v, "platform") &&
                    fits_platform(s, v))
                        return oci_descriptor_parse(v, name, ret, e);
        }
        return error_set(e, -ENOENT, "%s: an image for %s/%s%s%s expected, found none (--platform=)", name,
                         s->os, s->architecture, s->variant[0] ? "/" : "", s->variant);
}

/* Takes the document that is the image so far; if it is an index, *ret_next is what it leads to. */
static int take_document(const struct oci_source *s, const char *text, const char *media_type,
                         struct oci_image *image, struct oci_descriptor *ret_next, struct error *e)
{
        _cleanup_json_ sd_json_variant *before = NULL; /* of which the media type may be a part */
        sd_json_variant *v = NULL;
        int r;

        r = json_parse(image->digest, text, &v, e);
        if (r < 0)
                return -EBADMSG;
        before = image->manifest;
        image->manifest = v;
        if (is_manifest(media_type)) {
                image->size = strlen(text);
                image->media_type =
                        strcmp(media_type, OCI_MANIFEST_TYPE) == 0 ? OCI_MANIFEST_TYPE : DOCKER_MANIFEST_TYPE;
                return 0;
        }
        if (!is_index(media_type))
                return error_set(e, -EBADMSG, "%s: an image manifest expected, found media type \"%.80s\"",
                                 image->digest, media_type);
        return choose(s, v, image->digest, ret_next, e);
}

/* Follows indexes down to the manifest for our platform. */
static int resolve(const struct oci_source *s, const char *text, const char *media_type,
                   struct oci_image *image, struct error *e)
{
        struct oci_descriptor d = {};
        int r;

        r = take_document(s, text, media_type, image, &d, e);
        for (unsigned depth = 0; r >= 0 && d.digest[0] != '\0'; depth++) {
                _cleanup_free_ char *next = NULL;
                struct oci_descriptor at = d;

                if (depth >= INDEX_DEPTH_MAX)
                        return error_set(e, -EBADMSG, "%s: at most %d indexes below each other expected",
                                         image->digest, INDEX_DEPTH_MAX);
                memcpy(image->digest, at.digest, sizeof(image->digest));
                d = (struct oci_descriptor){};
                r = read_document(s, &at, &next, e);
                if (r >= 0)
                        r = take_document(s, next, at.media_type, image, &d, e);
        }
        return r;
}

static int registry_image(const struct oci_source *s, struct oci_image *image, struct error *e)
{
        _cleanup_(registry_document_done) struct registry_document d = {};
        int r;

        r = registry_get_manifest(s->registry, s->manifest_name, &d, e);
        if (r < 0)
                return r;
        image->reference = strdup(s->name);
        if (!image->reference)
                return -ENOMEM;
        memcpy(image->digest, d.digest, sizeof(image->digest));
        return resolve(s, d.text, d.media_type, image, e);
}

static int layout_image(const struct oci_source *s, const struct oci_descriptor *d, const char *reference,
                        struct oci_image *image, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r;

        image->reference = strdup(reference);
        if (!image->reference)
                return -ENOMEM;
        memcpy(image->digest, d->digest, sizeof(image->digest));
        r = read_document(s, d, &text, e);
        if (r >= 0)
                r = resolve(s, text, d->media_type, image, e);
        return r < 0 ? error_prefix(e, r, "image %.200s", reference) : 0;
}

/* Entries with a name, or the only one there is. */
static int layout_images(const struct oci_source *s, sd_json_variant *manifests, struct oci_image *images,
                         size_t *n, struct error *e)
{
        size_t entries = sd_json_variant_elements(manifests);

        for (size_t i = 0; i < entries; i++) {
                sd_json_variant *v = sd_json_variant_by_index(manifests, i);
                struct oci_descriptor d = {};
                const char *reference;
                int r;

                r = oci_descriptor_parse(v, "index.json", &d, e);
                if (r < 0)
                        return r;
                reference = json_optional_string(d.annotations, OCI_REF_NAME)
                                    ?: entries == 1 && !s->manifest_name ? s->name
                                                                         : NULL;
                if (!reference || (s->manifest_name && strcmp(reference, s->manifest_name) != 0) ||
                    (entries > 1 && !fits_platform(s, v)))
                        continue;
                r = layout_image(s, &d, reference, &images[(*n)++], e);
                if (r < 0)
                        return r;
        }
        if (*n == 0)
                return error_set(e, -ENOENT, "index.json: an image with the name %s expected, found none",
                                 s->manifest_name ?: "(any)");
        return 0;
}

static int read_index(const struct oci_source *s, sd_json_variant **ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r;

        r = oci_read_file(s->layout_fd, "index.json", OCI_INDEX_MAX, &text, e);
        if (r < 0)
                return r;
        return json_parse("index.json", text, ret, e) < 0 ? -EBADMSG : 0;
}

int oci_source_images(const struct oci_source *s, struct oci_image **ret, size_t *ret_n, struct error *e)
{
        _cleanup_json_ sd_json_variant *index = NULL;
        sd_json_variant *manifests = NULL;
        struct oci_image *images;
        size_t n = 0, max = 1;
        int r = 0;

        if (!s->registry) {
                r = read_index(s, &index, e);
                if (r < 0)
                        return r;
                if (json_array(index, "index.json", "manifests", &manifests, e) < 0)
                        return -EBADMSG;
                max = sd_json_variant_elements(manifests);
                if (max > STORE_IMAGES_MAX)
                        return error_set(e, -EBADMSG, "index.json: at most %d manifests expected, found more",
                                         STORE_IMAGES_MAX);
        }
        images = calloc(max + 1, sizeof(*images));
        if (!images)
                return -ENOMEM;
        r = s->registry ? registry_image(s, &images[n++], e) : layout_images(s, manifests, images, &n, e);
        if (r < 0) {
                oci_images_free(images, n);
                return r;
        }
        *ret = images;
        *ret_n = n;
        return 0;
}
