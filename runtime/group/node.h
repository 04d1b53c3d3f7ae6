/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A document as a tree whose every node knows where it stood: what YAML and JSON have in common, for readers
 * that must name line and column. Made from text (YAML 1.1 by libyaml, of which JSON is a part) or from a
 * JSON variant (then without positions). Bounded in size, depth and number of nodes; anchors, aliases, tags,
 * merge keys, several documents and duplicate keys are errors. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/json.h"

#define NODE_TEXT_MAX ((size_t)256 * 1024)
#define NODE_DEPTH_MAX 16
#define NODE_COUNT_MAX 10000

enum node_type { NODE_NULL, NODE_BOOLEAN, NODE_NUMBER, NODE_STRING, NODE_LIST, NODE_MAP };

struct node {
        enum node_type type;
        char *text;            /* scalars: as written */
        char *key;             /* in a map */
        unsigned line, column; /* from 1; 0: not known. In a map: where the key stands */
        size_t n;
        struct node **children;
};

/* `name` stands in front of the message ("NAME:LINE:COLUMN: …"). The tree is the caller's. */
int node_parse(const char *name, const char *text, size_t size, struct node **ret, struct error *e);
int node_from_json(sd_json_variant *v, struct node **ret, struct error *e);
struct node *node_free(struct node *n);
DEFINE_CLEANUP(struct node *, node_free)

/* The child of a map: borrowed, or NULL. */
const struct node *node_get(const struct node *map, const char *key);

const char *node_type_name(enum node_type type);
