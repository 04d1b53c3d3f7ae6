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

/* What --signature claims, for callers who have that signature checked. */
static int claim_root_hash(struct verity_signature *ret, struct error *e)
{
        int r = verity_signature_read(options.signature, ret, e);

        return r == -EBADMSG ? error_set(e, -EINVAL, "--root-hash=HEX expected, because %s does not name one",
                                         options.signature)
                             : r;
}

int open_image(const char *path, struct image_file *ret, struct error *e)
{
        struct image_file_options o = options.image;
        struct verity_signature claimed = {};
        struct image_file i = {};
        int r = 0;

        if (!o.root_hash && options.signature) {
                r = claim_root_hash(&claimed, e);
                o.root_hash = claimed.root_hash;
        }
        if (r >= 0)
                r = image_file_open(path, &o, &i, e);
        verity_signature_done(&claimed);
        if (r < 0)
                return r;
        if (i.geometry.root_hash_size == 0) {
                image_file_done(&i);
                return error_set(e, -EINVAL, "--root-hash=HEX expected, found none");
        }
        *ret = i;
        return 0;
}

int open_verified_image(const char *path, struct image_file *ret, struct error *e)
{
        struct image_file i = {};
        struct progress progress;
        struct verity_tree_options with = {.progress = show_progress, .userdata = &progress};
        int r;

        r = open_image(path, &i, e);
        if (r < 0)
                return r;
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
