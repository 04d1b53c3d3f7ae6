/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The records of SELinux' access vector cache, in a kernel log, a journal or an audit log. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define AVC_LINE_MAX 8192

struct avc {
        bool denied;           /* or granted, which auditallow writes */
        char permissions[512]; /* separated by spaces */
        char source[256], target[256], class[64];
};

/* Parses a line of n bytes. 1: it has a record; 0: it has none; -EINVAL: it begins as one, and a field is
 * missing, there twice, too long, or has bytes that no such name has. */
int avc_parse(const char *line, size_t n, struct avc *ret, struct error *e);
