/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity image */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "build.h"
#include "program.h"

static int open_signers(struct trust_signer **ret_layer, struct trust_signer **ret_manifest, struct error *e)
{
        bool elsewhere = options.digest_out || options.attach;
        int r;

        if (!options.certificate || !options.manifest_certificate)
                return error_set(e, -EINVAL,
                                 "--certificate= and --manifest-certificate= expected, see --help");
        if (elsewhere ? options.key || options.manifest_key || (options.digest_out && options.attach)
                      : !options.key || !options.manifest_key)
                return error_set(
                        e, -EINVAL,
                        "--key= and --manifest-key= expected, or one of --digest-out= and --attach=");
        r = open_signer(options.key, options.certificate, ret_layer, e);
        return r < 0 ? r : open_signer(options.manifest_key, options.manifest_certificate, ret_manifest, e);
}

static int print_result(const struct build_oci_result *result)
{
        const char *place = options.digest_out ?: options.output ?: options.push;
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        if (options.json == JSON_OFF) {
                r = printf("%zu images, %zu layers, %" PRIu64 " bytes in %s\n", result->n_images,
                           result->n_layers, result->size, place);
                return r < 0 ? -EIO : 0;
        }
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("output", place),
                           SD_JSON_BUILD_PAIR_CONDITION(options.push != NULL, "pushed",
                                                        SD_JSON_BUILD_STRING(options.push)),
                           SD_JSON_BUILD_PAIR_UNSIGNED("images", result->n_images),
                           SD_JSON_BUILD_PAIR_UNSIGNED("layers", result->n_layers),
                           SD_JSON_BUILD_PAIR_UNSIGNED("size", result->size),
                           SD_JSON_BUILD_PAIR_VARIANT("details", result->images));
        return r < 0 ? r : json_print(v, options.json);
}

void registry_options_from(struct registry_options *ret)
{
        *ret = (struct registry_options){
                .authfile = options.authfile,
                .tls_ca = options.tls_ca,
                .plain_http = options.plain_http,
                .stall_seconds = options.timeout < UINT32_MAX ? (unsigned)options.timeout : UINT32_MAX,
        };
}

int scratch_path(char ret[static PATH_MAX], struct error *e)
{
        const char *directory = getenv("TMPDIR");

        if (snprintf(ret, PATH_MAX, "%s/verity", directory && directory[0] ? directory : "/var/tmp") >=
            PATH_MAX)
                return error_errno(e, -ENAMETOOLONG, "TMPDIR");
        return 0;
}

static int convert(const char *operand, const struct build_oci_options *o, struct build_oci_result *ret,
                   struct error *e)
{
        struct build_oci_options with = *o;
        struct progress progress;
        int r;

        with.progress = show_progress;
        with.userdata = &progress;
        progress_start(&progress, "layers", 0);
        r = build_oci(operand, options.output, &with, ret, e);
        progress_end(&progress);
        return r;
}

static int image(const char *operand, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *layer = NULL, *manifest = NULL;
        _cleanup_(build_oci_result_done) struct build_oci_result result = {};
        struct build_oci_options o = {
                .allow_setuid = options.allow_setuid,
                .squash = options.squash,
                .platform = options.platform,
                .push = options.push,
                .digest_out = options.digest_out,
                .attach = options.attach,
        };
        char scratch[PATH_MAX];
        int r;

        if (!options.output && !options.push && !options.digest_out)
                return error_set(e, -EINVAL, "--output=LAYOUT or --push=docker://… expected, found none");
        r = open_signers(&layer, &manifest, e);
        if (r >= 0)
                r = scratch_path(scratch, e);
        if (r < 0)
                return r;
        o.layer_signer = layer;
        o.manifest_signer = manifest;
        o.scratch = scratch;
        registry_options_from(&o.registry);
        r = convert(operand, &o, &result, e);
        return r < 0 ? r : print_result(&result);
}

int verb_image(int argc, char **argv)
{
        struct error e = {};
        int r = image(argv[0], &e);

        return r < 0 ? fail(r, &e) : 0;
}
