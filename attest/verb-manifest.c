/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attest manifest, attest authorize, attest profile, attest show: what the owner signs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "attest/firmware-log.h"
#include "base/file.h"
#include "inputs.h"
#include "program.h"

#define PACKAGES_MAX ((size_t)4 * 1024 * 1024)
#define MANIFEST_MAX ((size_t)2 * 1024 * 1024) /* what osguard reads */

static int check_files(const char *const operands[], size_t n, struct error *e)
{
        const char *inputs[64 + 8] = {options.key,  options.certificate, options.firmware, options.variables,
                                      options.disk, options.profile,     options.ipe_host, options.packages};

        if (n > 64)
                return error_set(e, -E2BIG, "at most 64 images expected, found %zu", n);
        memcpy(inputs + 8, operands, n * sizeof(*operands));
        return check_output(options.output, inputs, 8 + n, e);
}

static int read_packages(sd_json_variant **ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r;

        if (!options.packages)
                return 0;
        r = read_file(AT_FDCWD, options.packages, PACKAGES_MAX, &text, NULL, e);
        return r < 0 ? r : json_parse(options.packages, text, ret, e);
}

static int manifest(const char *uki, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        _cleanup_json_ sd_json_variant *packages = NULL;
        _cleanup_inputs_ struct inputs in = {};
        _cleanup_free_ char *text = NULL;
        int r;

        r = open_signer(&signer, e);
        if (r >= 0)
                r = check_files(&uki, 1, e);
        if (r >= 0)
                r = read_packages(&packages, e);
        if (r >= 0)
                r = inputs_predict(uki, &in, e);
        if (r >= 0)
                r = manifest_make(
                        &(struct manifest_input){.image = &in.image,
                                                 .uki = &in.uki,
                                                 .prediction = &in.prediction,
                                                 .profile = options.profile ? in.profile.name : NULL,
                                                 .packages = packages},
                        signer, &text, e);
        return r < 0 ? r : write_signed(signer, text, MANIFEST_MAX, e);
}

int verb_manifest(int argc, char **argv)
{
        struct error e = {};
        int r = manifest(argv[0], &e);

        return r < 0 ? fail(r, &e) : EXIT_SUCCESS;
}

static int authorize_one(const char *uki, const struct trust_signer *signer, sd_json_variant **policies,
                         struct error *e)
{
        _cleanup_json_ sd_json_variant *policy = NULL;
        _cleanup_inputs_ struct inputs in = {};
        int r;

        r = inputs_predict(uki, &in, e);
        if (r >= 0)
                r = manifest_pcr_policy(&in.prediction, signer, &policy, e);
        return r < 0 ? error_prefix(e, r, "%s", uki) : sd_json_variant_append_array(policies, policy);
}

static int authorize(const char *const ukis[], size_t n, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        _cleanup_json_ sd_json_variant *policies = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        if (!options.ipe_host)
                return error_set(e, -EINVAL, "--ipe-host= expected, see --help");
        r = open_signer(&signer, e);
        if (r >= 0)
                r = check_files(ukis, n, e);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = authorize_one(ukis[i], signer, &policies, e);
        if (r >= 0)
                r = manifest_authorize(policies, &text, e);
        return r < 0 ? r : write_file_atomic(AT_FDCWD, options.output, text, strlen(text), 0644, e);
}

int verb_authorize(int argc, char **argv)
{
        struct error e = {};
        int r = authorize((const char *const *)argv, (size_t)argc, &e);

        return r < 0 ? fail(r, &e) : EXIT_SUCCESS;
}

static int profile(const char *path, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        _cleanup_free_ char *log = NULL, *text = NULL;
        size_t size = 0;
        int r;

        if (!options.name)
                return error_set(e, -EINVAL, "--name= expected, see --help");
        r = open_signer(&signer, e);
        if (r >= 0)
                r = check_files(&path, 1, e);
        if (r >= 0)
                r = read_file(AT_FDCWD, path, FIRMWARE_LOG_MAX, &log, &size, e);
        if (r >= 0)
                r = profile_record(options.name, log, size, &text, e);
        return r < 0 ? r : write_signed(signer, text, PROFILE_MAX, e);
}

int verb_profile(int argc, char **argv)
{
        struct error e = {};
        int r = profile(argv[0], &e);

        return r < 0 ? fail(r, &e) : EXIT_SUCCESS;
}

int verb_show(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        struct error e = {};
        size_t size = 0;
        int r;

        r = read_signed(argv[0], MANIFEST_MAX, &text, &size, &e);
        if (r >= 0)
                r = json_parse(argv[0], text, &v, &e);
        if (r >= 0)
                r = json_print(v, options.json == JSON_OFF ? JSON_PRETTY : options.json);
        return r < 0 ? fail(r, &e) : EXIT_SUCCESS;
}
