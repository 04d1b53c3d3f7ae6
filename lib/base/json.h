/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON is sd-json; this adds what every reader and printer here needs: limits, and messages that name the
 * field. */
#pragma once

#include <stdint.h>
#include <systemd/sd-json.h>

#include "base/cleanup.h"
#include "base/error.h"

#define _cleanup_json_ _cleanup_(sd_json_variant_unrefp)

/* What --json= asks for. */
enum json_mode { JSON_OFF, JSON_SHORT, JSON_PRETTY };

/* Prints v to standard output as the mode says, with a newline. */
int json_print(sd_json_variant *v, enum json_mode mode);

/* At most so many values and names: each takes about 100 bytes of memory, however short its text is. */
#define JSON_VALUES_MAX 262144u

/* Parses a text. `name` is what the message calls it. Its size is for the caller to bound, sd-json bounds the
 * depth. -E2BIG: too many values. */
int json_parse(const char *name, const char *text, sd_json_variant **ret, struct error *e);

/* The field of an object: a borrowed reference. -EINVAL when it is absent, or not of the type asked for. */
int json_string(sd_json_variant *object, const char *name, const char *field, const char **ret,
                struct error *e);
int json_unsigned(sd_json_variant *object, const char *name, const char *field, uint64_t max, uint64_t *ret,
                  struct error *e);
int json_object(sd_json_variant *object, const char *name, const char *field, sd_json_variant **ret,
                struct error *e);
int json_array(sd_json_variant *object, const char *name, const char *field, sd_json_variant **ret,
               struct error *e);

/* A string field of an object, borrowed; NULL when it is absent or something else. object may be NULL. */
const char *json_optional_string(sd_json_variant *object, const char *field);
