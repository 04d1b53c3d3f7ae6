/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/table.h"

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>

struct table {
        struct libscols_table *cols;
};

struct table *table_free(struct table *t)
{
        if (t) {
                scols_unref_table(t->cols);
                free(t);
        }
        return NULL;
}

struct table *table_new(const char *const *headings, size_t n)
{
        struct table *t = calloc(1, sizeof(*t));

        if (!t)
                return NULL;
        t->cols = scols_new_table();
        if (!t->cols)
                return table_free(t);
        for (size_t i = 0; i < n; i++)
                if (!scols_table_new_column(t->cols, headings[i], 0, i + 1 == n ? SCOLS_FL_WRAP : 0))
                        return table_free(t);
        return t;
}

int table_add(struct table *t, const char *const *cells, size_t n)
{
        struct libscols_line *line = scols_table_new_line(t->cols, NULL);

        if (!line)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (scols_line_set_data(line, i, cells[i] ?: "") < 0)
                        return -ENOMEM;
        return 0;
}

int table_print(struct table *t)
{
        return scols_print_table(t->cols);
}
