/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vectors.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"

static const char *folder(void)
{
        const char *path = getenv("HOLDFAST_VECTORS") ?: VECTORS;
        struct stat st;

        if (stat(path, &st) < 0) {
                (void)fprintf(stderr, "vectors are absent: %s\n", path);
                cr_skip_test("vectors are absent: %s", path);
        }
        return path;
}

uint8_t *vector_read(const char *name, size_t *ret_size)
{
        char path[512], *data = NULL;
        struct error e = {};

        (void)snprintf(path, sizeof(path), "%s/%s", folder(), name);
        cr_assert_eq(read_file(AT_FDCWD, path, (size_t)16 << 20, &data, ret_size, &e), 0, "%s", e.message);
        return (uint8_t *)data;
}

uint8_t *decode_base64(const char *text, size_t *ret_size)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        void *data = NULL;

        cr_assert_geq(sd_json_variant_new_string(&v, text), 0);
        cr_assert_geq(sd_json_variant_unbase64(v, &data, ret_size), 0);
        return data;
}

uint8_t *vector_decode(const char *name, size_t *ret_size)
{
        uint8_t *raw = vector_read(name, ret_size), *data;
        size_t n = strlen(name);

        if (n < 4 || strcmp(name + n - 4, ".b64") != 0)
                return raw;
        data = decode_base64((char *)raw, ret_size);
        free(raw);
        return data;
}

sd_json_variant *vector_json(const char *name)
{
        sd_json_variant *v = NULL;
        struct error e = {};
        size_t size;
        _cleanup_free_ char *text = (char *)vector_read(name, &size);

        cr_assert_eq(json_parse(name, text, &v, &e), 0, "%s", e.message);
        return v;
}
