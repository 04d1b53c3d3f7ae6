/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing an OCI image layout: under a temporary name, until it is published in one step. */
#pragma once

#include "verity-tools/internal.h"

struct oci_blob {
        char digest[72];
        uint64_t size;
};

struct layout;

/* Whether a layout may be published as `output`: nothing is there, or a layout. -EEXIST if not. */
int layout_check_output(const char *output, struct error *e);

/* A new layout that is to be `output`, beside it. What killed processes left there is removed. */
int layout_new(const char *output, struct layout **ret, struct error *e);

/* Removes what was not published. */
struct layout *layout_free(struct layout *l);
DEFINE_CLEANUP(struct layout *, layout_free)

/* Where it lies until it is published. Borrowed. */
const char *layout_path(const struct layout *l);

int layout_put(struct layout *l, const void *data, size_t size, struct oci_blob *ret, struct error *e);
int layout_put_json(struct layout *l, sd_json_variant *v, struct oci_blob *ret, struct error *e);

/* A large blob: a new file, which gets the name of its digest when it is complete. Several threads may do so
 * at once, each with its own number. */
int layout_begin_blob(struct layout *l, size_t number, int *ret_fd, struct error *e);
int layout_end_blob(struct layout *l, size_t number, int fd, struct oci_blob *ret, struct error *e);

/* Adds a descriptor to the index. */
int layout_add(struct layout *l, sd_json_variant *descriptor);

/* Writes index.json and oci-layout: from here on it can be read. */
int layout_write_index(struct layout *l, struct error *e);

/* Puts it in the place of the old one in one step. What stands there and is no layout is not touched. */
int layout_publish(struct layout *l, struct error *e);

/* {"mediaType":…,"digest":…,"size":…} */
int oci_descriptor_build(const char *media_type, const struct oci_blob *b, sd_json_variant **ret);
