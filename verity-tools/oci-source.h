/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where images come from: a layout, an archive of one or of `docker save`, or a registry. Documents are
 * checked against their digests; a blob's content is the reader's to check. */
#pragma once

#include "verity-tools/build.h"
#include "verity-tools/internal.h"

struct oci_source;

struct oci_source_options {
        const char *platform; /* "OS/ARCHITECTURE[/VARIANT]", NULL: Linux on this machine */
        const char *scratch;  /* what is fetched or unpacked lies beside this path while it is used */
        struct registry_options registry;
};

/* LAYOUT[:TAG], docker-archive:FILE[:TAG], oci-archive:FILE[:TAG], FILE for either, or docker://… */
int oci_source_open(const char *operand, const struct oci_source_options *o, struct oci_source **ret,
                    struct error *e);
struct oci_source *oci_source_free(struct oci_source *s);
DEFINE_CLEANUP(struct oci_source *, oci_source_free)

/* One image of the platform asked for. */
struct oci_image {
        char *reference;
        char digest[72]; /* of the manifest */
        uint64_t size;
        const char *media_type; /* OCI's or Docker's */
        sd_json_variant *manifest;
        struct oci_descriptor *layers; /* tars, bottom first; NULL until somebody asks the manifest */
        size_t n_layers;
};
void oci_images_free(struct oci_image *images, size_t n);

/* The images that the operand names: one, or all of a layout or an archive. */
int oci_source_images(const struct oci_source *s, struct oci_image **ret, size_t *ret_n, struct error *e);

/* Reads a small blob; a NUL follows the last byte. To be freed. */
int oci_source_read(const struct oci_source *s, const struct oci_descriptor *d, size_t max, char **ret,
                    struct error *e);

/* Opens a blob of d->size bytes. Safe in several threads. */
int oci_source_open_blob(const struct oci_source *s, const struct oci_descriptor *d, int *ret_fd,
                         struct error *e);

/* Has `received` called, from any thread, for each piece of a blob that is fetched, until it is NULL. false:
 * blobs are here. */
bool oci_source_watch(const struct oci_source *s, void (*received)(void *userdata, size_t size),
                      void *userdata);

/* Ends what other threads fetch from it: -ECANCELED. */
void oci_source_stop(const struct oci_source *s);

/* --- docker-archive --- */

/* Bytes in a name in an archive. */
#define DOCKER_NAME_MAX 1024u

/* What manifest.json of such an archive says. */
struct docker_image {
        char *config;          /* name in the archive */
        char **layers, **tags; /* end with NULL */
        size_t n_layers, n_tags;
};
struct docker_archive {
        struct docker_image *images;
        size_t n;
};
int docker_archive_parse(const char *text, struct docker_archive *ret, struct error *e);
void docker_archive_done(struct docker_archive *a);
