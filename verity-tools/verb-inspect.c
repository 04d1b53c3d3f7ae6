/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity inspect */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "base/table.h"
#include "disk-image.h"
#include "erofs-read.h"
#include "program.h"

/* --- what there is to show --- */

static int add_disk(const struct image_file *i, sd_json_variant **v, struct error *e)
{
        _cleanup_json_ sd_json_variant *disk = NULL;
        struct disk_image d = {};
        int r;

        if (i->data_offset == 0)
                return 0;
        r = disk_image_read(i->data_fd, &d, e);
        if (r < 0)
                return r;
        r = disk_image_to_json(&d, &disk);
        if (r >= 0)
                r = sd_json_variant_set_field(v, "disk", disk);
        return r < 0 ? error_errno(e, r, "JSON") : 0;
}

/* The root hash is not in the superblock. */
static int add_verity(const struct image_file *i, sd_json_variant **v, struct error *e)
{
        _cleanup_json_ sd_json_variant *verity = NULL;
        sd_id128_t uuid;
        int r;

        memcpy(&uuid, i->uuid, sizeof(uuid));
        r = verity_geometry_to_json(&i->geometry, &verity);
        if (r >= 0)
                r = sd_json_variant_filter(&verity, (char *[]){(char *)"root_hash", NULL});
        if (r >= 0 && !i->geometry.no_superblock)
                r = sd_json_variant_set_fieldb(&verity, "uuid", SD_JSON_BUILD_UUID(uuid));
        if (r >= 0)
                r = sd_json_variant_set_field(v, "verity", verity);
        return r < 0 ? error_errno(e, r, "JSON") : 0;
}

/* What stands in the way of a signature, as erofs_check_fit() says. */
static int add_fitness(const struct image_file *i, uint64_t covered, sd_json_variant **erofs, struct error *e)
{
        struct error why = {};
        int r = erofs_check_fit(i->data_fd, i->data_offset, covered, false, &why);

        if (r < 0 && r != -EBADMSG)
                return error_set(e, r, "%s", why.message);
        if (r == 0)
                r = sd_json_variant_set_field_boolean(erofs, "fit", true);
        else
                r = sd_json_variant_set_field_string(erofs, "unfit_because", why.message);
        return r < 0 ? error_errno(e, r, "JSON") : 0;
}

/* Data that is no EROFS has a tree as well. */
static int add_erofs(const struct image_file *i, bool tree, sd_json_variant **v, struct error *e)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL;
        _cleanup_json_ sd_json_variant *erofs = NULL;
        int r;

        r = erofs_image_open(i->data_fd, i->data_offset, &image, tree ? NULL : e);
        if (r < 0)
                return tree && r == -EBADMSG ? 0 : r;
        r = erofs_describe(image, &erofs, e);
        if (r >= 0)
                r = add_fitness(i, tree ? verity_data_size(&i->geometry) : UINT64_MAX, &erofs, e);
        if (r < 0)
                return r;
        r = sd_json_variant_set_field(v, "erofs", erofs);
        return r < 0 ? error_errno(e, r, "JSON") : 0;
}

/* An EROFS without a tree is an image too, unless the options say that there is one. */
static int open_any(const char *path, struct image_file *ret, bool *ret_tree, struct error *e)
{
        bool told = options.image.hash_file || options.image.no_superblock ||
                    options.image.hash_offset != IMAGE_FILE_NO_OFFSET;
        int r;

        r = image_file_open(path, &options.image, ret, e);
        *ret_tree = r >= 0;
        if (r != -EBADMSG || told)
                return r;
        ret->data_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        return ret->data_fd < 0 ? error_errno(e, -errno, "%s", path) : 0;
}

static int describe(const char *path, sd_json_variant **ret, struct error *e)
{
        _cleanup_(image_file_done) struct image_file i = IMAGE_FILE_NONE;
        _cleanup_json_ sd_json_variant *v = NULL;
        bool tree = false;
        int r;

        r = open_any(path, &i, &tree, e);
        if (r < 0)
                return r;
        if ((tree && (r = add_disk(&i, &v, e)) < 0) || (r = add_erofs(&i, tree, &v, e)) < 0 ||
            (tree && (r = add_verity(&i, &v, e)) < 0))
                return error_prefix(e, r, "%s", path);
        *ret = TAKE_PTR(v);
        return 0;
}

/* --- as a table --- */

static int add_row(struct table *t, const char *part, const char *field, sd_json_variant *value)
{
        const char *cells[] = {part, field, NULL};
        char number[24];

        if (sd_json_variant_is_string(value))
                cells[2] = sd_json_variant_string(value);
        else if (sd_json_variant_is_boolean(value))
                cells[2] = sd_json_variant_boolean(value) ? "yes" : "no";
        else {
                (void)snprintf(number, sizeof(number), "%" PRIu64, sd_json_variant_unsigned(value));
                cells[2] = number;
        }
        return table_add(t, cells, ELEMENTSOF(cells));
}

/* A row a value: those of arrays have the same name, those of objects in them too. */
static int add_rows(struct table *t, const char *part, const char *field, sd_json_variant *value)
{
        bool object = sd_json_variant_is_object(value);
        size_t n = sd_json_variant_elements(value);
        int r = 0;

        if (!object && !sd_json_variant_is_array(value))
                return add_row(t, part, field, value);
        for (size_t i = 0; r >= 0 && i + object < n; i += object ? 2 : 1)
                r = object ? add_rows(t, part, sd_json_variant_string(sd_json_variant_by_index(value, i)),
                                      sd_json_variant_by_index(value, i + 1))
                           : add_rows(t, part, field, sd_json_variant_by_index(value, i));
        return r;
}

static int print_table(sd_json_variant *v)
{
        static const char *const headings[] = {"PART", "FIELD", "VALUE"};
        struct table *t = table_new(headings, ELEMENTSOF(headings));
        int r = 0;

        if (!t)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i + 1 < sd_json_variant_elements(v); i += 2)
                r = add_rows(t, sd_json_variant_string(sd_json_variant_by_index(v, i)), NULL,
                             sd_json_variant_by_index(v, i + 1));
        if (r >= 0)
                r = table_print(t);
        (void)table_free(t);
        return r;
}

int verb_inspect(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        struct error e = {};
        int r;

        r = describe(argv[0], &v, &e);
        if (r >= 0)
                r = options.json == JSON_OFF ? print_table(v) : json_print(v, options.json);
        return r < 0 ? fail(r, &e) : 0;
}
