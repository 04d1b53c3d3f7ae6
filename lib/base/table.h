/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables for people, by libsmartcols. */
#pragma once

#include <stddef.h>

struct table;

/* A table with these column headings, on standard output. NULL when memory ends. */
struct table *table_new(const char *const *headings, size_t n);
struct table *table_free(struct table *t);

/* Adds a row of n cells (NULL: empty), copied. */
int table_add(struct table *t, const char *const *cells, size_t n);
int table_print(struct table *t);
