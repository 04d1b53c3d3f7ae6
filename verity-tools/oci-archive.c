/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A tar of an OCI image layout, as skopeo, podman and buildx write it. */
#include <errno.h>
#include <string.h>

#include "image-archive.h"

#define BLOBS "blobs/sha256/"

struct import {
        struct layout *layout;
        char *index; /* text of index.json */
};

static int take_file(void *userdata, const struct archive_file *f, struct error *e)
{
        const char *hex = f->name + strlen(BLOBS);
        struct import *i = userdata;
        struct oci_blob blob = {};
        int r;

        if (strcmp(f->name, "index.json") == 0) {
                if (i->index)
                        return error_set(e, -EBADMSG, "index.json once expected, found it again");
                return archive_read_text(f, &i->index, e);
        }
        if (strncmp(f->name, BLOBS, strlen(BLOBS)) != 0 || *hex == '\0')
                return 0;
        r = archive_take_blob(f, i->layout, &blob, e);
        if (r >= 0 && strcmp(hex, blob.digest + strlen("sha256:")) != 0)
                r = error_set(e, -EBADMSG, "%.200s: content with that digest expected, found %s", f->name,
                              blob.digest);
        return r;
}

static int write_index(const struct import *i, struct error *e)
{
        _cleanup_json_ sd_json_variant *index = NULL;
        sd_json_variant *manifests = NULL;

        if (json_parse("index.json", i->index, &index, e) < 0 ||
            json_array(index, "index.json", "manifests", &manifests, e) < 0)
                return -EBADMSG;
        for (size_t k = 0; k < sd_json_variant_elements(manifests); k++) {
                int r = layout_add(i->layout, sd_json_variant_by_index(manifests, k));

                if (r < 0)
                        return error_errno(e, r, "index.json");
        }
        return layout_write_index(i->layout, e);
}

int oci_archive_import(const char *path, struct layout *l, struct error *e)
{
        struct import i = {.layout = l};
        int r;

        r = archive_walk(path, take_file, &i, e);
        if (r >= 0)
                r = i.index ? write_index(&i, e)
                            : error_set(e, -ENOMSG, "index.json expected in the archive, not found");
        free(i.index);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}
