/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipe-policy/author.h"
#include "ipe-policy/internal.h"

static bool has_key(const char *word, size_t n, const char *key)
{
        return n > strlen(key) && strncmp(word, key, strlen(key)) == 0;
}

static void format_word(FILE *f, const struct ipe_policy *p, bool header, const char *word, size_t n)
{
        const char *colon = memchr(word, ':', n);
        bool digest = has_key(word, n, "dmverity_roothash=") || has_key(word, n, "fsverity_digest=");
        size_t keep = !header && digest && colon ? (size_t)(colon - word) : n;

        if (header && has_key(word, n, "policy_version=")) {
                fprintf(f, "policy_version=%u.%u.%u", p->version[0], p->version[1], p->version[2]);
                return;
        }
        fwrite(word, 1, keep, f);
        for (size_t i = keep; i < n; i++)
                fputc(tolower((unsigned char)word[i]), f);
}

/* Returns whether anything was written. */
static bool format_line(FILE *f, const struct ipe_policy *p, bool header, const char *line, size_t n)
{
        const char *comment = memchr(line, '#', n);
        size_t words = comment ? (size_t)(comment - line) : n;
        bool first = true;

        while (words > 0 && ipe_is_space(line[words - 1]))
                words--;
        for (size_t i = 0; i < words;) {
                size_t start = i;

                while (i < words && line[i] != ' ' && line[i] != '\t')
                        i++;
                if (i > start) {
                        fputs(first ? "" : " ", f);
                        format_word(f, p, header, line + start, i - start);
                        first = false;
                }
                i++;
        }
        if (comment) {
                while (line + n > comment && isascii((unsigned char)line[n - 1]) && ipe_is_space(line[n - 1]))
                        n--;
                fputs(first ? "" : " ", f);
                fwrite(comment, 1, (size_t)(line + n - comment), f);
        }
        if (first && !comment)
                return false;
        fputc('\n', f);
        return true;
}

static void format_lines(FILE *f, const struct ipe_policy *p, char *text)
{
        bool blank = false, begun = false;
        unsigned number = 0;

        for (char *line = text, *next; line; line = next) {
                size_t n = ipe_line_length(line, &next);
                bool empty = strspn(line, " \t\v\f\xA0") >= n;

                number++;
                if (!empty && blank && begun)
                        fputc('\n', f);
                if (!empty)
                        begun = format_line(f, p, number == p->name_place.line, line, n) || begun;
                blank = empty;
        }
}

int ipe_policy_format(const char *text, size_t size, char **ret, struct error *e)
{
        _cleanup_policy_ struct ipe_policy *p = NULL;
        _cleanup_free_ char *copy = NULL;
        size_t written;
        FILE *f;
        int r;

        r = ipe_policy_parse(text, size, &p, e);
        if (r < 0)
                return r;
        copy = strndup(text, size);
        f = copy ? open_memstream(ret, &written) : NULL;
        if (!f)
                return error_errno(e, -ENOMEM, "policy");
        format_lines(f, p, copy);
        return fclose(f) == 0 ? 0 : error_errno(e, -ENOMEM, "policy");
}

int ipe_policy_bump(const char *text, size_t size, enum ipe_version_part part, char **ret, struct error *e)
{
        _cleanup_policy_ struct ipe_policy *p = NULL;
        size_t behind, at;
        int r;

        r = ipe_policy_parse(text, size, &p, e);
        if (r < 0)
                return r;
        at = p->version_place.offset;
        behind = at + p->version_place.length;
        while (part > IPE_MAJOR && p->version[part] == UINT16_MAX)
                part--;
        if (p->version[part] == UINT16_MAX)
                return error_set(e, -ERANGE, "a version below 65535.65535.65535 expected, found %u.%u.%u",
                                 p->version[0], p->version[1], p->version[2]);
        p->version[part]++;
        for (size_t i = part + 1u; i < ELEMENTSOF(p->version); i++)
                p->version[i] = 0;
        if (asprintf(ret, "%.*s%u.%u.%u%.*s", (int)at, text, p->version[0], p->version[1], p->version[2],
                     (int)(p->size - behind), text + behind) < 0)
                return error_errno(e, -ENOMEM, "policy");
        return 0;
}
