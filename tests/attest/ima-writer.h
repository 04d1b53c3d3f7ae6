/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes IMA logs as the kernel does. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct written_ima {
        uint8_t bytes[16384];
        size_t size;
};

/* An ima-ng entry with a digest in hexadecimal, in PCR 10. */
void ima_add_file(struct written_ima *l, const char *algorithm, const char *hex, const char *path);

/* An ima-buf entry of critical data, in PCR 10. */
void ima_add_buffer(struct written_ima *l, const char *name, const void *bytes, size_t size);

/* An ima-ng entry that is a violation. */
void ima_add_violation(struct written_ima *l, const char *path);

/* The table that the kernel records for one dm-verity device with this root hash (64 hexadecimal digits). */
void ima_add_verity(struct written_ima *l, const char *device, const char *root_hash);
