/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sepol/cil/cil.h>
#include <sepol/debug.h>
#include <sepol/policydb.h>
#include <sepol/policydb/policydb.h>
#include <sepol/policydb/services.h>
#include <sepol/sepol.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "selinux/internal.h"

#define SOURCE_MAX ((size_t)4 * 1024 * 1024)
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

static int is_source(const struct dirent *d)
{
        size_t n = strlen(d->d_name);

        return d->d_name[0] != '.' && n > 4 && strcmp(d->d_name + n - 4, ".cil") == 0;
}

static int add_sources(cil_db_t *db, const char *directory, struct error *e)
{
        struct dirent **entries = NULL;
        int n, r = 0;

        n = scandir(directory, &entries, is_source, alphasort);
        if (n < 0)
                return error_errno(e, -errno, "%s", directory);
        if (n == 0)
                r = error_set(e, -ENOENT, "%s: *.cil files expected, found none", directory);
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL, *text = NULL;
                size_t size = 0;

                if (r >= 0 && asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0)
                        r = -ENOMEM;
                if (r >= 0)
                        r = read_file(AT_FDCWD, path, SOURCE_MAX, &text, &size, e);
                if (r >= 0 && cil_add_file(db, path, text, size) < 0)
                        r = error_set(e, -EINVAL, "%s", compiler.message[0] ? compiler.message : path);
                free(entries[i]);
        }
        free(entries);
        return r;
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

static int build(cil_db_t *db, const char *directory, sepol_policydb_t **ret, struct error *e)
{
        int r;

        r = add_sources(db, directory, e);
        if (r >= 0)
                r = add_categories(db, e);
        if (r < 0)
                return r;
        if (cil_compile(db) < 0 || cil_build_policydb(db, ret) < 0)
                return error_set(e, -EINVAL, "%s",
                                 compiler.message[0] ? compiler.message : "the policy does not compile");
        return sepol_policydb_optimize(*ret) < 0 ? error_set(e, -EINVAL, "%s: optimise failed", directory)
                                                 : 0;
}

static int write_to(FILE *f, struct selinux_policy *p, struct error *e)
{
        sepol_policy_file_t *out = NULL;
        int r = 0;

        if (sepol_policy_file_create(&out) < 0)
                return error_errno(e, -ENOMEM, "policy");
        sepol_policy_file_set_fp(out, f);
        if (sepol_policydb_write(p->db, out) < 0 || fflush(f) != 0)
                r = error_set(e, -EIO, "policy: it could not be written in its binary form");
        sepol_policy_file_free(out);
        if (r < 0)
                return r;
        p->size = (size_t)ftell(f);
        if (fseek(f, 0, SEEK_SET) < 0)
                return error_errno(e, -errno, "temporary file");
        return sepol_set_policydb_from_file(f) < 0
                       ? error_set(e, -EINVAL, "policy: it could not be read back")
                       : 0;
}

/* Writes the policy in its binary form to a file without a name and makes that the one that libsepol answers
 * from. */
static int publish(struct selinux_policy *p, struct error *e)
{
        FILE *f = tmpfile();
        int r;

        sepol_debug(0); /* it would print */
        if (!f)
                return error_errno(e, -errno, "temporary file");
        r = write_to(f, p, e);
        (void)fclose(f);
        return r;
}

int selinux_policy_compile(const char *directory, struct selinux_policy **ret, struct error *e)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = calloc(1, sizeof(*p));
        cil_db_t *db = NULL;
        int r;

        if (!p)
                return error_errno(e, -ENOMEM, "policy");
        compiler.message[0] = '\0';
        cil_set_log_handler(remember);
        cil_set_log_level(CIL_ERR);
        cil_db_init(&db);
        cil_set_mls(db, 1);
        cil_set_policy_version(db, SELINUX_POLICY_VERSION);
        r = build(db, directory, &p->db, e);
        cil_db_destroy(&db);
        if (r >= 0)
                r = publish(p, e);
        if (r >= 0)
                *ret = TAKE_PTR(p);
        return r;
}

int selinux_policy_read(const char *path, struct selinux_policy **ret, struct error *e)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = calloc(1, sizeof(*p));
        _cleanup_free_ char *image = NULL;
        sepol_handle_t *handle;
        size_t size = 0;
        int r;

        if (!p)
                return error_errno(e, -ENOMEM, "policy");
        r = read_file(AT_FDCWD, path, SELINUX_POLICY_MAX, &image, &size, e);
        if (r < 0)
                return r;
        handle = sepol_handle_create();
        if (!handle || sepol_policydb_create(&p->db) < 0) {
                sepol_handle_destroy(handle);
                return error_errno(e, -ENOMEM, "policy");
        }
        sepol_msg_set_callback(handle, NULL, NULL);
        if (sepol_policydb_from_image(handle, image, size, p->db) < 0) {
                /* libsepol has already taken apart what it read; only the shell of it is left. */
                free(p->db);
                p->db = NULL;
                r = error_set(e, -EINVAL, "%s: a binary SELinux policy expected, found something else", path);
        }
        sepol_handle_destroy(handle);
        if (r >= 0)
                r = publish(p, e);
        if (r >= 0)
                *ret = TAKE_PTR(p);
        return r;
}

struct selinux_policy *selinux_policy_free(struct selinux_policy *p)
{
        if (p && p->db)
                sepol_policydb_free(p->db);
        free(p);
        return NULL;
}

static int find_context(const char *context, sepol_security_id_t *ret, struct error *e)
{
        if (sepol_context_to_sid(context, strlen(context) + 1, ret) < 0)
                return error_set(e, -EINVAL, "context '%s': one that the policy knows expected", context);
        return 0;
}

static int find_class(const char *class, sepol_security_class_t *ret, struct error *e)
{
        if (sepol_string_to_security_class(class, ret) < 0)
                return error_set(e, -EINVAL, "class '%s': one that the policy knows expected", class);
        return 0;
}

static int allowed_vector(const char *subject, const char *object, sepol_security_class_t class,
                          sepol_access_vector_t *ret, struct error *e)
{
        struct sepol_av_decision decision = {};
        sepol_security_id_t source, target;
        int r;

        r = find_context(subject, &source, e);
        if (r >= 0)
                r = find_context(object, &target, e);
        if (r < 0)
                return r;
        if (sepol_compute_av(source, target, class, 0, &decision) < 0)
                return error_set(e, -EINVAL, "%s, %s: no answer from the policy", subject, object);
        *ret = decision.allowed;
        return 0;
}

int selinux_policy_allows(const struct selinux_policy *p, const char *subject, const char *object,
                          const char *class, const char *permission, struct error *e)
{
        sepol_access_vector_t allowed = 0, wanted;
        sepol_security_class_t number;
        int r;

        (void)p; /* libsepol has it */
        r = find_class(class, &number, e);
        if (r < 0)
                return r;
        if (sepol_string_to_av_perm(number, permission, &wanted) < 0)
                return error_set(e, -EINVAL, "permission '%s': one of class %s expected", permission, class);
        r = allowed_vector(subject, object, number, &allowed, e);
        return r < 0 ? r : (allowed & wanted) == wanted;
}

/* Adds "CLASS PERMISSION" for every permission of the table that is in the vector. */
static int add_permissions(struct names *names, const char *class, hashtab_t table,
                           sepol_access_vector_t vector)
{
        for (unsigned i = 0; table && i < table->size; i++)
                for (hashtab_node_t *node = table->htable[i]; node; node = node->next) {
                        const perm_datum_t *permission = node->datum;
                        _cleanup_free_ char *line = NULL;

                        if (!(vector & (1u << (permission->s.value - 1))))
                                continue;
                        if (asprintf(&line, "%s %s", class, node->key) < 0)
                                return -ENOMEM;
                        if (names_add(names, line) < 0)
                                return -ENOMEM;
                }
        return 0;
}

int selinux_policy_query(const struct selinux_policy *p, const char *subject, const char *object,
                         const char *class, char ***ret, struct error *e)
{
        const policydb_t *db = &p->db->p;
        struct names names = {};
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < db->p_classes.nprim; i++) {
                const class_datum_t *c = db->class_val_to_struct[i];
                const char *name = db->p_class_val_to_name[i];
                sepol_access_vector_t vector = 0;

                if (class && strcmp(class, name) != 0)
                        continue;
                r = allowed_vector(subject, object, (sepol_security_class_t)(i + 1), &vector, e);
                if (r >= 0)
                        r = add_permissions(&names, name, c->permissions.table, vector);
                if (r >= 0 && c->comdatum)
                        r = add_permissions(&names, name, c->comdatum->permissions.table, vector);
        }
        if (r >= 0 && class) {
                sepol_security_class_t number;
                r = find_class(class, &number, e);
        }
        if (r >= 0)
                r = names_finish(&names, ret);
        if (r < 0)
                selinux_names_free(names.items);
        return r;
}
