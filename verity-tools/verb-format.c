/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity format */
#include <errno.h>

#include <systemd/sd-id128.h>

#include "base/file.h"
#include "program.h"

static int format(const char *path, struct verity_geometry *ret, struct error *e)
{
        struct progress progress;
        const struct verity_tree_options tree = {.progress = show_progress, .userdata = &progress};
        struct image_format_options o = {.output = options.output, .image = &options.image, .tree = &tree};
        sd_id128_t uuid;
        int r = 0;

        if (options.uuid && sd_id128_from_string(options.uuid, &uuid) < 0)
                return error_set(e, -EINVAL, "--uuid: a UUID expected, found \"%s\"", options.uuid);
        if (options.uuid)
                o.uuid = uuid.bytes;
        if (options.output || options.image.hash_file)
                r = check_output(options.output ?: options.image.hash_file, &path, 1, e);
        if (r < 0)
                return r;
        progress_start(&progress, "hashing", 0);
        r = image_format(path, &o, ret, e);
        progress_end(&progress);
        return r;
}

int verb_format(int argc, char **argv)
{
        struct verity_geometry g = {};
        struct error e = {};
        int r = format(argv[0], &g, &e);

        if (r >= 0)
                r = print_geometry(&g);
        return r < 0 ? fail(r, &e) : 0;
}
