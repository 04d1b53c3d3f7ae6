/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From text to a policy, by libsepol's compiler. */
#include <errno.h>
#include <sepol/cil/cil.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "selinux/internal.h"

#define CATEGORIES 1024

/* The compiler reports to a function without an argument of its own. Its first lines are the ones that help.
 */
static _Thread_local struct error compiler;

/* It comes in pieces and over several lines; here it becomes one. */
static void remember(int level, const char *text)
{
        size_t n = strlen(compiler.message);

        if (level != CIL_ERR)
                return;
        for (; *text && n + 1 < sizeof(compiler.message); text++) {
                bool space = *text == ' ' || *text == '\n';

                if (!space)
                        compiler.message[n++] = *text;
                else if (n > 0 && compiler.message[n - 1] != ' ')
                        compiler.message[n++] = ' ';
        }
        compiler.message[n] = '\0';
}

static int add_categories(cil_db_t *db, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return error_errno(e, -ENOMEM, "categories");
        for (unsigned i = 0; i < CATEGORIES; i++)
                (void)fprintf(f, "(category c%u)\n", i);
        (void)fputs("(categoryorder (", f);
        for (unsigned i = 0; i < CATEGORIES; i++)
                (void)fprintf(f, " c%u", i);
        (void)fputs("))\n", f);
        if (fclose(f) != 0)
                return error_errno(e, -ENOMEM, "categories");
        return cil_add_file(db, "categories", text, size) < 0 ? error_set(e, -EINVAL, "%s", compiler.message)
                                                              : 0;
}

/* A compiler with the settings that hold for every policy here. */
static cil_db_t *new_compiler(void)
{
        cil_db_t *db = NULL;

        compiler.message[0] = '\0';
        cil_set_log_handler(remember);
        cil_set_log_level(CIL_ERR);
        cil_db_init(&db);
        cil_set_mls(db, 1);
        cil_set_policy_version(db, SELINUX_POLICY_VERSION);
        return db;
}

static int failed(struct error *e, const char *otherwise)
{
        return error_set(e, -EINVAL, "%s", compiler.message[0] ? compiler.message : otherwise);
}

/* libsepol ends its text with a NUL only where there is any. */
static int copy_labels(struct selinux_policy *p, cil_db_t *db, struct error *e)
{
        char *text = NULL;
        size_t size = 0;

        if (cil_filecons_to_string(db, &text, &size) < 0)
                return failed(e, "the policy's labels cannot be written");
        p->labels = strndup(text ? text : "", size);
        free(text);
        return p->labels ? 0 : error_errno(e, -ENOMEM, "labels");
}

static int build(struct selinux_policy *p, struct error *e)
{
        cil_db_t *db = new_compiler();
        int r = 0;

        for (size_t i = 0; r >= 0 && i < p->source.n_files; i++) {
                const struct source_file *f = &p->source.files[i];

                if (cil_add_file(db, f->path, f->text, f->size) < 0)
                        r = failed(e, f->path);
        }
        if (r >= 0)
                r = add_categories(db, e);
        if (r >= 0 && (cil_compile(db) < 0 || cil_build_policydb(db, &p->db) < 0))
                r = failed(e, "the policy does not compile");
        if (r >= 0)
                r = copy_labels(p, db, e);
        if (r >= 0 && sepol_policydb_optimize(p->db) < 0)
                r = error_set(e, -EINVAL, "policy: optimise failed");
        cil_db_destroy(&db);
        return r;
}

static int write_resolved(cil_db_t *db, char **ret, size_t *ret_size, struct error *e)
{
        FILE *f = open_memstream(ret, ret_size);
        int r = 0;

        if (!f)
                return error_errno(e, -ENOMEM, "policy's text");
        if (cil_write_resolve_ast(f, db) < 0)
                r = failed(e, "the policy does not resolve");
        return fclose(f) == 0 ? r : error_errno(e, -ENOMEM, "policy's text");
}

/* The same text once more, with a mark for each line: what the compiler reports about marked text has other
 * places, and the policy that it builds is optimised, so both are kept apart. */
static int resolve(struct selinux_policy *p, struct error *e)
{
        cil_db_t *db = new_compiler();
        char *resolved = NULL;
        size_t size = 0;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < p->source.n_files; i++) {
                _cleanup_free_ char *text = NULL;

                r = source_mark(&p->source, i, &text, &size, e);
                if (r >= 0 && cil_add_file(db, p->source.files[i].path, text, size) < 0)
                        r = failed(e, p->source.files[i].path);
        }
        if (r >= 0)
                r = add_categories(db, e);
        if (r >= 0)
                r = write_resolved(db, &resolved, &size, e);
        cil_db_destroy(&db);
        if (r < 0) {
                free(resolved);
                return r;
        }
        return statements_find(&p->source, &p->db->p, resolved, size, e);
}

int selinux_policy_compile(const char *directory, struct selinux_policy **ret, struct error *e)
{
        return selinux_policy_compile_with(directory, NULL, NULL, ret, e);
}

static int add_text(struct source *s, const char *name, const char *text, struct error *e)
{
        _cleanup_free_ char *copy = strdup(text);
        int r;

        if (!copy)
                return error_errno(e, -ENOMEM, "%s", name);
        r = source_add(s, name, copy, strlen(copy), e);
        if (r >= 0)
                copy = NULL;
        return r;
}

int selinux_policy_compile_with(const char *directory, const char *name, const char *text,
                                struct selinux_policy **ret, struct error *e)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return error_errno(e, -ENOMEM, "policy");
        r = source_read(directory, &p->source, e);
        if (r >= 0 && name)
                r = add_text(&p->source, name, text, e);
        if (r >= 0)
                r = build(p, e);
        if (r >= 0)
                r = resolve(p, e);
        if (r >= 0)
                r = policy_keep_image(p, e);
        if (r >= 0)
                *ret = TAKE_PTR(p);
        return r;
}
