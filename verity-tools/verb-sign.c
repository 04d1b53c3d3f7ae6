/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity sign */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "program.h"

int open_signer(const char *key, const char *certificate, struct trust_signer **ret, struct error *e)
{
        const struct trust_signer_options o = {key, certificate, options.providers.items,
                                               options.providers.n};

        return trust_signer_open(&o, ret, e);
}

static int write_signature(const struct trust_signer *signer, const struct verity_geometry *g,
                           const uint8_t *der, size_t size, struct error *e)
{
        char partition[VERITY_SIGNATURE_PARTITION_SIZE + 1] = {};
        _cleanup_free_ char *text = NULL;
        uint8_t fingerprint[32];
        int r;

        if (!options.format || strcmp(options.format, "der") == 0)
                return write_file_atomic(AT_FDCWD, options.output, der, size, 0644, e);
        if (strcmp(options.format, "partition") != 0)
                return error_set(e, -EINVAL, "--format: der or partition expected, found \"%s\"",
                                 options.format);
        r = trust_signer_fingerprint(signer, fingerprint, e);
        if (r >= 0)
                r = verity_signature_format(g, fingerprint, der, size, &text, e);
        if (r < 0)
                return r;
        (void)stpncpy(partition, text, VERITY_SIGNATURE_PARTITION_SIZE);
        return write_file_atomic(AT_FDCWD, options.output, partition, VERITY_SIGNATURE_PARTITION_SIZE, 0644,
                                 e);
}

/* The whole image is read first: what does not hold together is not signed. */
static int sign(const char *path, struct error *e)
{
        _cleanup_(image_file_done) struct image_file i = IMAGE_FILE_NONE;
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        enum trust_purpose purpose = purpose_option(e);
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_free_ uint8_t *der = NULL;
        size_t size = 0;
        int r;

        if (purpose == TRUST_PURPOSES)
                return -EINVAL;
        if (!options.output || !options.key || !options.certificate)
                return error_set(e, -EINVAL, "--key=, --certificate= and --output= expected, see --help");
        r = check_output(
                options.output,
                (const char *const[]){path, options.image.hash_file, options.key, options.certificate}, 4, e);
        if (r >= 0)
                r = open_signer(options.key, options.certificate, &signer, e);
        if (r < 0)
                return r;
        r = open_verified_image(path, &i, e);
        if (r < 0)
                return r;
        verity_geometry_root_hash(&i.geometry, root_hash);
        r = trust_sign(signer, purpose, root_hash, strlen(root_hash), false, &der, &size, e);
        return r < 0 ? r : write_signature(signer, &i.geometry, der, size, e);
}

int verb_sign(int argc, char **argv)
{
        struct error e = {};
        int r = sign(argv[0], &e);

        return r < 0 ? fail(r, &e) : 0;
}
