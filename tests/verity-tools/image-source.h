/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images of tar layers to convert. */
#pragma once

#include <stddef.h>

struct named_blob {
        char digest[72];
        size_t size;
};

/* Puts a blob into a layout. */
struct named_blob put_blob(const char *layout, const void *data, size_t size);

/* Reads one. To be freed. */
char *read_blob(const char *layout, const char *digest, size_t *ret_size);

/* The layout "source" with the image sample:1 of two layers: gzip and plain. */
void make_source(void);
