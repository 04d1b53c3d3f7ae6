/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs share that work on one image. */
#include <errno.h>

#include "program.h"

enum trust_purpose purpose_option(enum trust_purpose otherwise, struct error *e)
{
        enum trust_purpose p = options.purpose ? trust_purpose_from_string(options.purpose) : otherwise;

        if (p == TRUST_PURPOSES)
                (void)error_set(e, -EINVAL, "--purpose: %s expected, found \"%s\"", TRUST_PURPOSE_NAMES,
                                options.purpose);
        return p;
}

int open_verified_image(const char *path, struct image_file *ret, struct error *e)
{
        struct image_file i = {};
        struct progress progress;
        struct verity_tree_options with = {.progress = show_progress, .userdata = &progress};
        int r;

        r = image_file_open(path, &options.image, &i, e);
        if (r < 0)
                return r;
        if (i.geometry.root_hash_size == 0) {
                image_file_done(&i);
                return error_set(e, -EINVAL, "--root-hash=HEX expected, found none");
        }
        with.data_offset = i.data_offset;
        progress_start(&progress, "verifying", 0);
        r = verity_tree_verify(i.data_fd, i.hash_fd, &i.geometry, &with, e);
        progress_end(&progress);
        if (r < 0) {
                image_file_done(&i);
                return error_prefix(e, r, "%s", path);
        }
        *ret = i;
        return 0;
}
