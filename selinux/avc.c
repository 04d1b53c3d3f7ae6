/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "selinux/avc.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
#define CONTEXT_BYTES NAME_BYTES ":,"

/* What is left of the line. */
struct rest {
        const char *p, *end;
};

static bool is_space(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

static void skip_spaces(struct rest *r)
{
        while (r->p < r->end && is_space(*r->p))
                r->p++;
}

/* The next word; what stands in quotes belongs to it, spaces too. Empty at the end. */
static struct rest next_word(struct rest *r)
{
        struct rest word;
        bool quoted = false;

        skip_spaces(r);
        word.p = r->p;
        for (; r->p < r->end && (quoted || !is_space(*r->p)); r->p++)
                quoted ^= *r->p == '"';
        word.end = r->p;
        return word;
}

static bool word_is(const struct rest *word, const char *text)
{
        size_t n = strlen(text);

        return (size_t)(word->end - word->p) == n && memcmp(word->p, text, n) == 0;
}

static int copy(const char *p, size_t n, const char *bytes, char *ret, size_t size)
{
        if (n == 0 || n >= size)
                return -EINVAL;
        memcpy(ret, p, n);
        ret[n] = '\0';
        return strspn(ret, bytes) == n ? 0 : -EINVAL;
}

/* { read write } */
static int parse_permissions(struct rest *r, struct avc *ret)
{
        const char *close;

        skip_spaces(r);
        if (r->p == r->end || *r->p != '{')
                return -EINVAL;
        r->p++;
        skip_spaces(r);
        close = memchr(r->p, '}', (size_t)(r->end - r->p));
        if (!close || close == r->p || close[-1] != ' ')
                return -EINVAL;
        if (copy(r->p, (size_t)(close - r->p) - 1, NAME_BYTES " ", ret->permissions,
                 sizeof(ret->permissions)) < 0)
                return -EINVAL;
        r->p = close + 1;
        return 0;
}

/* scontext= and the like: -EINVAL when it has been there or is no name. */
static int parse_field(const struct rest *word, struct avc *ret)
{
        const struct {
                const char *key, *bytes;
                char *value;
                size_t size;
        } fields[] = {{"scontext=", CONTEXT_BYTES, ret->source, sizeof(ret->source)},
                      {"tcontext=", CONTEXT_BYTES, ret->target, sizeof(ret->target)},
                      {"tclass=", NAME_BYTES, ret->class, sizeof(ret->class)}};
        size_t size = (size_t)(word->end - word->p);

        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                size_t n = strlen(fields[i].key);

                if (size < n || memcmp(word->p, fields[i].key, n) != 0)
                        continue;
                if (fields[i].value[0])
                        return -EINVAL;
                return copy(word->p + n, size - n, fields[i].bytes, fields[i].value, fields[i].size);
        }
        return 0;
}

int avc_parse(const char *line, size_t n, struct avc *ret, struct error *e)
{
        struct rest r = {.end = line + n}, word;

        *ret = (struct avc){};
        r.p = memmem(line, n, "avc:", 4);
        if (!r.p)
                return 0;
        r.p += 4;
        word = next_word(&r);
        ret->denied = word_is(&word, "denied");
        if (!ret->denied && !word_is(&word, "granted"))
                return 0;
        if (parse_permissions(&r, ret) < 0)
                return error_set(e, -EINVAL, "record: permissions in braces expected");
        for (word = next_word(&r); word.p < word.end; word = next_word(&r))
                if (parse_field(&word, ret) < 0)
                        return error_set(
                                e, -EINVAL,
                                "record: scontext, tcontext and tclass once and well-formed expected");
        if (!ret->source[0] || !ret->target[0] || !ret->class[0])
                return error_set(e, -EINVAL, "record: fields scontext, tcontext and tclass expected");
        return 1;
}
