/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int json_print(sd_json_variant *v, enum json_mode mode)
{
        sd_json_format_flags_t flags = SD_JSON_FORMAT_NEWLINE;

        if (mode == JSON_PRETTY)
                flags |= SD_JSON_FORMAT_PRETTY;
        return sd_json_variant_dump(v, flags, stdout, NULL);
}

/* Values and names, near enough: what stands behind each of these characters outside of strings. */
static bool has_too_many_values(const char *text)
{
        bool string = false;
        size_t n = 0;

        for (const char *p = text; *p && n <= JSON_VALUES_MAX; p++) {
                if (*p == '"')
                        string = !string;
                else if (string && p[0] == '\\' && p[1])
                        p++;
                else if (!string && strchr(",:[{", *p))
                        n++;
        }
        return n > JSON_VALUES_MAX;
}

int json_parse(const char *name, const char *text, sd_json_variant **ret, struct error *e)
{
        unsigned line = 0, column = 0;
        int r;

        if (has_too_many_values(text))
                return error_set(e, -E2BIG, "%s: at most %u values expected, found more", name,
                                 JSON_VALUES_MAX);
        r = sd_json_parse(text, 0, ret, &line, &column);
        if (r < 0)
                return error_set(e, r, "%s:%u:%u: JSON expected, found something else", name, line, column);
        return 0;
}

static int field_of(sd_json_variant *object, const char *name, const char *field, const char *type,
                    int (*is_type)(sd_json_variant *), sd_json_variant **ret, struct error *e)
{
        sd_json_variant *v = sd_json_variant_by_key(object, field);

        if (!v)
                return error_set(e, -EINVAL, "%s: field \"%s\" expected, not found", name, field);
        if (!is_type(v))
                return error_set(e, -EINVAL, "%s: field \"%s\": %s expected, found something else", name,
                                 field, type);
        *ret = v;
        return 0;
}

int json_string(sd_json_variant *object, const char *name, const char *field, const char **ret,
                struct error *e)
{
        sd_json_variant *v = NULL;
        int r;

        r = field_of(object, name, field, "a string", sd_json_variant_is_string, &v, e);
        if (r >= 0)
                *ret = sd_json_variant_string(v);
        return r;
}

int json_unsigned(sd_json_variant *object, const char *name, const char *field, uint64_t max, uint64_t *ret,
                  struct error *e)
{
        sd_json_variant *v = NULL;
        uint64_t n;
        int r;

        r = field_of(object, name, field, "a non-negative number", sd_json_variant_is_unsigned, &v, e);
        if (r < 0)
                return r;
        n = sd_json_variant_unsigned(v);
        if (n > max)
                return error_set(e, -ERANGE, "%s: field \"%s\": at most %lu expected, found %lu", name, field,
                                 (unsigned long)max, (unsigned long)n);
        *ret = n;
        return 0;
}

int json_object(sd_json_variant *object, const char *name, const char *field, sd_json_variant **ret,
                struct error *e)
{
        return field_of(object, name, field, "an object", sd_json_variant_is_object, ret, e);
}

int json_array(sd_json_variant *object, const char *name, const char *field, sd_json_variant **ret,
               struct error *e)
{
        return field_of(object, name, field, "an array", sd_json_variant_is_array, ret, e);
}

const char *json_optional_string(sd_json_variant *object, const char *field)
{
        sd_json_variant *v = object ? sd_json_variant_by_key(object, field) : NULL;

        return v && sd_json_variant_is_string(v) ? sd_json_variant_string(v) : NULL;
}
