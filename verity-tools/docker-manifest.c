/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manifest.json of an archive of `docker save`. */
#include <errno.h>
#include <string.h>

#include "oci-source.h"

void docker_archive_done(struct docker_archive *a)
{
        for (size_t i = 0; i < a->n; i++) {
                free(a->images[i].config);
                oci_free_strings(a->images[i].layers);
                oci_free_strings(a->images[i].tags);
        }
        free(a->images);
        *a = (struct docker_archive){};
}

static int copy_name(sd_json_variant *v, const char *field, char **ret, struct error *e)
{
        const char *s = v && sd_json_variant_is_string(v) ? sd_json_variant_string(v) : NULL;

        if (!s || s[0] == '\0' || strlen(s) > DOCKER_NAME_MAX)
                return error_set(e, -EBADMSG, "manifest.json: field \"%s\": names of 1 to %u bytes expected",
                                 field, DOCKER_NAME_MAX);
        *ret = strdup(s);
        return *ret ? 0 : -ENOMEM;
}

/* An array of names; null and an absent one are empty. */
static int copy_names(sd_json_variant *image, const char *field, size_t max, char ***ret, size_t *ret_n,
                      struct error *e)
{
        sd_json_variant *v = sd_json_variant_by_key(image, field);
        size_t n = 0;

        if (v && !sd_json_variant_is_null(v)) {
                if (!sd_json_variant_is_array(v) || sd_json_variant_elements(v) > max)
                        return error_set(
                                e, -EBADMSG,
                                "manifest.json: field \"%s\": an array of at most %zu names expected", field,
                                max);
                n = sd_json_variant_elements(v);
        }
        *ret = calloc(n + 1, sizeof(**ret));
        if (!*ret)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r = copy_name(sd_json_variant_by_index(v, i), field, &(*ret)[i], e);

                if (r < 0)
                        return r;
        }
        *ret_n = n;
        return 0;
}

static int parse_image(sd_json_variant *v, struct docker_image *image, struct error *e)
{
        int r;

        if (!sd_json_variant_is_object(v))
                return error_set(e, -EBADMSG, "manifest.json: objects expected, found something else");
        if ((r = copy_name(sd_json_variant_by_key(v, "Config"), "Config", &image->config, e)) < 0 ||
            (r = copy_names(v, "Layers", STORE_LAYERS_MAX, &image->layers, &image->n_layers, e)) < 0)
                return r;
        return copy_names(v, "RepoTags", STORE_IMAGES_MAX, &image->tags, &image->n_tags, e);
}

int docker_archive_parse(const char *text, struct docker_archive *ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        struct docker_archive a = {};
        size_t n;
        int r;

        r = json_parse("manifest.json", text, &v, e);
        if (r < 0)
                return -EBADMSG;
        n = sd_json_variant_is_array(v) ? sd_json_variant_elements(v) : 0;
        if (n < 1 || n > STORE_IMAGES_MAX)
                return error_set(e, -EBADMSG, "manifest.json: an array of 1 to %d images expected",
                                 STORE_IMAGES_MAX);
        a.images = calloc(n, sizeof(*a.images));
        if (!a.images)
                return -ENOMEM;
        for (a.n = 0; a.n < n; a.n++) {
                r = parse_image(sd_json_variant_by_index(v, a.n), &a.images[a.n], e);
                if (r < 0) {
                        a.n++;
                        docker_archive_done(&a);
                        return r;
                }
        }
        *ret = a;
        return 0;
}
