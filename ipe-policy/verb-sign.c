/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipe-policy sign, ipe-policy verify */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "program.h"

/* Nothing is signed that the kernel would refuse, or of which it reads a part alone. */
static int read_to_sign(const char *path, struct policy_file *ret, struct error *e)
{
        int r = policy_file_open(path, ret, e);

        if (r < 0)
                return r;
        if (ret->is_signed)
                return error_set(e, -EBADMSG, "%s: the text of a policy expected, found a signed one", path);
        if (ret->policy->size != ret->size)
                return error_set(e, -EBADMSG, "%s: text without NUL bytes expected, found one at %zu", path,
                                 ret->policy->size);
        return 0;
}

static int sign_file(const char *path, struct error *e)
{
        const struct trust_signer_options o = {.key = options.key,
                                               .certificate = options.certificate,
                                               .providers = options.providers.items,
                                               .n_providers = options.providers.n};
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        _cleanup_file_ struct policy_file f = {};
        _cleanup_free_ uint8_t *der = NULL;
        size_t size = 0;
        int r;

        r = read_to_sign(path, &f, e);
        if (r >= 0)
                r = trust_signer_open(&o, &signer, e);
        if (r >= 0)
                r = trust_signer_check_time(signer, time(NULL), e);
        if (r >= 0)
                r = trust_sign(signer, TRUST_POLICY, f.text, f.size, true, &der, &size, e);
        if (r >= 0 && size > IPE_POLICY_MAX)
                r = error_set(e, -EMSGSIZE, "%s: at most %zu bytes with the signature expected, found %zu",
                              path, IPE_POLICY_MAX, size);
        return r < 0 ? r : write_file_atomic(AT_FDCWD, options.output, der, size, 0644, e);
}

int verb_sign(int argc, char **argv)
{
        struct error e = {};
        int r;

        if (!options.key || !options.certificate || !options.output) {
                log_error(0, "sign: --key, --certificate and --output expected");
                return EXIT_COULD_NOT_TRY;
        }
        r = check_output(options.output, (const char *const[]){argv[0], options.key, options.certificate}, 3,
                         &e);
        if (r < 0) {
                log_failure(r, &e);
                return EXIT_COULD_NOT_TRY;
        }
        r = sign_file(argv[0], &e);
        return r < 0 ? fail(r, &e) : EXIT_SUCCESS;
}

static int verify_file(const char *path, struct ipe_policy **ret, struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *trust = NULL;
        const void *content = NULL;
        _cleanup_free_ char *der = NULL;
        size_t size, content_size = 0;
        int r;

        r = read_file(AT_FDCWD, path, IPE_POLICY_MAX, &der, &size, e);
        if (r < 0)
                return r == -EFBIG ? -EMSGSIZE : r;
        r = trust_store_open_pki(AT_FDCWD, options.trust, (int64_t)time(NULL), &trust, e);
        if (r < 0)
                return r;
        r = trust_verify_attached(trust, TRUST_POLICY, der, size, &content, &content_size, e);
        if (r >= 0)
                r = ipe_policy_parse(content, content_size, ret, e);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}

int verb_verify(int argc, char **argv)
{
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        char version[32], name[4 * IPE_NAME_MAX + 8];
        struct error e = {};
        int r;

        if (!options.trust) {
                log_error(0, "verify: --trust expected");
                return EXIT_COULD_NOT_TRY;
        }
        r = verify_file(argv[0], &policy, &e);
        if (r < 0)
                return fail(r, &e);
        ipe_printable(policy->name, strlen(policy->name), name, sizeof(name));
        (void)snprintf(version, sizeof(version), "%u.%u.%u", policy->version[0], policy->version[1],
                       policy->version[2]);
        if (options.json == JSON_OFF) {
                printf("%s %s: signed for the purpose policy\n", name, version);
                return EXIT_SUCCESS;
        }
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", name),
                           SD_JSON_BUILD_PAIR_STRING("version", version));
        return r < 0 || json_print(v, options.json) < 0 ? EXIT_COULD_NOT_TRY : EXIT_SUCCESS;
}
