/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity sign, verity verify, verity inspect */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/table.h"
#include "build.h"
#include "program.h"

/* The image and where its tree is: the same descriptor twice where they share a file. */
struct image {
        int data_fd, own_hash_fd, hash_fd;
};

static void image_done(struct image *i)
{
        (void)close_fd(i->data_fd);
        (void)close_fd(i->own_hash_fd);
}

static int image_open(const char *path, struct image *ret, struct error *e)
{
        *ret = (struct image){.data_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), .own_hash_fd = -EBADF};
        if (ret->data_fd < 0)
                return error_errno(e, -errno, "%s", path);
        ret->hash_fd = ret->data_fd;
        if (!options.hash_file)
                return 0;
        ret->own_hash_fd = ret->hash_fd = open(options.hash_file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        return ret->hash_fd < 0 ? error_errno(e, -errno, "%s", options.hash_file) : 0;
}

static enum trust_purpose purpose_option(struct error *e)
{
        enum trust_purpose p = trust_purpose_from_string(options.purpose ?: "layer");

        if (p == TRUST_PURPOSES)
                (void)error_set(e, -EINVAL, "--purpose: %s expected, found \"%s\"", TRUST_PURPOSE_NAMES,
                                options.purpose);
        return p;
}

static int verify_content(const struct image *i, struct verity_geometry *g, struct error *e)
{
        struct progress progress;
        int r;

        if (!options.root_hash)
                return error_set(e, -EINVAL, "--root-hash=HEX expected, found none");
        r = build_read_geometry(i->data_fd, i->hash_fd, options.root_hash, g, e);
        if (r < 0)
                return r;
        progress_start(&progress, "verifying", 0);
        r = verity_tree_verify(i->data_fd, i->hash_fd, g, show_progress, &progress, e);
        progress_end(&progress);
        return r;
}

/* --- sign --- */

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
static int sign(const char *path, const struct image *i, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        enum trust_purpose purpose = purpose_option(e);
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_free_ uint8_t *der = NULL;
        struct verity_geometry g = {};
        size_t size = 0;
        int r;

        if (purpose == TRUST_PURPOSES)
                return -EINVAL;
        if (!options.output || !options.key || !options.certificate)
                return error_set(e, -EINVAL, "--key=, --certificate= and --output= expected, see --help");
        r = check_output(options.output,
                         (const char *const[]){path, options.hash_file, options.key, options.certificate}, 4,
                         e);
        if (r >= 0)
                r = trust_signer_open(options.key, options.certificate, &signer, e);
        if (r < 0)
                return r;
        r = verify_content(i, &g, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        verity_geometry_root_hash(&g, root_hash);
        r = trust_sign(signer, purpose, root_hash, strlen(root_hash), false, &der, &size, e);
        return r < 0 ? r : write_signature(signer, &g, der, size, e);
}

int verb_sign(int argc, char **argv)
{
        _cleanup_(image_done) struct image i = {.data_fd = -EBADF, .own_hash_fd = -EBADF};
        struct error e = {};
        int r = image_open(argv[0], &i, &e);

        if (r >= 0)
                r = sign(argv[0], &i, &e);
        return r < 0 ? fail(r, &e) : 0;
}

/* --- verify --- */

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
        _cleanup_(image_done) struct image i = {.data_fd = -EBADF, .own_hash_fd = -EBADF};
        struct verity_geometry g = {};
        int r;

        r = image_open(path, &i, e);
        if (r < 0)
                return r;
        r = verify_content(&i, &g, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        r = verify_signature(&g, e);
        return r < 0 ? r : print_verified(path, &g);
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

/* --- inspect --- */

static int describe(const struct image *i, sd_json_variant **ret, struct error *e)
{
        uint8_t block[VERITY_SUPERBLOCK_SIZE], uuid[16];
        _cleanup_json_ sd_json_variant *erofs = NULL, *verity = NULL;
        struct erofs_info info = {};
        struct verity_geometry g = {};
        char text[33];
        uint64_t offset;
        int r;

        r = erofs_check(i->data_fd, &info, e);
        if (r < 0)
                return r;
        offset = i->hash_fd == i->data_fd ? info.blocks * info.block_size : 0;
        r = pread_full(i->hash_fd, block, sizeof(block), offset);
        if (r < 0)
                return error_errno(e, r, "verity superblock at %" PRIu64, offset);
        r = verity_superblock_parse(block, sizeof(block), offset, &g, uuid, e);
        if (r < 0)
                return r;
        hex_encode(uuid, sizeof(uuid), text);
        r = verity_geometry_to_json(&g, &verity);
        if (r >= 0)
                r = sd_json_variant_set_field_string(&verity, "uuid", text);
        hex_encode(info.uuid, sizeof(info.uuid), text);
        if (r >= 0)
                r = sd_json_buildo(&erofs, SD_JSON_BUILD_PAIR_UNSIGNED("block_size", info.block_size),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("blocks", info.blocks),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("feature_compat", info.feature_compat),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("feature_incompat", info.feature_incompat),
                                   SD_JSON_BUILD_PAIR_STRING("uuid", text));
        if (r >= 0)
                r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_VARIANT("erofs", erofs),
                                   SD_JSON_BUILD_PAIR_VARIANT("verity", verity));
        return r < 0 ? error_errno(e, r, "JSON") : 0;
}

/* One row a field. The root hash is not in the superblock, so its row would be empty. */
static int print_table(sd_json_variant *v)
{
        static const char *const headings[] = {"PART", "FIELD", "VALUE"};
        struct table *t = table_new(headings, ELEMENTSOF(headings));
        int r = 0;

        if (!t)
                return -ENOMEM;
        for (size_t part = 0; r >= 0 && part + 1 < sd_json_variant_elements(v); part += 2) {
                sd_json_variant *fields = sd_json_variant_by_index(v, part + 1);

                for (size_t f = 0; r >= 0 && f + 1 < sd_json_variant_elements(fields); f += 2) {
                        sd_json_variant *value = sd_json_variant_by_index(fields, f + 1);
                        char number[24];
                        const char *cells[] = {sd_json_variant_string(sd_json_variant_by_index(v, part)),
                                               sd_json_variant_string(sd_json_variant_by_index(fields, f)),
                                               number};

                        (void)snprintf(number, sizeof(number), "%" PRIu64, sd_json_variant_unsigned(value));
                        if (sd_json_variant_is_string(value))
                                cells[2] = sd_json_variant_string(value);
                        if (strcmp(cells[1], "root_hash") != 0)
                                r = table_add(t, cells, ELEMENTSOF(cells));
                }
        }
        if (r >= 0)
                r = table_print(t);
        (void)table_free(t);
        return r;
}

int verb_inspect(int argc, char **argv)
{
        _cleanup_(image_done) struct image i = {.data_fd = -EBADF, .own_hash_fd = -EBADF};
        _cleanup_json_ sd_json_variant *v = NULL;
        struct error e = {};
        int r;

        r = image_open(argv[0], &i, &e);
        if (r >= 0) {
                r = describe(&i, &v, &e);
                if (r < 0)
                        (void)error_prefix(&e, r, "%s", argv[0]);
        }
        if (r >= 0)
                r = options.json == JSON_OFF ? print_table(v) : json_print(v, options.json);
        return r < 0 ? fail(r, &e) : 0;
}
