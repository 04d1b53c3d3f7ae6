/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sepol/policydb.h>

#include "selinux/selinux.h"

struct selinux_policy {
        sepol_policydb_t *db;
        size_t size;
};

/* A list of names while it grows; items is NULL-terminated from the first name on. */
struct names {
        char **items;
        size_t n;
};

int names_add(struct names *names, const char *name);

/* Sorts and hands over; a list without names is a list that holds the NULL alone. */
int names_finish(struct names *names, char ***ret);
