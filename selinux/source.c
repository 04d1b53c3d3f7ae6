/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of a policy. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "selinux/internal.h"

#define SOURCE_MAX ((size_t)4 * 1024 * 1024)
#define FILES_MAX 1024

static int is_source(const struct dirent *d)
{
        size_t n = strlen(d->d_name);

        return d->d_name[0] != '.' && n > 4 && strcmp(d->d_name + n - 4, ".cil") == 0;
}

/* Takes the text when it succeeds. */
int source_add(struct source *s, const char *path, char *text, size_t size, struct error *e)
{
        struct source_file *files = reallocarray(s->files, s->n_files + 1, sizeof(*files));

        if (!files)
                return error_errno(e, -ENOMEM, "%s", path);
        s->files = files;
        files[s->n_files] = (struct source_file){.path = strdup(path), .text = text, .size = size};
        if (!files[s->n_files].path)
                return error_errno(e, -ENOMEM, "%s", path);
        s->n_files++;
        return 0;
}

static int add_file(struct source *s, const char *directory, const char *name, struct error *e)
{
        _cleanup_free_ char *path = NULL, *text = NULL;
        size_t size = 0;
        int r;

        if (s->n_files == FILES_MAX)
                return error_set(e, -E2BIG, "%s: at most %d files expected", directory, FILES_MAX);
        if (asprintf(&path, "%s/%s", directory, name) < 0)
                return error_errno(e, -ENOMEM, "%s", directory);
        r = read_file(AT_FDCWD, path, SOURCE_MAX, &text, &size, e);
        if (r >= 0 && memchr(text, '\0', size))
                r = error_set(e, -EINVAL, "%s: text expected, found a NUL byte", path);
        if (r >= 0)
                r = source_add(s, path, text, size, e);
        if (r >= 0)
                text = NULL;
        return r;
}

int source_read(const char *directory, struct source *s, struct error *e)
{
        struct dirent **entries = NULL;
        int n, r = 0;

        n = scandir(directory, &entries, is_source, alphasort);
        if (n < 0)
                return error_errno(e, -errno, "%s", directory);
        if (n == 0)
                r = error_set(e, -ENOENT, "%s: *.cil files expected, found none", directory);
        for (int i = 0; i < n; i++) {
                if (r >= 0)
                        r = add_file(s, directory, entries[i]->d_name, e);
                free(entries[i]);
        }
        free(entries);
        return r;
}

void source_done(struct source *s)
{
        for (size_t i = 0; i < s->n_files; i++) {
                free(s->files[i].path);
                free(s->files[i].text);
        }
        for (size_t i = 0; i < s->n_statements; i++) {
                free(s->statements[i].source);
                free(s->statements[i].types);
        }
        for (size_t i = 0; i < s->n_sets; i++)
                free(s->sets[i].types);
        free(s->files);
        free(s->statements);
        free((void *)s->definitions);
        free(s->sets);
        free(s->all);
        sexpr_done(&s->tree);
        *s = (struct source){};
}

static const char *next_line(const char *p)
{
        p += strcspn(p, "\n");
        return p + (*p == '\n');
}

/* The lines that begin with ';' and stand together, nearest above the line. */
static void find_comment(const char *text, unsigned line, const char **ret_begin, const char **ret_end)
{
        bool inside = false;

        *ret_begin = *ret_end = text;
        for (unsigned n = 1; n < line && *text; n++, text = next_line(text)) {
                if (*text == ';' && !inside)
                        *ret_begin = text;
                if (*text == ';')
                        *ret_end = next_line(text);
                inside = *text == ';';
        }
}

int source_comment(const struct source *s, const char *path, unsigned line, char **ret)
{
        const char *p = NULL, *end = NULL;
        const char *separator = "";
        size_t size;
        FILE *f;

        for (size_t i = 0; i < s->n_files; i++)
                if (s->files[i].path == path)
                        find_comment(s->files[i].text, line, &p, &end);
        f = open_memstream(ret, &size);
        if (!f)
                return -ENOMEM;
        for (; p < end; p = next_line(p)) {
                p += strspn(p, "; ");
                (void)fprintf(f, "%s%.*s", separator, (int)strcspn(p, "\n"), p);
                separator = " ";
        }
        return fclose(f) == 0 ? 0 : -ENOMEM;
}

/* Comments go, so that no mark of somebody else's is left. */
static void write_marked(FILE *f, const char *text, size_t size, size_t file)
{
        unsigned line = 1, depth = 0;
        bool comment = false, quoted = false;

        for (const char *p = text; p < text + size; p++) {
                if (*p == '\n') {
                        line++;
                        comment = quoted = false;
                } else if (*p == '"' && !comment) {
                        quoted = !quoted;
                } else if (*p == ';' && !quoted) {
                        comment = true;
                }
                if (comment)
                        continue;
                if (*p == '(' && !quoted && depth++ == 0)
                        (void)fprintf(f, "\n;;* lmx %u %zu\n", line, file);
                (void)fputc(*p, f);
                if (*p == ')' && !quoted && depth > 0) {
                        depth--;
                        if (depth == 0)
                                (void)fputs("\n;;* lme\n", f);
                }
        }
}

int source_mark(const struct source *s, size_t file, char **ret, size_t *ret_size, struct error *e)
{
        FILE *f = open_memstream(ret, ret_size);

        if (!f)
                return error_errno(e, -ENOMEM, "%s", s->files[file].path);
        write_marked(f, s->files[file].text, s->files[file].size, file);
        return fclose(f) == 0 ? 0 : error_errno(e, -ENOMEM, "%s", s->files[file].path);
}
