/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/group/definition.h"

#define STRING_MAX 32768

int reader_fail(struct reader *r, const struct node *n, const char *format, ...)
{
        char text[512];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (n->line > 0)
                return error_set(r->error, -EINVAL, "%s:%u:%u: %s%s%s", r->name, n->line, n->column, r->path,
                                 r->path[0] ? ": " : "", text);
        return error_set(r->error, -EINVAL, "%s: %s%s%s", r->name, r->path, r->path[0] ? ": " : "", text);
}

static size_t enter(struct reader *r, const char *name, size_t index)
{
        size_t length = strlen(r->path), room = sizeof(r->path) - length;

        if (name)
                (void)snprintf(r->path + length, room, "%s%.64s", length > 0 ? "." : "", name);
        else
                (void)snprintf(r->path + length, room, "[%zu]", index);
        return length;
}

static void leave(struct reader *r, size_t length)
{
        r->path[length] = '\0';
}

int reader_expect(struct reader *r, const struct node *n, enum node_type type)
{
        if (n->type == type)
                return 0;
        if (type == NODE_STRING && (n->type == NODE_NUMBER || n->type == NODE_BOOLEAN))
                return reader_fail(r, n, "a string expected, found %s %.32s: put it in quotes",
                                   n->type == NODE_NUMBER ? "the number" : "the truth value", n->text);
        return reader_fail(r, n, "%s expected, found %s", node_type_name(type), node_type_name(n->type));
}

/* Levenshtein's distance, for names short enough to be meant. */
static size_t distance(const char *a, const char *b)
{
        size_t row[64], n = strlen(b);

        if (n + 1 > ELEMENTSOF(row) || strlen(a) > 64)
                return SIZE_MAX;
        for (size_t j = 0; j <= n; j++)
                row[j] = j;
        for (size_t i = 0; a[i]; i++) {
                size_t diagonal = row[0];

                row[0] = i + 1;
                for (size_t j = 0; j < n; j++) {
                        size_t best = diagonal + (a[i] != b[j]);

                        diagonal = row[j + 1];
                        if (row[j] + 1 < best)
                                best = row[j] + 1;
                        if (row[j + 1] + 1 < best)
                                best = row[j + 1] + 1;
                        row[j + 1] = best;
                }
        }
        return row[n];
}

static int unknown(struct reader *r, const struct node *n, const struct reader_field *fields)
{
        const char *nearest = NULL;
        size_t best = SIZE_MAX;

        for (const struct reader_field *f = fields; f->name; f++) {
                size_t d = distance(n->key, f->name);

                if (d < best) {
                        best = d;
                        nearest = f->name;
                }
        }
        if (nearest && best <= 1 + strlen(nearest) / 3)
                return reader_fail(r, n, "unknown property \"%.64s\", did you mean \"%s\"?", n->key, nearest);
        return reader_fail(r, n, "unknown property \"%.64s\"", n->key);
}

int reader_map(struct reader *r, const struct node *n, const struct reader_field *fields,
               const char *const *later, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_MAP);
        if (k < 0)
                return k;
        for (size_t i = 0; i < n->n; i++) {
                const struct node *child = n->children[i];
                const struct reader_field *f = fields;
                size_t length;

                while (f->name && strcmp(f->name, child->key) != 0)
                        f++;
                for (const char *const *l = later; !f->name && *l; l++)
                        if (strcmp(*l, child->key) == 0)
                                return reader_fail(r, child, "not supported yet: %s", *l);
                if (!f->name)
                        return unknown(r, child, fields);
                length = enter(r, f->name, 0);
                k = f->read(r, child, target);
                if (k < 0)
                        return k;
                leave(r, length);
        }
        for (const struct reader_field *f = fields; f->name; f++)
                if (f->required && !node_get(n, f->name))
                        return reader_fail(r, n, "property \"%s\" expected, not found", f->name);
        return 0;
}

int reader_string(struct reader *r, const struct node *n, char **ret)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (strlen(n->text) > STRING_MAX)
                return reader_fail(r, n, "at most %d bytes expected, found %zu", STRING_MAX, strlen(n->text));
        *ret = strdup(n->text);
        return *ret ? 0 : -ENOMEM;
}

int reader_list(struct reader *r, const struct node *n, size_t max, size_t size,
                int (*read)(struct reader *r, const struct node *n, void *element), void **ret, size_t *ret_n)
{
        int k;

        k = reader_expect(r, n, NODE_LIST);
        if (k < 0)
                return k;
        if (n->n > max)
                return reader_fail(r, n, "at most %zu expected, found %zu", max, n->n);
        *ret = calloc(n->n + 1, size);
        if (!*ret)
                return -ENOMEM;
        for (size_t i = 0; i < n->n; i++) {
                size_t length = enter(r, NULL, i);

                *ret_n = i + 1;
                k = read(r, n->children[i], (char *)*ret + i * size);
                if (k < 0)
                        return k;
                leave(r, length);
        }
        return 0;
}

int reader_name(struct reader *r, const struct node *n, char **ret)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (!definition_name_valid(n->text))
                return reader_fail(r, n, "1 to %d of a-z, 0-9 and inner \"-\" expected, found \"%.80s\"",
                                   DEFINITION_NAME_MAX, n->text);
        return reader_string(r, n, ret);
}

int reader_decimal(struct reader *r, const struct node *n, unsigned places, uint64_t *ret)
{
        uint64_t value = 0;
        const char *p;
        int k;

        k = reader_expect(r, n, NODE_NUMBER);
        if (k < 0)
                return k;
        p = n->text + (n->text[0] == '+');
        if (*p == '-')
                return reader_fail(r, n, "a number above 0 expected, found %.32s", n->text);
        for (; *p >= '0' && *p <= '9' && value < 1000000000; p++)
                value = value * 10 + (uint64_t)(*p - '0');
        p += *p == '.';
        for (unsigned i = 0; i < places; i++) {
                value *= 10;
                if (*p >= '0' && *p <= '9')
                        value += (uint64_t)(*p++ - '0');
        }
        p += strspn(p, "0");
        if (*p != '\0')
                return reader_fail(r, n, "a number with at most %u decimal places expected, found %.32s",
                                   places, n->text);
        *ret = value;
        return 0;
}
