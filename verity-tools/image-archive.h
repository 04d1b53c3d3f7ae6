/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Archives of images: tars, plain or compressed, whose files become blobs of a layout. Names in them are
 * compared and never become paths. */
#pragma once

#include "verity-tools/layout.h"
#include "verity-tools/tar-input.h"

/* One entry on the way through an archive. */
struct archive_file {
        struct tar_input *input;
        struct archive_entry *entry;
        const char *name; /* without ./ before it; NULL: it has none that can be read */
};

/* A name as an archive has it, without ./ before it. */
const char *archive_plain_name(const char *name);

/* Calls for each entry of the archive; an error ends it. Messages do not have the name of the archive. */
int archive_walk(const char *path, int (*call)(void *userdata, const struct archive_file *f, struct error *e),
                 void *userdata, struct error *e);

/* Reads a small regular file that is JSON; a NUL follows the last byte. To be freed. */
int archive_read_text(const struct archive_file *f, char **ret, struct error *e);

/* Makes a regular file without holes a blob. */
int archive_take_blob(const struct archive_file *f, struct layout *l, struct oci_blob *ret, struct error *e);

/* What `docker save` writes (manifest.json). Unpacks its images into a layout that is not published. -ENOMSG:
 * it is none. */
int docker_archive_import(const char *path, struct layout *l, struct error *e);

/* The same for a tar of an OCI image layout (index.json). */
int oci_archive_import(const char *path, struct layout *l, struct error *e);
