/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity build */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"
#include "base/log.h"
#include "build.h"
#include "program.h"

int print_geometry(const struct verity_geometry *g)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        if (options.json == JSON_OFF) {
                verity_geometry_root_hash(g, root_hash);
                return puts(root_hash) < 0 ? -EIO : 0;
        }
        r = verity_geometry_to_json(g, &v);
        return r < 0 ? r : json_print(v, options.json);
}

static int check_outputs(const char *source, struct error *e)
{
        const char *inputs[] = {source, options.file_contexts};
        int r;

        r = check_output(options.output, inputs, ELEMENTSOF(inputs), e);
        if (r < 0 || !options.image.hash_file)
                return r;
        return check_output(options.image.hash_file, inputs, ELEMENTSOF(inputs), e);
}

int verb_build(int argc, char **argv)
{
        struct progress progress;
        struct build_options o = {
                .file_contexts = options.file_contexts,
                .hash_output = options.image.hash_file,
                .allow_setuid = options.allow_setuid,
                .progress = show_progress,
                .userdata = &progress,
        };
        struct verity_geometry g = {};
        struct error e = {};
        int r;

        if (!options.output)
                return fail(error_set(&e, -EINVAL, "--output=FILE expected, found none"), &e);
        r = check_outputs(argv[0], &e);
        if (r < 0)
                return fail(r, &e);
        progress_start(&progress, "building", 0);
        r = build_image(argv[0], options.output, &o, &g, &e);
        progress_end(&progress);
        if (r >= 0)
                r = print_geometry(&g);
        return r < 0 ? fail(r, &e) : 0;
}
