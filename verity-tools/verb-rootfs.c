/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity rootfs */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "program.h"
#include "rootfs.h"

static int check_options(const char *source, struct error *e)
{
        const char *const inputs[] = {source, options.file_contexts, options.key, options.certificate,
                                      options.attach};

        if (!options.output)
                return error_set(e, -EINVAL, "--output=FILE expected, found none");
        if (!options.key + !options.attach != (options.certificate ? 1 : 2))
                return error_set(e, -EINVAL,
                                 "--certificate= expected with one of --key= and --attach=, or none of them");
        return check_output(options.output, inputs, ELEMENTSOF(inputs), e);
}

static int print_disk(const struct verity_geometry *g, const struct disk_image *d)
{
        _cleanup_json_ sd_json_variant *v = NULL, *disk = NULL;
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        int r;

        if (options.json == JSON_OFF) {
                verity_geometry_root_hash(g, root_hash);
                return puts(root_hash) < 0 ? -EIO : 0;
        }
        r = verity_geometry_to_json(g, &v);
        if (r >= 0)
                r = disk_image_to_json(d, &disk);
        if (r >= 0)
                r = sd_json_variant_set_field(&v, "disk", disk);
        return r < 0 ? r : json_print(v, options.json);
}

static int rootfs(const char *source, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        struct progress progress;
        struct rootfs_options o = {
                .label = options.label ?: "root",
                .architecture = disk_architecture_from_name(options.architecture ?: "x86-64"),
                .file_contexts = options.file_contexts,
                .allow_setuid = options.allow_setuid,
                .attach = options.attach,
                .progress = show_progress,
                .userdata = &progress,
        };
        struct verity_geometry g = {};
        struct disk_image d = {};
        int r;

        if (!o.architecture)
                return error_set(e, -EINVAL, "--architecture: %s expected, found \"%s\"", DISK_ARCHITECTURES,
                                 options.architecture);
        r = check_options(source, e);
        if (r >= 0 && options.certificate)
                r = open_signer(options.key, options.certificate, &signer, e);
        if (r < 0)
                return r;
        o.signer = signer;
        progress_start(&progress, "building", 0);
        r = build_rootfs(source, options.output, &o, &g, &d, e);
        progress_end(&progress);
        return r < 0 ? r : print_disk(&g, &d);
}

int verb_rootfs(int argc, char **argv)
{
        struct error e = {};
        int r = rootfs(argv[0], &e);

        return r < 0 ? fail(r, &e) : 0;
}
