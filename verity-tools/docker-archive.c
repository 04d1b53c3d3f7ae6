/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `docker save` writes: a tar with manifest.json, configurations and layers, in the old form
 * (ID/layer.tar) and the new one (blobs/sha256/HEX). Names in it are compared and never become paths. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "layout.h"
#include "oci-source.h"

#define ENTRIES_MAX 100000u
#define MEMBERS_MAX 8192u
#define BLOCK ((size_t)64 * 1024)
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar"

DEFINE_CLEANUP(struct archive *, archive_read_free)

/* --- the tar --- */

/* A file of the archive that an image needs, and the blob that became of it. */
struct member {
        char *name;
        char *target; /* of a symbolic link: the name it stands for; else NULL */
        struct oci_blob blob;
        bool wanted;
};

struct import {
        const char *path;
        struct layout *layout;
        struct member *members;
        size_t n, allocated;
        char *manifest; /* text of manifest.json */
};

static void import_done(struct import *i)
{
        for (size_t k = 0; k < i->n; k++) {
                free(i->members[k].name);
                free(i->members[k].target);
        }
        free(i->members);
        free(i->manifest);
}

/* The name as manifest.json writes it. */
static const char *plain(const char *name)
{
        while (strncmp(name, "./", 2) == 0)
                name += 2;
        return name;
}

static struct member *find_member(const struct import *i, const char *name)
{
        for (size_t k = 0; k < i->n; k++)
                if (strcmp(i->members[k].name, name) == 0)
                        return &i->members[k];
        return NULL;
}

/* Calls `entry` for each entry of the archive. */
static int walk(struct import *i,
                int (*entry)(struct import *, struct archive *, struct archive_entry *, struct error *),
                struct error *e)
{
        _cleanup_(archive_read_free_ptr) struct archive *a = archive_read_new();
        struct archive_entry *h = NULL;
        int k, r = 0;

        if (!a)
                return -ENOMEM;
        (void)archive_read_support_filter_gzip(a);
        (void)archive_read_support_filter_bzip2(a);
        (void)archive_read_support_filter_xz(a);
        (void)archive_read_support_filter_zstd(a);
        (void)archive_read_support_format_tar(a);
        if (archive_read_open_filename(a, i->path, BLOCK) != ARCHIVE_OK)
                return error_set(e, -EBADMSG, "%s", archive_error_string(a));
        for (unsigned n = 0; r >= 0; n++) {
                k = archive_read_next_header(a, &h);
                if (k == ARCHIVE_EOF)
                        return 0;
                if (k != ARCHIVE_OK)
                        return error_set(e, -EBADMSG, "at %" PRId64 ": %s", archive_filter_bytes(a, 0),
                                         archive_error_string(a) ?: "a tar expected");
                if (n >= ENTRIES_MAX)
                        return error_set(e, -E2BIG, "at most %u entries expected, found more", ENTRIES_MAX);
                if (archive_entry_pathname(h))
                        r = entry(i, a, h, e);
        }
        return r;
}

/* Reads an entry's data piece by piece; the tar's own size bounds it, since no hole is taken. */
static int copy_data(struct archive *a, const char *name, int fd, struct error *e)
{
        const void *data = NULL;
        size_t size = 0;
        int64_t offset = 0, written = 0;

        for (;;) {
                int k = archive_read_data_block(a, &data, &size, &offset), r;

                if (k == ARCHIVE_EOF)
                        return 0;
                if (k != ARCHIVE_OK)
                        return error_set(e, -EBADMSG, "%s: at %" PRId64 ": %s", name,
                                         archive_filter_bytes(a, 0), archive_error_string(a) ?: "damaged");
                if (offset != written)
                        return error_set(e, -EBADMSG,
                                         "%s: a file without holes expected, found one at %" PRId64, name,
                                         written);
                if ((uint64_t)offset + size > BUILD_INPUT_MAX)
                        return error_set(e, -E2BIG, "%s: at most %" PRIu64 " bytes expected, found more",
                                         name, BUILD_INPUT_MAX);
                r = pwrite_full(fd, data, size, (uint64_t)offset);
                if (r < 0)
                        return error_errno(e, r, "%s", name);
                written += (int64_t)size;
        }
}

/* ID/layer.tar -> ../OTHER/layer.tar: the name without the steps. NULL if it leaves the archive. */
static char *resolve_link(const char *name, const char *link)
{
        const char *slash = strrchr(name, '/');
        size_t n = slash ? (size_t)(slash - name) : 0; /* length of the directory */
        char *ret = NULL;

        while (strncmp(link, "../", 3) == 0) {
                if (n == 0)
                        return NULL;
                while (n > 0 && name[n - 1] != '/')
                        n--;
                n -= n > 0; /* the slash */
                link += 3;
        }
        if (link[0] == '/' || strstr(link, "../") ||
            asprintf(&ret, "%.*s%s%s", (int)n, name, n ? "/" : "", link) < 0)
                return NULL;
        return ret;
}

static int add_member(struct import *i, const char *name, char *target, struct error *e)
{
        struct member m = {.target = target};

        if (i->n >= MEMBERS_MAX)
                return error_set(e, -E2BIG, "at most %u files and links expected, found more", MEMBERS_MAX);
        if (i->n == i->allocated) {
                size_t allocated = i->allocated ? 2 * i->allocated : 64;
                struct member *bigger = reallocarray(i->members, allocated, sizeof(*bigger));

                if (!bigger)
                        return -ENOMEM;
                i->members = bigger;
                i->allocated = allocated;
        }
        m.name = strdup(name);
        if (!m.name)
                return -ENOMEM;
        i->members[i->n++] = m;
        return 0;
}

/* First walk: manifest.json, and the links. */
static int note_entry(struct import *i, struct archive *a, struct archive_entry *h, struct error *e)
{
        const char *name = plain(archive_entry_pathname(h)), *link = archive_entry_symlink(h);
        int64_t size = archive_entry_size(h);
        char *target;
        ssize_t n;
        int r;

        if (link && strlen(name) <= DOCKER_NAME_MAX) {
                target = resolve_link(name, link);
                r = target ? add_member(i, name, target, e) : 0;
                if (r < 0)
                        free(target);
                return r;
        }
        if (strcmp(name, "manifest.json") != 0)
                return 0;
        if (i->manifest)
                return error_set(e, -EBADMSG, "manifest.json once expected, found it again");
        if (archive_entry_filetype(h) != AE_IFREG || size < 0 || (uint64_t)size > OCI_MANIFEST_MAX)
                return error_set(e, -EBADMSG, "manifest.json: a file of at most %zu bytes expected",
                                 OCI_MANIFEST_MAX);
        i->manifest = calloc(1, (size_t)size + 1);
        if (!i->manifest)
                return -ENOMEM;
        n = archive_read_data(a, i->manifest, (size_t)size);
        return n == size ? 0
                         : error_set(e, -EBADMSG, "manifest.json: %" PRId64 " bytes expected, found less",
                                     size);
}

/* Second walk: what images name becomes a blob. */
static int take_entry(struct import *i, struct archive *a, struct archive_entry *h, struct error *e)
{
        const char *name = plain(archive_entry_pathname(h));
        struct member *m = find_member(i, name);
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!m || !m->wanted || m->target)
                return 0;
        if (m->blob.digest[0] != '\0')
                return error_set(e, -EBADMSG, "%.200s: each file once expected, found it again", name);
        if (archive_entry_filetype(h) != AE_IFREG || archive_entry_hardlink(h))
                return error_set(e, -EBADMSG, "%.200s: a regular file expected, found something else", name);
        r = layout_begin_blob(i->layout, 0, &fd, e);
        if (r >= 0)
                r = copy_data(a, name, fd, e);
        return r < 0 ? r : layout_end_blob(i->layout, 0, fd, &m->blob, e);
}

/* Marks the file that this name stands for, through at most one link. */
static int want(struct import *i, const char *name, struct error *e)
{
        struct member *m = find_member(i, plain(name));
        int r = 0;

        if (m && m->target) {
                name = m->target;
                m = find_member(i, name);
                if (m && m->target)
                        return error_set(e, -EBADMSG, "%.200s: a file expected, found a link to a link",
                                         name);
        }
        if (!m) {
                r = add_member(i, plain(name), NULL, e);
                m = &i->members[i->n - 1];
        }
        if (r >= 0)
                m->wanted = true;
        return r;
}

static int get_blob(const struct import *i, const char *name, const struct oci_blob **ret, struct error *e)
{
        const struct member *m = find_member(i, plain(name));

        if (m && m->target)
                m = find_member(i, m->target);
        if (!m || m->blob.digest[0] == '\0')
                return error_set(e, -EBADMSG, "%.200s: expected in the archive, not found", name);
        *ret = &m->blob;
        return 0;
}

/* --- the layout --- */

static int build_manifest(const struct import *i, const struct docker_image *image, sd_json_variant **ret,
                          struct error *e)
{
        _cleanup_json_ sd_json_variant *config = NULL, *layers = NULL;
        const struct oci_blob *b = NULL;
        int r;

        r = get_blob(i, image->config, &b, e);
        if (r < 0)
                return r;
        r = oci_descriptor_build(OCI_CONFIG_TYPE, b, &config);
        for (size_t k = 0; r >= 0 && k < image->n_layers; k++) {
                _cleanup_json_ sd_json_variant *layer = NULL;

                r = get_blob(i, image->layers[k], &b, e);
                if (r < 0)
                        return r;
                r = oci_descriptor_build(LAYER_TYPE, b, &layer);
                if (r >= 0)
                        r = sd_json_variant_append_array(&layers, layer);
        }
        if (r >= 0 && !layers)
                r = sd_json_variant_new_array(&layers, NULL, 0);
        if (r >= 0)
                r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("schemaVersion", 2),
                                   SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_MANIFEST_TYPE),
                                   SD_JSON_BUILD_PAIR_VARIANT("config", config),
                                   SD_JSON_BUILD_PAIR_VARIANT("layers", layers));
        return r < 0 ? error_errno(e, r, "manifest") : 0;
}

/* The archive has no digests but these, of the layers as plain tars. */
static int check_diff_ids(const struct docker_image *image, const struct import *i, sd_json_variant *config,
                          struct error *e)
{
        sd_json_variant *rootfs = NULL, *ids = NULL;
        int r;

        if ((r = json_object(config, image->config, "rootfs", &rootfs, e)) < 0 ||
            (r = json_array(rootfs, image->config, "diff_ids", &ids, e)) < 0)
                return -EBADMSG;
        if (sd_json_variant_elements(ids) != image->n_layers)
                return error_set(e, -EBADMSG, "%s: %zu diff_ids expected, found %zu", image->config,
                                 image->n_layers, sd_json_variant_elements(ids));
        for (size_t k = 0; k < image->n_layers; k++) {
                sd_json_variant *id = sd_json_variant_by_index(ids, k);
                const struct oci_blob *b = NULL;

                r = get_blob(i, image->layers[k], &b, e);
                if (r < 0)
                        return r;
                if (!sd_json_variant_is_string(id) || strcmp(sd_json_variant_string(id), b->digest) != 0)
                        return error_set(e, -EBADMSG,
                                         "%s: content with the digest in diff_ids expected, found %s",
                                         image->layers[k], b->digest);
        }
        return 0;
}

static int check_config(const struct import *i, const struct docker_image *image, struct error *e)
{
        _cleanup_json_ sd_json_variant *config = NULL;
        struct oci_descriptor d = {.media_type = ""};
        const struct oci_blob *b = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = get_blob(i, image->config, &b, e);
        if (r < 0)
                return r;
        (void)stpcpy(d.digest, b->digest);
        (void)stpcpy(stpcpy(d.path, "blobs/sha256/"), b->digest + strlen("sha256:"));
        d.size = b->size;
        fd = open(layout_path(i->layout), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(e, -errno, "%s", layout_path(i->layout));
        if ((r = oci_read_blob(fd, &d, OCI_MANIFEST_MAX, &text, e)) < 0)
                return r;
        if (json_parse(image->config, text, &config, e) < 0)
                return -EBADMSG;
        return check_diff_ids(image, i, config, e);
}

static int add_name(struct import *i, const struct oci_blob *manifest, const char *name, struct error *e)
{
        _cleanup_json_ sd_json_variant *entry = NULL;
        int r;

        r = sd_json_buildo(&entry, SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_MANIFEST_TYPE),
                           SD_JSON_BUILD_PAIR_STRING("digest", manifest->digest),
                           SD_JSON_BUILD_PAIR_UNSIGNED("size", manifest->size),
                           SD_JSON_BUILD_PAIR("annotations", SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING(
                                                                     OCI_REF_NAME, name))));
        if (r >= 0)
                r = layout_add(i->layout, entry);
        return r < 0 ? error_errno(e, r, "index") : 0;
}

/* An image without a name gets the short form of its ID, as Docker shows it. */
static int add_image(struct import *i, const struct docker_image *image, struct error *e)
{
        _cleanup_json_ sd_json_variant *manifest = NULL;
        const struct oci_blob *config = NULL;
        struct oci_blob b = {};
        char id[13];
        int r;

        r = check_config(i, image, e);
        if (r >= 0)
                r = build_manifest(i, image, &manifest, e);
        if (r >= 0)
                r = layout_put_json(i->layout, manifest, &b, e);
        if (r >= 0)
                r = get_blob(i, image->config, &config, e);
        if (r < 0)
                return r;
        for (size_t k = 0; r >= 0 && k < image->n_tags; k++)
                r = add_name(i, &b, image->tags[k], e);
        (void)snprintf(id, sizeof(id), "%s", config->digest + strlen("sha256:"));
        return r < 0 || image->n_tags > 0 ? r : add_name(i, &b, id, e);
}

static int import_images(struct import *i, const struct docker_archive *a, struct error *e)
{
        int r = 0;

        for (size_t k = 0; r >= 0 && k < a->n; k++) {
                r = want(i, a->images[k].config, e);
                for (size_t l = 0; r >= 0 && l < a->images[k].n_layers; l++)
                        r = want(i, a->images[k].layers[l], e);
        }
        if (r >= 0)
                r = walk(i, take_entry, e);
        for (size_t k = 0; r >= 0 && k < a->n; k++)
                r = add_image(i, &a->images[k], e);
        return r < 0 ? r : layout_write_index(i->layout, e);
}

int docker_archive_import(const char *path, struct layout *l, struct error *e)
{
        struct docker_archive images = {};
        struct import i = {.path = path, .layout = l};
        int r;

        r = walk(&i, note_entry, e);
        if (r >= 0 && !i.manifest)
                r = error_set(e, -EBADMSG, "manifest.json expected in the archive, not found");
        if (r >= 0)
                r = docker_archive_parse(i.manifest, &images, e);
        if (r >= 0)
                r = import_images(&i, &images, e);
        docker_archive_done(&images);
        import_done(&i);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}
