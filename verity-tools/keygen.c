/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "program.h"
#include "trust/trust.h"

static int parse_algorithm(const char *name, enum trust_algorithm *ret, struct error *e)
{
        static const char *const names[] = {"rsa2048", "rsa4096", "p256"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(name, names[i]) == 0) {
                        *ret = (enum trust_algorithm)i;
                        return 0;
                }
        return error_set(e, -EINVAL, "--algorithm: rsa2048, rsa4096 or p256 expected, found \"%s\"", name);
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

static int keygen(struct error *e)
{
        _cleanup_free_ char *key = NULL, *certificate = NULL;
        enum trust_algorithm algorithm = TRUST_RSA_2048;
        enum trust_purpose purpose = TRUST_PURPOSES;
        char name[64];
        int r;

        if (!options.key || !options.certificate || !options.purpose)
                return error_set(e, -EINVAL, "--purpose=, --key= and --certificate= expected, see --help");
        r = parse_purpose(options.purpose, &purpose, e);
        if (r < 0)
                return r;
        r = parse_algorithm(options.algorithm ?: "rsa2048", &algorithm, e);
        if (r < 0)
                return r;
        (void)snprintf(name, sizeof(name), "Holdfast %s", options.purpose);
        r = trust_generate(purpose, algorithm, options.common_name ?: name, &key, &certificate, e);
        if (r < 0)
                return r;
        r = write_pair(key, certificate, e);
        explicit_bzero(key, strlen(key));
        return r;
}

int verb_keygen(int argc, char **argv)
{
        struct error e = {};
        int r = keygen(&e);

        if (r < 0) {
                log_failure(r, &e);
                return EXIT_COULD_NOT_TRY;
        }
        return 0;
}
