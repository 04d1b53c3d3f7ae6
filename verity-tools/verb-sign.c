/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity sign */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "erofs-read.h"
#include "program.h"

int open_signer(const char *key, const char *certificate, struct trust_signer **ret, struct error *e)
{
        const struct trust_signer_options o = {key, certificate, options.providers.items,
                                               options.providers.n};
        _cleanup_(trust_signer_free_ptr) struct trust_signer *s = NULL;
        int64_t at;
        int r;

        if ((r = time_option(&at, e)) < 0 || (r = trust_signer_open(&o, &s, e)) < 0 ||
            (r = trust_signer_check_time(s, at, e)) < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
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

/* What a key that lies elsewhere has to sign: as bytes in the file, and printed with all that its owner asks.
 */
static int write_digest(const struct trust_signer *signer, enum trust_purpose purpose, const char *root_hash,
                        struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        char hex[2 * sizeof((struct trust_digest){}.bytes) + 1];
        struct trust_digest d;
        int r;

        r = trust_signer_digest(signer, purpose, root_hash, strlen(root_hash), &d, e);
        if (r >= 0)
                r = write_file_atomic(AT_FDCWD, options.digest_out, d.bytes, d.size, 0644, e);
        if (r < 0)
                return r;
        hex_encode(d.bytes, d.size, hex);
        if (options.json == JSON_OFF)
                return printf("%s\n", hex) < 0 ? -EIO : 0;
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("root_hash", root_hash),
                           SD_JSON_BUILD_PAIR_STRING("digest_algorithm", d.algorithm),
                           SD_JSON_BUILD_PAIR_STRING("digest", hex),
                           SD_JSON_BUILD_PAIR("digest_base64", SD_JSON_BUILD_BASE64(d.bytes, d.size)),
                           SD_JSON_BUILD_PAIR_STRING("signature_scheme", d.scheme));
        return r < 0 ? r : json_print(v, options.json);
}

static int check_options(const char *path, struct error *e)
{
        const char *const inputs[] = {path, options.image.hash_file, options.key, options.certificate,
                                      options.attach};
        const char *output = options.digest_out ?: options.output;

        if (!options.key + !options.digest_out + !options.attach != 2)
                return error_set(e, -EINVAL, "one of --key=, --digest-out= and --attach= expected");
        if (!output || !options.certificate)
                return error_set(e, -EINVAL, "--certificate= and --output= expected, see --help");
        return check_output(output, inputs, ELEMENTSOF(inputs), e);
}

static int print_signed(enum trust_purpose purpose, const char *root_hash)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        if (options.json == JSON_OFF)
                return 0;
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("root_hash", root_hash),
                           SD_JSON_BUILD_PAIR_STRING("purpose", trust_purpose_to_string(purpose)),
                           SD_JSON_BUILD_PAIR_STRING("signature", options.output));
        return r < 0 ? r : json_print(v, options.json);
}

/* The whole image is read first: what does not hold together, or IPE cannot protect, is not signed. */
static int sign(const char *path, struct error *e)
{
        _cleanup_(image_file_done) struct image_file i = IMAGE_FILE_NONE;
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        enum trust_purpose purpose = purpose_option(TRUST_LAYER, e);
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_free_ uint8_t *der = NULL;
        size_t size = 0;
        int r;

        if (purpose == TRUST_PURPOSES)
                return -EINVAL;
        r = check_options(path, e);
        if (r >= 0)
                r = open_signer(options.key, options.certificate, &signer, e);
        if (r >= 0)
                r = open_verified_image(path, &i, e);
        if (r >= 0) {
                r = erofs_check_fit(i.data_fd, i.data_offset, verity_data_size(&i.geometry),
                                    options.allow_setuid, e);
                if (r < 0)
                        (void)error_prefix(e, r, "%s", path);
        }
        if (r < 0)
                return r;
        verity_geometry_root_hash(&i.geometry, root_hash);
        if (options.digest_out)
                return write_digest(signer, purpose, root_hash, e);
        r = trust_sign_detached(signer, purpose, root_hash, options.attach, &der, &size, e);
        if (r >= 0)
                r = write_signature(signer, &i.geometry, der, size, e);
        return r < 0 ? r : print_signed(purpose, root_hash);
}

int verb_sign(int argc, char **argv)
{
        struct error e = {};
        int r = sign(argv[0], &e);

        return r < 0 ? fail(r, &e) : 0;
}
