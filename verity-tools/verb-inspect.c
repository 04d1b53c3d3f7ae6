/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity inspect */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/table.h"
#include "program.h"

static int describe(const struct image_file *i, sd_json_variant **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *erofs = NULL, *verity = NULL;
        struct erofs_info info = {};
        char text[33];
        int r;

        r = erofs_check(i->data_fd, &info, e);
        if (r < 0)
                return r;
        hex_encode(i->uuid, sizeof(i->uuid), text);
        r = verity_geometry_to_json(&i->geometry, &verity);
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
        _cleanup_(image_file_done) struct image_file i = IMAGE_FILE_NONE;
        _cleanup_json_ sd_json_variant *v = NULL;
        struct error e = {};
        int r;

        r = image_file_open(argv[0], &options.image, &i, &e);
        if (r >= 0) {
                r = describe(&i, &v, &e);
                if (r < 0)
                        (void)error_prefix(&e, r, "%s", argv[0]);
        }
        if (r >= 0)
                r = options.json == JSON_OFF ? print_table(v) : json_print(v, options.json);
        return r < 0 ? fail(r, &e) : 0;
}
