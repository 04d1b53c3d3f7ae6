/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From images of tar layers to images of signed EROFS layers. */
#include "convert.h"

#include <errno.h>
#include <string.h>

#include "transfer.h"

static void conversion_done(struct conversion *c)
{
        for (size_t i = 0; i < c->n_jobs; i++)
                free(c->jobs[i].sources);
        free(c->jobs);
        free(c->done);
        oci_images_free(c->images, c->n_images);
        oci_source_free(c->source);
        layout_free(c->out);
}

static int add_images(struct conversion *c, struct build_oci_result *result, struct error *e)
{
        for (size_t i = 0; i < c->n_images; i++) {
                _cleanup_json_ sd_json_variant *image = NULL;
                int r;

                r = c->o->signatures_only ? conversion_add_signatures(c, &c->images[i], &image, e)
                                          : conversion_add_image(c, &c->images[i], &image, e);
                if (r < 0)
                        return error_prefix(e, r, "image %.200s", c->images[i].reference);
                r = sd_json_variant_append_array(&result->images, image);
                if (r < 0)
                        return error_errno(e, r, "result");
        }
        result->n_images = c->n_images;
        result->n_layers = c->n_jobs;
        for (size_t i = 0; i < c->n_jobs; i++)
                result->size += c->jobs[i].blob.size;
        return layout_write_index(c->out, e);
}

static int check_push(const struct conversion *c, struct error *e)
{
        if (!c->o->push)
                return 0;
        if (c->n_images != 1)
                return error_set(e, -EINVAL, "one image expected to be pushed, found %zu: name one of them",
                                 c->n_images);
        if (strchr(c->o->push, '@') && !c->o->signatures_only)
                return error_set(e, -EINVAL,
                                 "%s: a name without digest expected, since it is not known before",
                                 c->o->push);
        return 0;
}

static int convert(struct conversion *c, struct build_oci_result *result, struct error *e)
{
        int r;

        r = oci_source_images(c->source, &c->images, &c->n_images, e);
        if (r >= 0)
                r = check_push(c, e);
        for (size_t i = 0; r >= 0 && i < c->n_images; i++) {
                r = conversion_plan(c, &c->images[i], e);
                if (r < 0)
                        (void)error_prefix(e, r, "image %.200s", c->images[i].reference);
        }
        if (r >= 0)
                r = conversion_build_layers(c, e);
        return r < 0 ? r : add_images(c, result, e);
}

void build_oci_result_done(struct build_oci_result *r)
{
        sd_json_variant_unref(r->images);
        *r = (struct build_oci_result){};
}

int build_oci(const char *source, const char *output, const struct build_oci_options *o,
              struct build_oci_result *ret, struct error *e)
{
        const char *place = output ?: o->scratch;
        struct oci_source_options from = {.platform = o->platform, .scratch = place, .registry = o->registry};
        struct conversion c = {.o = o};
        struct build_oci_result result = {};
        int r;

        r = output ? layout_check_output(output, e) : 0;
        if (r >= 0)
                r = layout_new(place, &c.out, e);
        if (r >= 0)
                r = oci_source_open(source, &from, &c.source, e);
        if (r >= 0) {
                r = convert(&c, &result, e);
                if (r < 0)
                        (void)error_prefix(e, r, "%s", source);
        }
        if (r >= 0 && o->push && !o->digest_out)
                r = layout_push(layout_path(c.out), o->push, &o->registry, e);
        if (r >= 0 && output && !o->digest_out)
                r = layout_publish(c.out, e);
        if (r >= 0)
                *ret = result;
        else
                build_oci_result_done(&result);
        conversion_done(&c);
        return r;
}
