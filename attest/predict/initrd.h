/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of an initrd as the kernel unpacks it: archives (cpio, newc) one after another, some compressed
 * (zstd), with zeros between them. */
#pragma once

#include "attest/slice.h"
#include "base/error.h"

#define INITRD_UNPACKED_MAX ((size_t)512 * 1024 * 1024)

/* The content of the one regular file `path` (without a leading slash), to be freed. -ENOENT: there is none;
 * -EEXIST: two, of which the kernel would keep the second; -E2BIG: too much when unpacked, or in too many
 * parts; -EBADMSG: not an initrd as described. */
int initrd_find(struct slice initrd, const char *path, uint8_t **ret, size_t *ret_size, struct error *e);
