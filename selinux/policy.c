/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sepol/debug.h>
#include <sepol/policydb/services.h>
#include <sepol/sepol.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "selinux/internal.h"

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

int policy_publish(struct selinux_policy *p, struct error *e)
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
                r = policy_publish(p, e);
        if (r >= 0)
                *ret = TAKE_PTR(p);
        return r;
}

struct selinux_policy *selinux_policy_free(struct selinux_policy *p)
{
        if (!p)
                return NULL;
        if (p->db)
                sepol_policydb_free(p->db);
        source_done(&p->source);
        free(p->labels);
        free(p);
        return NULL;
}

static int find_context(const char *context, sepol_security_id_t *ret, struct error *e)
{
        if (sepol_context_to_sid(context, strlen(context) + 1, ret) < 0)
                return error_set(e, -EINVAL, "context '%s': one that the policy knows expected", context);
        return 0;
}

int find_class(const char *class, sepol_security_class_t *ret, struct error *e)
{
        if (sepol_string_to_security_class(class, ret) < 0)
                return error_set(e, -EINVAL, "class '%s': one that the policy knows expected", class);
        return 0;
}

int allowed_vector(const char *subject, const char *object, sepol_security_class_t class, uint32_t wanted,
                   uint32_t *ret, unsigned *ret_reason, struct error *e)
{
        struct sepol_av_decision decision = {};
        sepol_security_id_t source, target;
        int r;

        r = find_context(subject, &source, e);
        if (r >= 0)
                r = find_context(object, &target, e);
        if (r < 0)
                return r;
        if (sepol_compute_av_reason(source, target, class, wanted, &decision, ret_reason) < 0)
                return error_set(e, -EINVAL, "%s, %s: no answer from the policy", subject, object);
        *ret = decision.allowed;
        return 0;
}

int selinux_policy_allows(const struct selinux_policy *p, const char *subject, const char *object,
                          const char *class, const char *permission, struct error *e)
{
        sepol_access_vector_t allowed = 0, wanted;
        unsigned reason;
        sepol_security_class_t number;
        int r;

        (void)p; /* libsepol has it */
        r = find_class(class, &number, e);
        if (r < 0)
                return r;
        if (sepol_string_to_av_perm(number, permission, &wanted) < 0)
                return error_set(e, -EINVAL, "permission '%s': one of class %s expected", permission, class);
        r = allowed_vector(subject, object, number, wanted, &allowed, &reason, e);
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
        unsigned reason;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < db->p_classes.nprim; i++) {
                const class_datum_t *c = db->class_val_to_struct[i];
                const char *name = db->p_class_val_to_name[i];
                sepol_access_vector_t vector = 0;

                if (class && strcmp(class, name) != 0)
                        continue;
                r = allowed_vector(subject, object, (sepol_security_class_t)(i + 1), 0, &vector, &reason, e);
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
