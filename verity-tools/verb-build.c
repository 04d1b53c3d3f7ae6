/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity build, verity image */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "build.h"
#include "program.h"

static int print_geometry(const struct verity_geometry *g)
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
        if (strcmp(options.output, options.image.hash_file) == 0)
                return error_set(e, -EINVAL,
                                 "--hash-file: another file than --output expected, found the same");
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
        progress_start(&progress, "hashing", 0);
        r = build_image(argv[0], options.output, &o, &g, &e);
        progress_end(&progress);
        if (r >= 0)
                r = print_geometry(&g);
        return r < 0 ? fail(r, &e) : 0;
}

static void show_layer(void *userdata, const char *digest, size_t i, size_t n)
{
        struct progress *p = userdata;

        p->total = n;
        progress_update(p, i);
}

/* LAYOUT or LAYOUT:TAG. A directory that is there by the whole name has no tag. */
static int split_tag(const char *operand, char **ret_path, const char **ret_tag, struct error *e)
{
        const char *colon = NULL;
        int r = file_exists(AT_FDCWD, operand);

        if (r < 0)
                return error_errno(e, r, "%s", operand);
        if (r == 0)
                colon = strchr(operand, ':');
        *ret_path = colon ? strndup(operand, (size_t)(colon - operand)) : strdup(operand);
        *ret_tag = colon ? colon + 1 : NULL;
        return *ret_path ? 0 : -ENOMEM;
}

static int open_signers(struct trust_signer **ret_layer, struct trust_signer **ret_manifest, struct error *e)
{
        int r;

        if (!options.key || !options.certificate || !options.manifest_key || !options.manifest_certificate)
                return error_set(e, -EINVAL,
                                 "--key=, --certificate=, --manifest-key= and --manifest-certificate= "
                                 "expected, see --help");
        r = open_signer(options.key, options.certificate, ret_layer, e);
        return r < 0 ? r
                     : open_signer(options.manifest_key, options.manifest_certificate, ret_manifest, e);
}

static int print_result(const struct build_oci_result *result)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        if (options.json == JSON_OFF) {
                r = printf("%zu images, %zu layers, %" PRIu64 " bytes in %s\n", result->n_images,
                           result->n_layers, result->size, options.output);
                return r < 0 ? -EIO : 0;
        }
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("output", options.output),
                           SD_JSON_BUILD_PAIR_UNSIGNED("images", result->n_images),
                           SD_JSON_BUILD_PAIR_UNSIGNED("layers", result->n_layers),
                           SD_JSON_BUILD_PAIR_UNSIGNED("size", result->size));
        return r < 0 ? r : json_print(v, options.json);
}

static int image(const char *operand, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *layer = NULL, *manifest = NULL;
        struct build_oci_options o = {.allow_setuid = options.allow_setuid, .layer = show_layer};
        struct build_oci_result result = {};
        _cleanup_free_ char *path = NULL;
        struct progress progress;
        int r;

        if (!options.output)
                return error_set(e, -EINVAL, "--output=LAYOUT expected, found none");
        r = open_signers(&layer, &manifest, e);
        if (r >= 0)
                r = split_tag(operand, &path, &o.tag, e);
        if (r < 0)
                return r;
        o.layer_signer = layer;
        o.manifest_signer = manifest;
        o.userdata = &progress;
        progress_start(&progress, "layers", 0);
        r = build_oci(path, options.output, &o, &result, e);
        progress_end(&progress);
        return r < 0 ? r : print_result(&result);
}

int verb_image(int argc, char **argv)
{
        struct error e = {};
        int r = image(argv[0], &e);

        return r < 0 ? fail(r, &e) : 0;
}
