/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "corpus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"

#define FILE_MAX ((size_t)1 << 20)
#define HEADER "policy_name=a policy_version=1.0.0\n"
#define DENY "DEFAULT action=DENY\n"

static _Noreturn void bad(const char *what, const char *where)
{
        fprintf(stderr, "%s/corpus: %s: %.60s\n", TEST_DATA, what, where);
        abort();
}

/* The byte that an escape after a backslash stands for. */
static char unescape(const char **p)
{
        static const char names[] = "nrtvfb0\\", bytes[] = "\n\r\t\v\f\b\0\\";
        const char *found = memchr(names, **p, sizeof(names) - 1);
        unsigned value;

        if (found) {
                (*p)++;
                return bytes[found - names];
        }
        if (sscanf(*p, "x%2x", &value) != 1)
                bad("escape", *p);
        *p += 3;
        return (char)value;
}

static void expand(const char *escaped, struct corpus_case *c)
{
        FILE *f = open_memstream(&c->text, &c->size);

        if (!f)
                abort();
        while (*escaped)
                if (*escaped == '\\') {
                        escaped++;
                        fputc(unescape(&escaped), f);
                } else if (strncmp(escaped, "$H", 2) == 0 || strncmp(escaped, "$D", 2) == 0) {
                        fputs(escaped[1] == 'H' ? HEADER : DENY, f);
                        escaped += 2;
                } else
                        fputc(*escaped++, f);
        if (fclose(f) != 0)
                abort();
}

static void read_verdict(const char *verdict, struct corpus_case *c)
{
        static const int errors[] = {EBADMSG, EINVAL, ERANGE, EACCES, ENAMETOOLONG};

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (strcmp(strerrorname_np(errors[i]), verdict) == 0) {
                        c->error = -errors[i];
                        return;
                }
        if (sscanf(verdict, "%u.%u.%u", &c->version[0], &c->version[1], &c->version[2]) != 3)
                bad("verdict", verdict);
}

static void read_line(struct corpus *c, char *line)
{
        char *verdict = strsep(&line, "\t"), *name = strsep(&line, "\t");
        struct corpus_case one = {.name = name};

        if (!line)
                bad("three fields", verdict);
        read_verdict(verdict, &one);
        expand(line, &one);
        c->cases = reallocarray(c->cases, c->n + 1, sizeof(one));
        if (!c->cases)
                abort();
        c->cases[c->n++] = one;
}

void corpus_read(struct corpus *ret)
{
        struct error e = {};

        *ret = (struct corpus){};
        if (read_file(AT_FDCWD, TEST_DATA "/corpus", FILE_MAX, &ret->file, NULL, &e) < 0)
                bad("file", e.message);
        for (char *rest = ret->file, *line; (line = strsep(&rest, "\n"));)
                if (*line != '\0' && *line != '#')
                        read_line(ret, line);
}

void corpus_done(struct corpus *c)
{
        for (size_t i = 0; i < c->n; i++)
                free(c->cases[i].text);
        free(c->cases);
        free(c->file);
}
