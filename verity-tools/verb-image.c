/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity image */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "build.h"
#include "internal.h"
#include "program.h"

/* One of the two signers: its key is here, or elsewhere. */
static int open_one(const char *what, const char *key, const char *certificate, struct trust_signer **ret,
                    struct error *e)
{
        bool elsewhere = options.digest_out || options.attach;

        if (!certificate)
                return error_set(e, -EINVAL, "--%scertificate= expected, see --help", what);
        if (!key == !elsewhere)
                return error_set(e, -EINVAL, "one of --%skey=, --digest-out= and --attach= expected", what);
        return open_signer(key, certificate, ret, e);
}

static int open_signers(struct trust_signer **ret_layer, struct trust_signer **ret_manifest, struct error *e)
{
        int r;

        if (options.digest_out && options.attach)
                return error_set(e, -EINVAL, "one of --digest-out= and --attach= expected, found both");
        r = open_one("", options.key, options.certificate, ret_layer, e);
        return r < 0 || options.signatures_only ? r
                                                : open_one("manifest-", options.manifest_key,
                                                           options.manifest_certificate, ret_manifest, e);
}

/* Where the result goes. */
static int check_place(const char *operand, struct build_oci_options *o, struct error *e)
{
        if (options.signatures_only) {
                if (options.output || options.push || options.squash ||
                    strncmp(operand, OCI_REGISTRY_PREFIX, strlen(OCI_REGISTRY_PREFIX)) != 0)
                        return error_set(
                                e, -EINVAL,
                                "--signatures-only: docker://IMAGE without --output=, --push= and --squash "
                                "expected");
                o->push = operand;
                return 0;
        }
        if (!options.output && !options.push && !options.digest_out)
                return error_set(e, -EINVAL, "--output=LAYOUT or --push=docker://… expected, found none");
        return 0;
}

static int print_result(const struct build_oci_result *result, const struct build_oci_options *o)
{
        const char *place = options.digest_out ?: options.output ?: o->push;
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        if (options.json == JSON_OFF) {
                r = printf("%zu images, %zu layers, %" PRIu64 " bytes in %s\n", result->n_images,
                           result->n_layers, result->size, place);
                return r < 0 ? -EIO : 0;
        }
        r = sd_json_buildo(
                &v, SD_JSON_BUILD_PAIR_STRING("output", place),
                SD_JSON_BUILD_PAIR_CONDITION(o->push != NULL, "pushed", SD_JSON_BUILD_STRING(o->push)),
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
                .signatures_only = options.signatures_only,
                .platform = options.platform,
                .push = options.push,
                .digest_out = options.digest_out,
                .attach = options.attach,
        };
        char scratch[PATH_MAX];
        int r;

        r = check_place(operand, &o, e);
        if (r >= 0)
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
        return r < 0 ? r : print_result(&result, &o);
}

int verb_image(int argc, char **argv)
{
        struct error e = {};
        int r = image(argv[0], &e);

        return r < 0 ? fail(r, &e) : 0;
}
