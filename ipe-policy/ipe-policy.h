/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy language of the kernel's Integrity Policy Enforcement LSM, read as Linux 6.12 reads it
 * (security/ipe/policy_parser.c; Documentation/admin-guide/LSM/ipe.rst, "IPE Policy"). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Larger policies than this are refused here; the kernel's own bound is one allocation of a write(2). */
#define IPE_POLICY_MAX (256u * 1024)
#define IPE_NAME_MAX 255u

struct ipe_policy {
        char name[IPE_NAME_MAX + 1];
        uint16_t version[3];
        unsigned n_rules;          /* without the defaults */
        bool allows_boot_verified; /* some rule allows an operation with boot_verified=TRUE */
        bool allows_anything;      /* by its default, or a rule without a property that must hold, EXECUTE is
                                      allowed */
};

/* Parses the text of a policy of size bytes (no NUL needed at its end; as in the kernel, text ends at the
 * first NUL). Errors are the kernel's: -EBADMSG for syntax, -EINVAL for a number or digest that is none,
 * -ERANGE for a version part above 65535, -EACCES and -ENAMETOOLONG for names that securityfs refuses. The
 * message names line and token. */
int ipe_policy_parse(const char *text, size_t size, struct ipe_policy *ret, struct error *e);

/* Like strcmp() for versions. The kernel activates b after a only when b is not lower. */
int ipe_policy_compare_versions(const uint16_t a[static 3], const uint16_t b[static 3]);
