/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Public test vectors, which lie beside the repository (../shared/vectors) or where HOLDFAST_VECTORS points.
 * Where that folder is absent the tests that need it are skipped, each by name, and ctest says so of the
 * whole program. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-json.h>

/* A file of the vectors, to be freed; a file missing from a folder that is there fails the test. */
uint8_t *vector_read(const char *name, size_t *ret_size);

/* The same, decoded when its name ends in ".b64". */
uint8_t *vector_decode(const char *name, size_t *ret_size);

sd_json_variant *vector_json(const char *name);

/* Names and values of an object in turn. */
#define OBJECT_FOREACH(key, value, object)                                                                   \
        for (size_t i_##value = 0;                                                                           \
             i_##value + 1 < sd_json_variant_elements(object) &&                                             \
             (((key) = sd_json_variant_string(sd_json_variant_by_index(object, i_##value))),                 \
              ((value) = sd_json_variant_by_index(object, i_##value + 1)), 1);                               \
             i_##value += 2)

/* Base64 text, to be freed. Fails the test if it is none. */
uint8_t *decode_base64(const char *text, size_t *ret_size);
