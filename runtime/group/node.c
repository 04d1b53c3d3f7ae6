/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
        yaml_parser_t parser;
        const char *name;
        size_t count;
        unsigned depth;
};

static void event_delete_ptr(yaml_event_t *event)
{
        yaml_event_delete(event);
}

static void reader_done_ptr(struct reader *r)
{
        yaml_parser_delete(&r->parser);
}

struct node *node_free(struct node *n)
{
        if (!n)
                return NULL;
        for (size_t i = 0; i < n->n; i++)
                (void)node_free(n->children[i]);
        free((void *)n->children);
        free(n->text);
        free(n->key);
        free(n);
        return NULL;
}

const struct node *node_get(const struct node *map, const char *key)
{
        for (size_t i = 0; map->type == NODE_MAP && i < map->n; i++)
                if (strcmp(map->children[i]->key, key) == 0)
                        return map->children[i];
        return NULL;
}

const char *node_type_name(enum node_type type)
{
        static const char *const names[] = {
                [NODE_NULL] = "nothing",    [NODE_BOOLEAN] = "true or false", [NODE_NUMBER] = "a number",
                [NODE_STRING] = "a string", [NODE_LIST] = "a list",           [NODE_MAP] = "a map",
        };

        return names[type];
}

/* Takes the child over, also when it fails. */
static int append(struct node *parent, struct node *child)
{
        struct node **bigger;

        bigger = (struct node **)reallocarray((void *)parent->children, parent->n + 1, sizeof(struct node *));
        if (!bigger) {
                (void)node_free(child);
                return -ENOMEM;
        }
        parent->children = bigger;
        parent->children[parent->n++] = child;
        return 0;
}

static int at(const struct reader *r, const yaml_mark_t *mark, struct error *e, const char *what)
{
        return error_set(e, -EINVAL, "%s:%zu:%zu: %s", r->name, mark->line + 1, mark->column + 1, what);
}

static int next(struct reader *r, yaml_event_t *ret, struct error *e)
{
        if (yaml_parser_parse(&r->parser, ret))
                return 0;
        if (r->parser.error == YAML_MEMORY_ERROR)
                return error_errno(e, -ENOMEM, "%s", r->name);
        if (r->parser.error == YAML_READER_ERROR)
                return error_set(e, -EINVAL, "%s: byte %zu: UTF-8 text expected: %s", r->name,
                                 r->parser.problem_offset, r->parser.problem ?: "invalid");
        return error_set(e, -EINVAL, "%s:%zu:%zu: YAML or JSON expected: %s", r->name,
                         r->parser.problem_mark.line + 1, r->parser.problem_mark.column + 1,
                         r->parser.problem ?: "syntax error");
}

/* YAML 1.2's core schema: what JSON writes, and decimal numbers; anything else that is plain is a string. */
static enum node_type plain_type(const char *text)
{
        static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
        static const char *const booleans[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
        const char *p = text;
        size_t digits;

        for (size_t i = 0; i < ELEMENTSOF(nulls); i++)
                if (strcmp(text, nulls[i]) == 0)
                        return NODE_NULL;
        for (size_t i = 0; i < ELEMENTSOF(booleans); i++)
                if (strcmp(text, booleans[i]) == 0)
                        return NODE_BOOLEAN;
        p += *p == '-' || *p == '+';
        digits = strspn(p, "0123456789");
        p += digits;
        if (*p == '.') {
                size_t fraction = strspn(p + 1, "0123456789");

                digits += fraction;
                p += 1 + fraction;
        }
        if (digits > 0 && (*p == 'e' || *p == 'E')) {
                p++;
                p += *p == '-' || *p == '+';
                if (strspn(p, "0123456789") == 0)
                        return NODE_STRING;
                p += strspn(p, "0123456789");
        }
        return digits > 0 && *p == '\0' ? NODE_NUMBER : NODE_STRING;
}

/* NULL with the message set: too many of them, or no memory. */
static struct node *new_node(struct reader *r, const yaml_mark_t *mark, enum node_type type, struct error *e)
{
        struct node *n;

        if (++r->count > NODE_COUNT_MAX) {
                (void)at(r, mark, e, "too many values");
                return NULL;
        }
        n = calloc(1, sizeof(*n));
        if (!n) {
                (void)at(r, mark, e, "out of memory");
                return NULL;
        }
        n->type = type;
        n->line = (unsigned)mark->line + 1;
        n->column = (unsigned)mark->column + 1;
        return n;
}

static int read_scalar(struct reader *r, const yaml_event_t *event, struct node **ret, struct error *e)
{
        const char *text = (const char *)event->data.scalar.value;
        _cleanup_(node_free_ptr) struct node *n = NULL;

        if (event->data.scalar.anchor || event->data.scalar.tag)
                return at(r, &event->start_mark, e, "anchors and tags are not accepted");
        if (memchr(text, '\0', event->data.scalar.length))
                return at(r, &event->start_mark, e, "text expected, found a NUL character");
        n = new_node(r, &event->start_mark, NODE_STRING, e);
        if (!n)
                return -EINVAL;
        n->text = strdup(text);
        if (!n->text)
                return -ENOMEM;
        if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
                n->type = plain_type(text);
        *ret = TAKE_PTR(n);
        return 0;
}

static int read_node(struct reader *r, const yaml_event_t *event, struct node **ret, struct error *e);

static int read_list(struct reader *r, struct node *list, struct error *e)
{
        for (;;) {
                _cleanup_(event_delete_ptr) yaml_event_t event = {};
                struct node *child = NULL;
                int k;

                k = next(r, &event, e);
                if (k < 0 || event.type == YAML_SEQUENCE_END_EVENT)
                        return k;
                k = read_node(r, &event, &child, e);
                if (k >= 0)
                        k = append(list, child);
                if (k < 0)
                        return k;
        }
}

static int read_pair(struct reader *r, const yaml_event_t *key, struct node *map, struct error *e)
{
        _cleanup_(event_delete_ptr) yaml_event_t event = {};
        _cleanup_(node_free_ptr) struct node *child = NULL;
        const char *text = (const char *)key->data.scalar.value;
        int k;

        if (key->type != YAML_SCALAR_EVENT || key->data.scalar.anchor || key->data.scalar.tag ||
            memchr(text, '\0', key->data.scalar.length))
                return at(r, &key->start_mark, e, "a plain name expected as the key");
        if (node_get(map, text))
                return error_set(e, -EINVAL, "%s:%zu:%zu: \"%.64s\" is there twice", r->name,
                                 key->start_mark.line + 1, key->start_mark.column + 1, text);
        k = next(r, &event, e);
        if (k < 0)
                return k;
        k = read_node(r, &event, &child, e);
        if (k < 0)
                return k;
        child->key = strdup(text);
        if (!child->key)
                return -ENOMEM;
        child->line = (unsigned)key->start_mark.line + 1;
        child->column = (unsigned)key->start_mark.column + 1;
        return append(map, TAKE_PTR(child));
}

static int read_map(struct reader *r, struct node *map, struct error *e)
{
        for (;;) {
                _cleanup_(event_delete_ptr) yaml_event_t event = {};
                int k;

                k = next(r, &event, e);
                if (k < 0 || event.type == YAML_MAPPING_END_EVENT)
                        return k;
                k = read_pair(r, &event, map, e);
                if (k < 0)
                        return k;
        }
}

static int read_node(struct reader *r, const yaml_event_t *event, struct node **ret, struct error *e)
{
        bool list = event->type == YAML_SEQUENCE_START_EVENT;
        _cleanup_(node_free_ptr) struct node *n = NULL;
        int k;

        if (event->type == YAML_SCALAR_EVENT)
                return read_scalar(r, event, ret, e);
        if (event->type == YAML_ALIAS_EVENT)
                return at(r, &event->start_mark, e, "aliases are not accepted");
        if (list ? event->data.sequence_start.anchor || event->data.sequence_start.tag
                 : event->data.mapping_start.anchor || event->data.mapping_start.tag)
                return at(r, &event->start_mark, e, "anchors and tags are not accepted");
        if (r->depth >= NODE_DEPTH_MAX)
                return at(r, &event->start_mark, e, "nested too deeply");
        n = new_node(r, &event->start_mark, list ? NODE_LIST : NODE_MAP, e);
        if (!n)
                return -EINVAL;
        r->depth++;
        k = list ? read_list(r, n, e) : read_map(r, n, e);
        if (k < 0)
                return k;
        r->depth--;
        *ret = TAKE_PTR(n);
        return 0;
}

/* Skips to the event of the type asked for, which must be the next one. */
static int expect(struct reader *r, yaml_event_type_t type, const char *what, struct error *e)
{
        _cleanup_(event_delete_ptr) yaml_event_t event = {};
        int k;

        k = next(r, &event, e);
        if (k < 0)
                return k;
        return event.type == type ? 0 : at(r, &event.start_mark, e, what);
}

int node_parse(const char *name, const char *text, size_t size, struct node **ret, struct error *e)
{
        _cleanup_(event_delete_ptr) yaml_event_t event = {};
        _cleanup_(node_free_ptr) struct node *root = NULL;
        _cleanup_(reader_done_ptr) struct reader r = {.name = name};
        int k;

        if (size > NODE_TEXT_MAX)
                return error_set(e, -EFBIG, "%s: at most %zu bytes expected, found %zu", name, NODE_TEXT_MAX,
                                 size);
        if (!yaml_parser_initialize(&r.parser))
                return -ENOMEM;
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
        yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
        k = expect(&r, YAML_STREAM_START_EVENT, "a document expected", e);
        if (k >= 0)
                k = expect(&r, YAML_DOCUMENT_START_EVENT, "a document expected, found none", e);
        if (k >= 0)
                k = next(&r, &event, e);
        if (k >= 0)
                k = read_node(&r, &event, &root, e);
        if (k >= 0)
                k = expect(&r, YAML_DOCUMENT_END_EVENT, "the end of the document expected", e);
        if (k >= 0)
                k = expect(&r, YAML_STREAM_END_EVENT, "one document expected, found more", e);
        if (k >= 0)
                *ret = TAKE_PTR(root);
        return k;
}

static int convert(sd_json_variant *v, unsigned depth, size_t *count, struct node **ret, struct error *e);

static int convert_scalar(sd_json_variant *v, struct node *n)
{
        _cleanup_free_ char *text = NULL;
        int r;

        if (sd_json_variant_is_string(v)) {
                n->type = NODE_STRING;
                n->text = strdup(sd_json_variant_string(v));
                return n->text ? 0 : -ENOMEM;
        }
        n->type = sd_json_variant_is_null(v)      ? NODE_NULL
                  : sd_json_variant_is_boolean(v) ? NODE_BOOLEAN
                                                  : NODE_NUMBER;
        if (sd_json_variant_type(v) == SD_JSON_VARIANT_REAL) /* never with an exponent, never 0.1000…005 */
                r = asprintf(&text, "%.9f", sd_json_variant_real(v));
        else
                r = sd_json_variant_format(v, 0, &text);
        if (r < 0)
                return r;
        n->text = TAKE_PTR(text);
        return 0;
}

static int convert_children(sd_json_variant *v, unsigned depth, size_t *count, struct node *n,
                            struct error *e)
{
        bool map = n->type == NODE_MAP;

        for (size_t i = 0; i < sd_json_variant_elements(v); i += map ? 2 : 1) {
                const char *key = map ? sd_json_variant_string(sd_json_variant_by_index(v, i)) : NULL;
                _cleanup_(node_free_ptr) struct node *child = NULL;
                int r;

                if (map && node_get(n, key))
                        return error_set(e, -EINVAL, "\"%.64s\" is there twice", key);
                r = convert(sd_json_variant_by_index(v, map ? i + 1 : i), depth + 1, count, &child, e);
                if (r < 0)
                        return r;
                if (map) {
                        child->key = strdup(key);
                        if (!child->key)
                                return -ENOMEM;
                }
                r = append(n, TAKE_PTR(child));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int convert(sd_json_variant *v, unsigned depth, size_t *count, struct node **ret, struct error *e)
{
        _cleanup_(node_free_ptr) struct node *n = NULL;
        int r;

        if (++*count > NODE_COUNT_MAX)
                return error_set(e, -EFBIG, "at most %u values expected, found more", NODE_COUNT_MAX);
        if (depth > NODE_DEPTH_MAX)
                return error_set(e, -EINVAL, "at most %u levels expected, found more", NODE_DEPTH_MAX);
        n = calloc(1, sizeof(*n));
        if (!n)
                return -ENOMEM;
        if (sd_json_variant_is_object(v) || sd_json_variant_is_array(v)) {
                n->type = sd_json_variant_is_object(v) ? NODE_MAP : NODE_LIST;
                r = convert_children(v, depth, count, n, e);
        } else {
                r = convert_scalar(v, n);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(n);
        return 0;
}

int node_from_json(sd_json_variant *v, struct node **ret, struct error *e)
{
        size_t count = 0;

        return convert(v, 0, &count, ret, e);
}
