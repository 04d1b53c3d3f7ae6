/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Writes 2 * size lower-case hexadecimal digits and a NUL to ret. */
void hex_encode(const void *data, size_t size, char *ret);

/* Decodes exactly 2 * size digits of either case into ret. -EINVAL if the string is of another length or
 * holds anything else. */
int hex_decode(const char *hex, void *ret, size_t size);
