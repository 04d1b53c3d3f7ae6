/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `docker save` writes: a tar with manifest.json, configurations and layers, in the old form
 * (ID/layer.tar) and the new one (blobs/sha256/HEX). Names in it are compared and never become paths. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "image-archive.h"
#include "oci-source.h"

#define MEMBERS_MAX 8192u
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar"

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

static struct member *find_member(const struct import *i, const char *name)
{
        for (size_t k = 0; k < i->n; k++)
                if (strcmp(i->members[k].name, name) == 0)
                        return &i->members[k];
        return NULL;
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
static int note_entry(void *userdata, const struct archive_file *f, struct error *e)
{
        const char *link = archive_entry_symlink(f->entry);
        struct import *i = userdata;
        char *target;
        int r;

        if (link && strlen(f->name) <= DOCKER_NAME_MAX) {
                target = resolve_link(f->name, link);
                r = target ? add_member(i, f->name, target, e) : 0;
                if (r < 0)
                        free(target);
                return r;
        }
        if (strcmp(f->name, "manifest.json") != 0)
                return 0;
        if (i->manifest)
                return error_set(e, -EBADMSG, "manifest.json once expected, found it again");
        return archive_read_text(f, &i->manifest, e);
}

/* Second walk: what images name becomes a blob. */
static int take_entry(void *userdata, const struct archive_file *f, struct error *e)
{
        struct import *i = userdata;
        struct member *m = find_member(i, f->name);

        if (!m || !m->wanted || m->target)
                return 0;
        if (m->blob.digest[0] != '\0')
                return error_set(e, -EBADMSG, "%.200s: each file once expected, found it again", f->name);
        return archive_take_blob(f, i->layout, &m->blob, e);
}

/* Marks the file that this name stands for, through at most one link. */
static int want(struct import *i, const char *name, struct error *e)
{
        struct member *m = find_member(i, archive_plain_name(name));
        int r = 0;

        if (m && m->target) {
                name = m->target;
                m = find_member(i, name);
                if (m && m->target)
                        return error_set(e, -EBADMSG, "%.200s: a file expected, found a link to a link",
                                         name);
        }
        if (!m) {
                r = add_member(i, archive_plain_name(name), NULL, e);
                m = &i->members[i->n - 1];
        }
        if (r >= 0)
                m->wanted = true;
        return r;
}

static int get_blob(const struct import *i, const char *name, const struct oci_blob **ret, struct error *e)
{
        const struct member *m = find_member(i, archive_plain_name(name));

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
                r = archive_walk(i->path, take_entry, i, e);
        for (size_t k = 0; r >= 0 && k < a->n; k++)
                r = add_image(i, &a->images[k], e);
        return r < 0 ? r : layout_write_index(i->layout, e);
}

int docker_archive_import(const char *path, struct layout *l, struct error *e)
{
        struct docker_archive images = {};
        struct import i = {.path = path, .layout = l};
        int r;

        r = archive_walk(path, note_entry, &i, e);
        if (r >= 0 && !i.manifest)
                r = error_set(e, -ENOMSG, "manifest.json expected in the archive, not found");
        if (r >= 0)
                r = docker_archive_parse(i.manifest, &images, e);
        if (r >= 0)
                r = import_images(&i, &images, e);
        docker_archive_done(&images);
        import_done(&i);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}
