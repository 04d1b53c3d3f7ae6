/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "program.h"
#include "trust/trust.h"

static int parse_algorithm(const char *name, enum trust_algorithm *ret, struct error *e)
{
        static const char *const names[] = {"rsa2048", "rsa4096", "p256", "p384"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(name, names[i]) == 0) {
                        *ret = (enum trust_algorithm)i;
                        return 0;
                }
        return error_set(e, -EINVAL, "--algorithm: rsa2048, rsa4096, p256 or p384 expected, found \"%s\"",
                         name);
}

/* "none" makes a certificate that names no purpose. */
static int parse_purpose(const char *name, enum trust_purpose *ret, struct error *e)
{
        *ret = trust_purpose_from_string(name);
        if (*ret == TRUST_PURPOSES && strcmp(name, "none") != 0)
                return error_set(e, -EINVAL, "--purpose: %s or none expected, found \"%s\"",
                                 TRUST_PURPOSE_NAMES, name);
        return 0;
}

/* Neither file is ever replaced: a lost key cannot be made again. The key goes first, and goes away if the
 * certificate fails. */
static int write_pair(const char *key, const char *certificate, struct error *e)
{
        int r;

        r = write_file_new(AT_FDCWD, options.key, key, strlen(key), 0600, e);
        if (r < 0)
                return r;
        r = write_file_new(AT_FDCWD, options.certificate, certificate, strlen(certificate), 0644, e);
        if (r < 0)
                (void)unlink(options.key);
        return r;
}

/* The authority that signs the certificate; none means that the key itself does. */
static int open_issuer(struct trust_signer **ret, struct error *e)
{
        if (!options.issuer_key != !options.issuer_certificate)
                return error_set(e, -EINVAL,
                                 "--issuer-key= and --issuer-certificate= expected together, found one");
        return options.issuer_key ? open_signer(options.issuer_key, options.issuer_certificate, ret, e) : 0;
}

static int keygen(struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *issuer = NULL;
        struct trust_generate_options o = {.days = options.days, .authority = options.authority};
        _cleanup_free_ char *key = NULL, *certificate = NULL;
        char name[64];
        int r;

        if (!options.key || !options.certificate || !options.purpose)
                return error_set(e, -EINVAL, "--purpose=, --key= and --certificate= expected, see --help");
        r = parse_purpose(options.purpose, &o.purpose, e);
        if (r >= 0)
                r = parse_algorithm(options.algorithm ?: "rsa2048", &o.algorithm, e);
        if (r >= 0)
                r = open_issuer(&issuer, e);
        if (r < 0)
                return r;
        (void)snprintf(name, sizeof(name), "Holdfast %s%s", options.purpose,
                       options.authority ? " authority" : "");
        o.common_name = options.common_name ?: name;
        o.issuer = issuer;
        r = trust_generate(&o, &key, &certificate, e);
        if (r < 0)
                return r;
        r = write_pair(key, certificate, e);
        explicit_bzero(key, strlen(key));
        return r;
}

static int print_pair(void)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        if (options.json == JSON_OFF)
                return 0;
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("purpose", options.purpose),
                           SD_JSON_BUILD_PAIR_STRING("key", options.key),
                           SD_JSON_BUILD_PAIR_STRING("certificate", options.certificate));
        return r < 0 ? r : json_print(v, options.json);
}

int verb_keygen(int argc, char **argv)
{
        struct error e = {};
        int r = keygen(&e);

        if (r >= 0)
                r = print_pair();
        return r < 0 ? fail(r, &e) : 0;
}
