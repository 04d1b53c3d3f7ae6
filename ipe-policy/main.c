/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/args.h"
#include "base/file.h"
#include "base/log.h"
#include "ipe-policy/ipe-policy.h"
#include "trust/trust.h"

static const char *key, *certificate, *output;
static struct arg_list providers;
static enum json_mode json;

static int read_policy(const char *path, char **ret_text, struct ipe_policy *ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r;

        r = read_file(AT_FDCWD, path, IPE_POLICY_MAX, &text, NULL, e);
        if (r < 0)
                return r;
        r = ipe_policy_parse(text, strlen(text), ret, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        *ret_text = TAKE_PTR(text);
        return 0;
}

/* Whether a policy or a key is refused is an answer; that a file cannot be read is none. */
static int failed(int r, const struct error *e)
{
        log_failure(r, e);
        switch (r) {
        case -EBADMSG:
        case -EINVAL:
        case -ERANGE:
        case -ENAMETOOLONG:
        case -EKEYREJECTED:
                return EXIT_ANSWER_IS_NO;
        default:
                return EXIT_COULD_NOT_TRY;
        }
}

static int info(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        struct ipe_policy policy;
        struct error e = {};
        char version[32];
        int r;

        r = read_policy(argv[0], &text, &policy, &e);
        if (r < 0)
                return failed(r, &e);
        (void)snprintf(version, sizeof(version), "%u.%u.%u", policy.version[0], policy.version[1],
                       policy.version[2]);
        if (json == JSON_OFF) {
                printf("%s %s, %u rules\n", policy.name, version, policy.n_rules);
                return EXIT_SUCCESS;
        }
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", policy.name),
                           SD_JSON_BUILD_PAIR_STRING("version", version),
                           SD_JSON_BUILD_PAIR_UNSIGNED("rules", policy.n_rules),
                           SD_JSON_BUILD_PAIR_BOOLEAN("allows_boot_verified", policy.allows_boot_verified));
        if (r >= 0)
                r = json_print(v, json);
        return r < 0 ? EXIT_COULD_NOT_TRY : EXIT_SUCCESS;
}

static int sign_file(const char *path, struct error *e)
{
        const struct trust_signer_options o = {key, certificate, providers.items, providers.n};
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_free_ uint8_t *der = NULL;
        struct ipe_policy policy;
        size_t size = 0;
        int r;

        r = read_policy(path, &text, &policy, e);
        if (r >= 0)
                r = trust_signer_open(&o, &signer, e);
        if (r >= 0)
                r = trust_sign(signer, TRUST_POLICY, text, strlen(text), true, &der, &size, e);
        return r < 0 ? r : write_file_atomic(AT_FDCWD, output, der, size, 0644, e);
}

static int sign(int argc, char **argv)
{
        struct error e = {};
        int r;

        if (!key || !certificate || !output) {
                log_error(0, "sign: --key, --certificate and --output expected");
                return EXIT_COULD_NOT_TRY;
        }
        r = check_output(output, (const char *const[]){argv[0], key, certificate}, 3, &e);
        if (r >= 0)
                r = sign_file(argv[0], &e);
        return r < 0 ? failed(r, &e) : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        static const struct arg_verb verbs[] = {
                {"info", "POLICY", 1, 1, "Parse a policy as the kernel would; show name and version", info},
                {"sign", "POLICY", 1, 1, "Sign a policy in the form that the kernel loads", sign},
                {},
        };
        static const struct arg_option options[] = {
                {"key", 0, ARG_STRING, &key, "FILE|URI", "sign", "Private key of purpose \"policy\""},
                {"certificate", 0, ARG_STRING, &certificate, "FILE|URI", "sign", "Its certificate"},
                {"provider", 0, ARG_LIST, &providers, "NAME", "sign", "OpenSSL provider that resolves URIs"},
                {"output", 'o', ARG_STRING, &output, "FILE", "sign", "Where the PKCS#7 goes"},
                {"json", 0, ARG_JSON, &json, "off|short|pretty", NULL, "Print JSON"},
                {},
        };
        static const struct arg_program program = {
                "ipe-policy",
                "Policies of the kernel's Integrity Policy Enforcement.",
                verbs,
                options,
        };

        log_setup(argv[0]);
        return args_run(&program, argc, argv);
}
