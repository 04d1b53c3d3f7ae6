/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to runtime/group/: reads a document's tree into structures by tables of its properties, and says
 * where the first error stands. Every reader gives 0, -ENOMEM, or -EINVAL with the message in reader.error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "runtime/group/node.h"

/* Where the reader is, for messages. */
struct reader {
        const char *name; /* of the document */
        char path[256];
        struct error *error;
};

/* One property of a map. A table of them ends with an empty one. */
struct reader_field {
        const char *name;
        int (*read)(struct reader *r, const struct node *n, void *target);
        bool required;
};

/* Gives -EINVAL, with position and path in front of the message. */
int reader_fail(struct reader *r, const struct node *n, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

int reader_expect(struct reader *r, const struct node *n, enum node_type type);

/* Reads a map by its table. `later` has Azure's other names of this place, ends with NULL. */
int reader_map(struct reader *r, const struct node *n, const struct reader_field *fields,
               const char *const *later, void *target);

/* A list of at most max elements of the size given: allocates it with an empty one at its end, then reads
 * each. Where that fails, *ret_n has those that were begun; *ret is the caller's in any case. */
int reader_list(struct reader *r, const struct node *n, size_t max, size_t size,
                int (*read)(struct reader *r, const struct node *n, void *element), void **ret,
                size_t *ret_n);

/* A string of at most 32 KiB, allocated; reader_name: one that definition_name_valid() takes. */
int reader_string(struct reader *r, const struct node *n, char **ret);
int reader_name(struct reader *r, const struct node *n, char **ret);

/* A decimal number times 10^places, exactly: "0.25" with 3 places is 250. */
int reader_decimal(struct reader *r, const struct node *n, unsigned places, uint64_t *ret);
