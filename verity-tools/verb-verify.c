/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity verify */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "base/file.h"
#include "program.h"
#include "transfer.h"

/* As JSON also what is wrong with a signature is told. purpose: that was asked of it; NULL: nothing was. */
static int print_verified(const char *path, const struct verity_geometry *g, const char *purpose,
                          const struct trust_report *report, bool verified)
{
        _cleanup_json_ sd_json_variant *v = NULL, *checks = NULL;
        int r;

        if (options.json == JSON_OFF) {
                r = verified
                            ? printf("%s: %" PRIu64 " blocks match the root hash%s%s\n", path, g->data_blocks,
                                     purpose ? ", and the signature a trusted one for " : "", purpose ?: "")
                            : 0;
                return r < 0 ? -EIO : 0;
        }
        r = report_to_json(report, &checks);
        if (r >= 0)
                r = verity_geometry_to_json(g, &v);
        if (r >= 0)
                r = sd_json_variant_set_field_boolean(&v, "signature_verified", purpose && verified);
        if (r >= 0 && purpose)
                r = sd_json_variant_set_field_string(&v, "purpose", purpose);
        if (r >= 0 && checks)
                r = sd_json_variant_set_field(&v, "signature_checks", checks);
        return r < 0 ? r : json_print(v, options.json);
}

static int verify_file(const char *path, struct error *e)
{
        _cleanup_(image_file_done) struct image_file i = IMAGE_FILE_NONE;
        struct trust_report report = {};
        enum trust_purpose purpose;
        int r, printed;

        options.image.claimed_root_hash = options.trust != NULL;
        r = open_verified_image(path, &i, e);
        if (r < 0)
                return r;
        purpose = purpose_option(i.data_offset > 0 ? TRUST_ROOTFS : TRUST_LAYER, e);
        if (purpose == TRUST_PURPOSES)
                return -EINVAL;
        r = verify_signature(&i, purpose, &report, e);
        printed = r < 0 && report.n == 0
                          ? 0
                          : print_verified(path, &i.geometry,
                                           options.trust ? trust_purpose_to_string(purpose) : NULL, &report,
                                           r >= 0);
        return r < 0 ? r : printed;
}

/* Whoever writes the index chooses the name; the digest is what was verified. */
static int tell_image(const char *name, const struct store_image *image, sd_json_variant **list)
{
        _cleanup_free_ char *shown = NULL;

        if (options.json != JSON_OFF)
                return sd_json_variant_append_arraybo(list, SD_JSON_BUILD_PAIR_STRING("name", name),
                                                      SD_JSON_BUILD_PAIR_STRING("digest", image->digest));
        shown = escape_text(name);
        if (!shown)
                return -ENOMEM;
        return printf("%s: %s\n", shown, image->digest) < 0 ? -EIO : 0;
}

/* Signatures as the machine checks them, and every block of every layer, which the machine does only as it
 * reads them. */
static int verify_store_image(const struct store *store, const struct trust_store *trust, const char *name,
                              sd_json_variant **list, struct error *e)
{
        _cleanup_(store_image_free_ptr) struct store_image *image = NULL;
        struct progress progress;
        const struct verity_tree_options with = {.progress = show_progress, .userdata = &progress};
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
                r = verity_tree_verify(fd, fd, &image->layers[i].geometry, &with, e);
                progress_end(&progress);
                if (r < 0)
                        (void)error_prefix(e, r, "image %s: layer %s", name, image->layers[i].digest);
        }
        return r < 0 ? r : tell_image(name, image, list);
}

static int verify_store(const char *path, const struct trust_store *trust, struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_(store_free_ptr) struct store *store = NULL;
        const char *const *names;
        size_t n;
        int r;

        r = store_open(AT_FDCWD, path, &store, e);
        if (r < 0)
                return r;
        names = store_list(store, &n);
        for (size_t i = 0; i < n; i++) {
                r = verify_store_image(store, trust, names[i], &v, e);
                if (r < 0)
                        return error_prefix(e, r, "%s", path);
        }
        if (n == 0)
                return error_set(e, -ENOENT, "%s: at least one image expected, found none", path);
        return options.json == JSON_OFF ? 0 : json_print(v, options.json);
}

/* An image in a registry, with the signatures that hang on it there. */
static int verify_registry(const char *reference, const struct trust_store *trust, struct error *e)
{
        _cleanup_(layout_free_ptr) struct layout *copy = NULL;
        struct registry_options o = {};
        char place[PATH_MAX];
        int r;

        registry_options_from(&o);
        r = scratch_path(place, e);
        if (r >= 0)
                r = layout_fetch(reference, place, &o, trust, &copy, e);
        return r < 0 ? r : verify_store(layout_path(copy), trust, e);
}

static int verify_images(const char *operand, bool registry, struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *trust = NULL;
        int r;

        if (!options.trust)
                return error_set(e, -EINVAL, "--trust=DIR expected for container images, found none");
        r = open_trust(&trust, e);
        if (r < 0)
                return r;
        return registry ? verify_registry(operand, trust, e) : verify_store(operand, trust, e);
}

int verb_verify(int argc, char **argv)
{
        struct error e = {};
        struct stat st;
        int r;

        if (strncmp(argv[0], OCI_REGISTRY_PREFIX, strlen(OCI_REGISTRY_PREFIX)) == 0)
                r = verify_images(argv[0], true, &e);
        else if (stat(argv[0], &st) < 0)
                r = error_errno(&e, -errno, "%s", argv[0]);
        else
                r = S_ISDIR(st.st_mode) ? verify_images(argv[0], false, &e) : verify_file(argv[0], &e);
        return r < 0 ? fail(r, &e) : 0;
}
