/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "registry.h"

struct push {
        struct registry *registry;
        int layout_fd;
};

static int push_blob(const struct push *p, const struct oci_descriptor *d, struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        uint64_t size = 0;
        int r;

        r = oci_open(p->layout_fd, d->path, &fd, &size, e);
        return r < 0 ? r : registry_put_blob(p->registry, d->digest, fd, size, e);
}

/* The blobs that a manifest names. */
static int push_blobs(const struct push *p, sd_json_variant *manifest, const char *name, struct error *e)
{
        sd_json_variant *layers = NULL, *config = NULL;
        struct oci_descriptor d = {};
        int r;

        if ((r = json_object(manifest, name, "config", &config, e)) < 0 ||
            (r = json_array(manifest, name, "layers", &layers, e)) < 0 ||
            (r = oci_descriptor_parse(config, name, &d, e)) < 0)
                return r;
        r = push_blob(p, &d, e);
        for (size_t i = 0; r >= 0 && i < sd_json_variant_elements(layers); i++) {
                r = oci_descriptor_parse(sd_json_variant_by_index(layers, i), name, &d, e);
                if (r >= 0)
                        r = push_blob(p, &d, e);
        }
        return r;
}

/* Under the name given, or its digest for NULL. ret_subject: digest of the subject that the registry does not
 * list by itself, or "". */
static int push_manifest(const struct push *p, const struct oci_descriptor *d, const char *name,
                         char ret_subject[static 72], struct error *e)
{
        _cleanup_json_ sd_json_variant *manifest = NULL;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *subject;
        struct oci_descriptor s = {};
        bool listed = false;
        int r;

        if ((r = oci_read_blob(p->layout_fd, d, OCI_MANIFEST_MAX, &text, e)) < 0 ||
            (r = json_parse(d->path, text, &manifest, e)) < 0 ||
            (r = push_blobs(p, manifest, d->path, e)) < 0 ||
            (r = registry_put_manifest(p->registry, name ?: d->digest, d->media_type, text, (size_t)d->size,
                                       &listed, e)) < 0)
                return r;
        ret_subject[0] = '\0';
        subject = sd_json_variant_by_key(manifest, "subject");
        if (!subject || listed)
                return 0;
        r = oci_descriptor_parse(subject, d->path, &s, e);
        if (r >= 0)
                (void)stpcpy(ret_subject, s.digest);
        return r;
}

static int push_all(const struct push *p, sd_json_variant *manifests, const char *tag, struct error *e)
{
        struct oci_descriptor image = {};
        char subject[72];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < sd_json_variant_elements(manifests); i++) {
                sd_json_variant *entry = sd_json_variant_by_index(manifests, i);
                struct oci_descriptor d = {};

                r = oci_descriptor_parse(entry, "index.json", &d, e);
                if (r >= 0)
                        r = push_manifest(p, &d, NULL, subject, e);
                if (r >= 0 && subject[0] != '\0')
                        r = registry_add_referrer(p->registry, subject, entry, e);
                if (!sd_json_variant_by_key(entry, "artifactType"))
                        image = d;
        }
        return r < 0 || image.digest[0] == '\0' ? r : push_manifest(p, &image, tag, subject, e);
}

int layout_push(const char *path, const char *reference, const struct registry_options *o, struct error *e)
{
        _cleanup_(registry_free_ptr) struct registry *registry = NULL;
        _cleanup_json_ sd_json_variant *index = NULL;
        struct registry_reference to = {};
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *manifests = NULL;
        int r;

        if (strncmp(reference, OCI_REGISTRY_PREFIX, strlen(OCI_REGISTRY_PREFIX)) != 0)
                return error_set(e, -EINVAL, "docker://HOST/REPOSITORY[:TAG] expected, found %s", reference);
        r = registry_reference_parse(reference + strlen(OCI_REGISTRY_PREFIX), &to, e);
        if (r < 0)
                return r;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(e, -errno, "%s", path);
        if ((r = registry_open(&to, o, &registry, e)) < 0 ||
            (r = oci_read_file(fd, "index.json", OCI_INDEX_MAX, &text, e)) < 0 ||
            (r = json_parse("index.json", text, &index, e)) < 0 ||
            (r = json_array(index, "index.json", "manifests", &manifests, e)) < 0)
                return r;
        r = push_all(&(struct push){.registry = registry, .layout_fd = fd}, manifests, to.tag, e);
        return r < 0 ? error_prefix(e, r, "%s", reference) : 0;
}
