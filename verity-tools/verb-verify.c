/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity verify */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "program.h"

/* A signature file is DER, or what a signature partition holds. */
static int read_signature(const struct verity_geometry *g, uint8_t **ret, size_t *ret_size, struct error *e)
{
        struct verity_signature s = {};
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        int r;

        r = read_file(AT_FDCWD, options.signature, 4 * TRUST_SIGNATURE_MAX, &data, &size, e);
        if (r < 0)
                return r;
        if (size == 0 || data[0] != '{') {
                *ret = (uint8_t *)TAKE_PTR(data);
                *ret_size = size;
                return 0;
        }
        r = verity_signature_parse(data, size, &s, e);
        if (r < 0)
                return error_prefix(e, r, "%s", options.signature);
        verity_geometry_root_hash(g, root_hash);
        if (strcmp(root_hash, s.root_hash) != 0) {
                verity_signature_done(&s);
                return error_set(e, -EBADMSG, "%s: root hash %s expected, found %s", options.signature,
                                 root_hash, s.root_hash);
        }
        *ret = s.der;
        *ret_size = s.der_size;
        return 0;
}

static int verify_signature(const struct verity_geometry *g, struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *store = NULL;
        enum trust_purpose purpose = purpose_option(e);
        _cleanup_free_ uint8_t *der = NULL;
        size_t size = 0;
        int r;

        if (purpose == TRUST_PURPOSES)
                return -EINVAL;
        if (!options.signature != !options.trust)
                return error_set(e, -EINVAL, "--signature= and --trust= expected together, found one");
        if (!options.signature)
                return 0;
        r = trust_store_open(AT_FDCWD, options.trust, &store, e);
        if (r >= 0)
                r = read_signature(g, &der, &size, e);
        return r < 0 ? r : verity_signature_check(store, purpose, g, der, size, e);
}

static int print_verified(const char *path, const struct verity_geometry *g)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        if (options.json == JSON_OFF) {
                r = printf("%s: %" PRIu64 " blocks match the root hash%s\n", path, g->data_blocks,
                           options.signature ? ", and the signature the trusted certificate" : "");
                return r < 0 ? -EIO : 0;
        }
        r = verity_geometry_to_json(g, &v);
        if (r >= 0)
                r = sd_json_variant_set_field_boolean(&v, "signature_verified", options.signature != NULL);
        return r < 0 ? r : json_print(v, options.json);
}

static int verify_file(const char *path, struct error *e)
{
        _cleanup_(image_file_done) struct image_file i = IMAGE_FILE_NONE;
        int r;

        r = open_verified_image(path, &i, e);
        if (r >= 0)
                r = verify_signature(&i.geometry, e);
        return r < 0 ? r : print_verified(path, &i.geometry);
}

/* Signatures as the machine checks them, and every block of every layer, which the machine does only as it
 * reads them. */
static int verify_store_image(const struct store *store, const struct trust_store *trust, const char *name,
                              struct error *e)
{
        _cleanup_(store_image_free_ptr) struct store_image *image = NULL;
        struct progress progress;
        int r;

        r = store_find_image(store, name, trust, &image, e);
        for (size_t i = 0; r >= 0 && i < image->n_layers; i++) {
                _cleanup_close_ int fd = -EBADF;
                struct erofs_info info = {};

                r = store_open_layer(store, &image->layers[i], &fd, e);
                if (r >= 0)
                        r = erofs_check(fd, &info, e);
                if (r < 0)
                        break;
                progress_start(&progress, image->layers[i].digest, 0);
                r = verity_tree_verify(fd, fd, &image->layers[i].geometry, show_progress, &progress, e);
                progress_end(&progress);
                if (r < 0)
                        (void)error_prefix(e, r, "image %s: layer %s", name, image->layers[i].digest);
        }
        if (r >= 0 && options.json == JSON_OFF && printf("%s: %s\n", name, image->digest) < 0)
                r = -EIO;
        return r;
}

static int verify_store(const char *path, struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *trust = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_(store_free_ptr) struct store *store = NULL;
        const char *const *names;
        size_t n;
        int r;

        if (!options.trust)
                return error_set(e, -EINVAL, "--trust=DIR expected for an OCI layout, found none");
        r = trust_store_open(AT_FDCWD, options.trust, &trust, e);
        if (r >= 0)
                r = store_open(AT_FDCWD, path, &store, e);
        if (r < 0)
                return r;
        names = store_list(store, &n);
        for (size_t i = 0; i < n; i++) {
                r = verify_store_image(store, trust, names[i], e);
                if (r >= 0)
                        r = sd_json_variant_append_arrayb(&v, SD_JSON_BUILD_STRING(names[i]));
                if (r < 0)
                        return error_prefix(e, r, "%s", path);
        }
        if (n == 0)
                return error_set(e, -ENOENT, "%s: at least one image expected, found none", path);
        return options.json == JSON_OFF ? 0 : json_print(v, options.json);
}

int verb_verify(int argc, char **argv)
{
        struct error e = {};
        struct stat st;
        int r;

        if (stat(argv[0], &st) < 0)
                r = error_errno(&e, -errno, "%s", argv[0]);
        else
                r = S_ISDIR(st.st_mode) ? verify_store(argv[0], &e) : verify_file(argv[0], &e);
        return r < 0 ? fail(r, &e) : 0;
}
