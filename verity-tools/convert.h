/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A conversion in three steps: what there is to do is planned, the layers are built side by side, and the
 * images are put together from them. */
#pragma once

#include "layout.h"
#include "oci-source.h"

/* One EROFS layer that is to be made: from one tar, or from several that are merged. A tar that several
 * images have is built once. */
struct layer_job {
        struct oci_descriptor *sources; /* bottom first; what they borrow belongs to the images */
        size_t n_sources;
        bool bottom;          /* nothing lies below, so it has nothing to take away */
        uint64_t source_size; /* bytes of all of them */
        /* What came of it. */
        struct oci_blob blob;
        struct verity_geometry geometry;
        struct oci_blob signature; /* over the root hash */
};

struct conversion {
        const struct build_oci_options *o;
        struct oci_source *source;
        struct layout *out;
        struct oci_image *images;
        size_t n_images;
        struct layer_job *jobs;
        size_t n_jobs;
        char (*done)[72]; /* digests of the manifests whose signatures are in the index */
        size_t n_done;
};

/* Finds the layers of this image, and notes once what is to be built for them. */
int conversion_plan(struct conversion *c, struct oci_image *image, struct error *e);

/* Builds every layer that was planned. */
int conversion_build_layers(struct conversion *c, struct error *e);

/* Puts configuration, manifest and signatures of an image into the layout. ret: what is said of it to the
 * user. */
int conversion_add_image(struct conversion *c, const struct oci_image *image, sd_json_variant **ret,
                         struct error *e);

/* With signatures_only: the signatures alone, whose subject is the image as it is. */
int conversion_add_signatures(struct conversion *c, const struct oci_image *image, sd_json_variant **ret,
                              struct error *e);

/* A signature over the text, which is a root hash or a manifest; `name` is the one or the digest of the other
 * in hex digits. With digest_out there is none, and *ret stays as it is. */
int conversion_sign(struct conversion *c, enum trust_purpose purpose, const char *name, const char *text,
                    struct oci_blob *ret, struct error *e);

/* Whether layer i of an image is built as one below which nothing lies. */
bool conversion_is_bottom(const struct conversion *c, size_t i);

/* The job that makes a layer of these tars. */
struct layer_job *conversion_find_job(const struct conversion *c, const struct oci_descriptor *sources,
                                      size_t n, bool bottom);
