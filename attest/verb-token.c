/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attest token: the owner's word for a machine whose TPM lost the record in force (osguard/README.md). */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "inputs.h"
#include "ipe-policy/ipe-policy.h"
#include "program.h"
#include "tpm/policy.h"

static bool is_name(const char *text)
{
        uint8_t name[TPM_NAME_SIZE];

        return text && hex_decode(text, name, sizeof(name)) >= 0;
}

static int check_options(struct error *e)
{
        const char *const inputs[] = {options.key, options.certificate};
        uint16_t version[3];

        if (!is_name(options.tpm))
                return error_set(e, -EINVAL, "--tpm=: %u hexadecimal digits expected, see --help",
                                 2 * TPM_NAME_SIZE);
        if (options.counter > INT64_MAX)
                return error_set(e, -EINVAL, "--counter= expected, see --help");
        if (options.image_floor > UINT32_MAX)
                return error_set(e, -EINVAL, "--image-floor= of at most %u expected, see --help", UINT32_MAX);
        if (!options.ipe_host_floor || ipe_policy_parse_version(options.ipe_host_floor, version) < 0)
                return error_set(e, -EINVAL, "--ipe-host-floor=N.N.N expected, see --help");
        if (!options.volume || (strcmp(options.volume, "keep") != 0 && strcmp(options.volume, "make") != 0 &&
                                !is_name(options.volume)))
                return error_set(e, -EINVAL, "--volume=keep, make or a Name expected, see --help");
        return check_output(options.output, inputs, ELEMENTSOF(inputs), e);
}

static int token(struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        r = open_signer(&signer, e);
        if (r >= 0)
                r = check_options(e);
        if (r < 0)
                return r;
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_INTEGER("version", 1),
                           SD_JSON_BUILD_PAIR_STRING("tpm", options.tpm),
                           SD_JSON_BUILD_PAIR_UNSIGNED("counter", options.counter),
                           SD_JSON_BUILD_PAIR_UNSIGNED("image_floor", options.image_floor),
                           SD_JSON_BUILD_PAIR_STRING("ipe_host_floor", options.ipe_host_floor),
                           SD_JSON_BUILD_PAIR_STRING("volume", options.volume));
        if (r >= 0)
                r = sd_json_variant_format(v, 0, &text);
        return r < 0 ? error_errno(e, r, "token") : write_signed(signer, text, TRUST_ATTACHED_MAX, e);
}

int verb_token(int argc, char **argv)
{
        struct error e = {};
        int r = token(&e);

        return r < 0 ? fail(r, &e) : EXIT_SUCCESS;
}
