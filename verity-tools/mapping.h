/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files are used where they lie in the page cache, without the signal that a mapping costs when its file is
 * cut short or the disk fails. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What is done with the bytes. It can end at any of them, so it must own nothing: no memory, lock or
 * descriptor. Returns 0 or a negative errno. */
typedef int (*mapping_use_t)(void *userdata, const void *data);

/* Calls `use` for size bytes of fd from offset. -EIO: the file has fewer bytes, or some cannot be read.
 * -ENODEV and others of mmap(2): the file cannot be mapped. Threads may call this at once. */
int mapping_use(int fd, uint64_t offset, size_t size, mapping_use_t use, void *userdata);
