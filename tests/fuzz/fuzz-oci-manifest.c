/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "verity-tools/internal.h"

#include <string.h>

/* The same text as a manifest and as a configuration. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct store_image *image = calloc(1, sizeof(*image));
        _cleanup_json_ sd_json_variant *v = NULL;
        char *text = strndup((const char *)data, size);
        struct oci_descriptor config = {};

        if (json_parse("input", text, &v, NULL) >= 0 && sd_json_variant_is_object(v)) {
                if (oci_parse_manifest(v, "input", image, &config, NULL) >= 0)
                        for (size_t i = 0; i < image->n_layers; i++) {
                                const struct store_layer *l = &image->layers[i];

                                PROMISE(!strstr(l->path, "..") && strncmp(l->path, "blobs/sha256/", 13) == 0);
                                PROMISE(verity_geometry_check(&l->geometry, NULL) == 0);
                                PROMISE(verity_data_size(&l->geometry) <= l->size);
                        }
                (void)oci_parse_config(v, "input", image, NULL);
        }
        store_image_free(image);
        free(text);
        return 0;
}
