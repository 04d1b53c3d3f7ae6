/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's record of a device-mapper table:
 *   dm_version=…;name=…,uuid=…,major=…,minor=…,minor_count=…,num_targets=N;target_index=0,…,target_name=verity,…;…
 * In names and identifiers a backslash stands before a separator. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "ima-log.h"

static bool is_separator(char c)
{
        return c == ';' || c == ',' || c == '=';
}

/* Copies a value up to the next separator without its backslashes; gives what it stopped at, NULL if it is
 * too long. */
static const char *copy_value(const char *p, const char *end, size_t size, char *ret)
{
        size_t n = 0;

        while (p < end && !is_separator(*p)) {
                if (*p == '\\' && p + 1 < end)
                        p++;
                if (n + 1 >= size)
                        return NULL;
                ret[n++] = *p++;
        }
        ret[n] = '\0';
        return p;
}

/* A field that is wanted of a section; a second one of that name is refused. */
struct field {
        const char *key;
        char *value;
        size_t size;
        bool found;
};

static int take_field(struct field *fields, size_t n, const char *key, const char *value)
{
        for (size_t i = 0; i < n; i++) {
                if (strcmp(fields[i].key, key) != 0)
                        continue;
                if (fields[i].found || strlen(value) >= fields[i].size)
                        return -EBADMSG;
                (void)stpcpy(fields[i].value, value);
                fields[i].found = true;
        }
        return 0;
}

/* Reads fields up to the section's ';' and returns what is behind it; NULL where the form is another. */
static const char *read_section(const char *p, const char *end, struct field *fields, size_t n)
{
        char key[32], value[1024];

        for (;;) {
                p = copy_value(p, end, sizeof(key), key);
                if (!p || p == end || *p != '=')
                        return NULL;
                p = copy_value(p + 1, end, sizeof(value), value);
                if (!p || p == end || *p == '=' || take_field(fields, n, key, value) < 0)
                        return NULL;
                if (*p++ == ';')
                        return p;
        }
}

static int parse_number(const char *text, uint32_t *ret)
{
        char *end;
        unsigned long n = strtoul(text, &end, 10);

        if (!*text || *end || n > UINT32_MAX)
                return -EBADMSG;
        *ret = (uint32_t)n;
        return 0;
}

static int parse_target(const char **p, const char *end, struct ima_table *t)
{
        char digest[2 * sizeof(t->root_digest) + 1] = "";
        struct field fields[] = {
                {.key = "target_name", .value = t->target, .size = sizeof(t->target)},
                {.key = "verity_algorithm",
                 .value = t->verity_algorithm,
                 .size = sizeof(t->verity_algorithm)},
                {.key = "root_digest", .value = digest, .size = sizeof(digest)},
        };

        *p = read_section(*p, end, fields, ELEMENTSOF(fields));
        if (!*p || !fields[0].found)
                return -EBADMSG;
        if (t->targets != 1 || strcmp(t->target, "verity") != 0)
                return 0;
        t->root_digest_size = strlen(digest) / 2;
        return t->root_digest_size && fields[1].found
                       ? hex_decode(digest, t->root_digest, t->root_digest_size)
                       : -EBADMSG;
}

static int parse_table(const char *p, const char *end, struct ima_table *t)
{
        char version[32], targets[16] = "";
        struct field first[] = {{.key = "dm_version", .value = version, .size = sizeof(version)}};
        struct field device[] = {
                {.key = "name", .value = t->name, .size = sizeof(t->name)},
                {.key = "uuid", .value = t->uuid, .size = sizeof(t->uuid)},
                {.key = "num_targets", .value = targets, .size = sizeof(targets)},
        };

        p = read_section(p, end, first, ELEMENTSOF(first));
        if (!p || !first[0].found)
                return -EBADMSG;
        p = read_section(p, end, device, ELEMENTSOF(device));
        if (!p || !device[0].found || parse_number(targets, &t->targets) < 0 || t->targets == 0)
                return -EBADMSG;
        if (parse_target(&p, end, t) < 0)
                return -EBADMSG;
        return t->targets == 1 && p != end ? -EBADMSG : 0;
}

int ima_table_parse(const struct ima_entry *entry, struct ima_table *ret, struct error *e)
{
        const char *p = (const char *)entry->buffer;
        struct ima_table t = {};

        if (!entry->buffer || strcmp(entry->name, "dm_table_load") != 0)
                return -ENOENT;
        if (memchr(p, '\0', entry->buffer_size) || parse_table(p, p + entry->buffer_size, &t) < 0)
                return error_set(e, -EBADMSG, "IMA log: entry %u: a device-mapper table expected",
                                 entry->number);
        *ret = t;
        return 0;
}
