/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signers.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

static struct trust_signer *make_signer(const char *directory, enum trust_purpose purpose)
{
        const struct trust_generate_options options = {
                .purpose = purpose, .algorithm = TRUST_P256, .common_name = "test"};
        const char *name = trust_purpose_to_string(purpose);
        char key_path[128], certificate_path[128];
        char *key = NULL, *certificate = NULL;
        struct trust_signer *signer = NULL;
        struct error e = {};

        cr_assert_eq(trust_generate(&options, &key, &certificate, &e), 0, "%s", e.message);
        (void)snprintf(key_path, sizeof(key_path), "%s/%s.key", directory, name);
        (void)snprintf(certificate_path, sizeof(certificate_path), "%s/%s.pem", directory, name);
        cr_assert_eq(write_file_atomic(AT_FDCWD, key_path, key, strlen(key), 0600, &e), 0);
        cr_assert_eq(
                write_file_atomic(AT_FDCWD, certificate_path, certificate, strlen(certificate), 0644, &e), 0);
        cr_assert_eq(trust_signer_open(
                             &(struct trust_signer_options){.key = key_path, .certificate = certificate_path},
                             &signer, &e),
                     0, "%s", e.message);
        free(key);
        free(certificate);
        return signer;
}

void signers_make(struct signers *s, const enum trust_purpose *purposes, size_t n)
{
        struct error e = {};

        *s = (struct signers){.directory = "/tmp/osguard-keys-XXXXXX"};
        cr_assert(mkdtemp(s->directory));
        for (size_t i = 0; i < n; i++)
                s->signer[purposes[i]] = make_signer(s->directory, purposes[i]);
        cr_assert_eq(trust_store_open(AT_FDCWD, s->directory, &s->trust, &e), 0, "%s", e.message);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

void signers_done(struct signers *s)
{
        (void)nftw(s->directory, remove_one, 4, FTW_DEPTH | FTW_PHYS);
        trust_store_free(s->trust);
        for (size_t i = 0; i < TRUST_PURPOSES; i++)
                trust_signer_free(s->signer[i]);
}

void signers_sign(const struct signers *s, enum trust_purpose purpose, const void *data, size_t size,
                  uint8_t **ret_der, size_t *ret_size)
{
        struct error e = {};

        cr_assert_eq(trust_sign(s->signer[purpose], purpose, data, size, true, ret_der, ret_size, &e), 0,
                     "%s", e.message);
}
