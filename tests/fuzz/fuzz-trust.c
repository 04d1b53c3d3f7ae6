/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "fuzz.h"
#include "trust/trust.h"

#include <fcntl.h>
#include <string.h>

static struct trust_store *store;
static uint8_t *good;
static size_t good_size;
static const char content[] = "policy";

/* A store with one key that exists for this run only, and a good signature to change. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        char dir[] = "/tmp/fuzz-trust-XXXXXX", key_path[64], certificate_path[64];
        char *key = NULL, *certificate = NULL;
        struct trust_signer *signer = NULL;

        PROMISE(mkdtemp(dir));
        (void)snprintf(key_path, sizeof(key_path), "%s/key", dir);
        (void)snprintf(certificate_path, sizeof(certificate_path), "%s/policy.pem", dir);
        PROMISE(trust_generate(&(struct trust_generate_options){.purpose = TRUST_POLICY,
                                                                .algorithm = TRUST_P256,
                                                                .common_name = "fuzz"},
                               &key, &certificate, NULL) == 0);
        PROMISE(write_file_new(AT_FDCWD, key_path, key, strlen(key), 0600, NULL) == 0);
        PROMISE(write_file_new(AT_FDCWD, certificate_path, certificate, strlen(certificate), 0600, NULL) ==
                0);
        PROMISE(trust_store_open(AT_FDCWD, dir, &store, NULL) == 0);
        PROMISE(trust_signer_open(
                        &(struct trust_signer_options){.key = key_path, .certificate = certificate_path},
                        &signer, NULL) == 0);
        PROMISE(trust_sign(signer, TRUST_POLICY, content, sizeof(content), true, &good, &good_size, NULL) ==
                0);
        trust_signer_free(signer);
        free(key);
        free(certificate);
        PROMISE(unlink(key_path) == 0 && unlink(certificate_path) == 0 && rmdir(dir) == 0);
        return 0;
}

static void check(const uint8_t *der, size_t size)
{
        const void *inside = NULL;
        size_t n = 0;

        if (trust_verify_attached(store, TRUST_POLICY, der, size, &inside, &n, NULL) == 0)
                PROMISE(n == sizeof(content) && memcmp(inside, content, n) == 0);
}

/* The input as a signature, and the good signature with the input written over a part of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *changed;
        size_t at, n;

        check(data, size);
        if (size < 3)
                return 0;
        changed = malloc(good_size);
        memcpy(changed, good, good_size);
        at = (size_t)(data[0] << 8 | data[1]) % good_size;
        n = size - 2 < good_size - at ? size - 2 : good_size - at;
        memcpy(changed + at, data + 2, n);
        check(changed, good_size);
        free(changed);
        return 0;
}
