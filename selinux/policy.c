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

/* The one that libsepol answers from. */
static const struct selinux_policy *answering;

/* A handle by which libsepol reports to nobody; without one it would print. */
static sepol_handle_t *silent_handle(void)
{
        sepol_handle_t *handle = sepol_handle_create();

        if (handle)
                sepol_msg_set_callback(handle, NULL, NULL);
        return handle;
}

int policy_keep_image(struct selinux_policy *p, struct error *e)
{
        sepol_handle_t *handle = silent_handle();
        int r;

        if (!handle)
                return error_errno(e, -ENOMEM, "policy");
        r = sepol_policydb_to_image(handle, p->db, &p->image, &p->size);
        sepol_handle_destroy(handle);
        return r < 0 ? error_set(e, -EINVAL, "policy: it could not be written in its binary form") : 0;
}

/* Has libsepol answer from this policy. It never frees the one before, so this is not done before a question.
 */
static int answer_from(const struct selinux_policy *p, struct error *e)
{
        FILE *f;
        int r;

        if (answering == p)
                return 0;
        f = fmemopen(p->image, p->size, "r");
        if (!f)
                return error_errno(e, -errno, "policy");
        answering = NULL;
        sepol_debug(0);
        r = sepol_set_policydb_from_file(f);
        (void)fclose(f);
        if (r < 0)
                return error_set(e, -EINVAL, "policy: it could not be read back");
        answering = p;
        return 0;
}

int selinux_policy_read(const char *path, struct selinux_policy **ret, struct error *e)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = calloc(1, sizeof(*p));
        char *image = NULL;
        sepol_handle_t *handle;
        int r;

        if (!p)
                return error_errno(e, -ENOMEM, "policy");
        r = read_file(AT_FDCWD, path, SELINUX_POLICY_MAX, &image, &p->size, e);
        if (r < 0)
                return r;
        p->image = image;
        handle = silent_handle();
        if (!handle || sepol_policydb_create(&p->db) < 0) {
                sepol_handle_destroy(handle);
                return error_errno(e, -ENOMEM, "policy");
        }
        if (sepol_policydb_from_image(handle, image, p->size, p->db) < 0) {
                /* libsepol has already taken apart what it read; only the shell of it is left. */
                free(p->db);
                p->db = NULL;
                r = error_set(e, -EINVAL, "%s: a binary SELinux policy expected, found something else", path);
        }
        sepol_handle_destroy(handle);
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
        if (answering == p)
                answering = NULL;
        source_done(&p->source);
        free(p->image);
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

/* The number of a class; -EINVAL when the policy has no such. */
static int find_class(const struct selinux_policy *p, const char *class, sepol_security_class_t *ret,
                      struct error *e)
{
        const class_datum_t *datum = find_class_datum(&p->db->p, class);

        if (!datum)
                return error_set(e, -EINVAL, "class '%s': one that the policy knows expected", class);
        *ret = (sepol_security_class_t)datum->s.value;
        return 0;
}

int allowed_vector(const struct selinux_policy *p, const char *subject, const char *object, const char *class,
                   uint32_t wanted, uint32_t *ret, unsigned *ret_reason, struct error *e)
{
        struct sepol_av_decision decision = {};
        sepol_security_id_t source = 0, target = 0;
        sepol_security_class_t number = 0;
        int r;

        r = answer_from(p, e);
        if (r >= 0)
                r = find_class(p, class, &number, e);
        if (r >= 0)
                r = find_context(subject, &source, e);
        if (r >= 0)
                r = find_context(object, &target, e);
        if (r < 0)
                return r;
        if (sepol_compute_av_reason(source, target, number, wanted, &decision, ret_reason) < 0)
                return error_set(e, -EINVAL, "%s, %s: no answer from the policy", subject, object);
        *ret = decision.allowed;
        return 0;
}

int selinux_policy_allows(const struct selinux_policy *p, const char *subject, const char *object,
                          const char *class, const char *permission, struct error *e)
{
        const class_datum_t *datum = find_class_datum(&p->db->p, class);
        uint32_t wanted = datum ? permission_bit(datum, permission) : 0, allowed = 0;
        unsigned reason;
        int r = allowed_vector(p, subject, object, class, wanted, &allowed, &reason, e);

        if (r < 0)
                return r;
        if (!wanted)
                return error_set(e, -EINVAL, "permission '%s': one of class %s expected", permission, class);
        return (allowed & wanted) == wanted;
}

/* Adds "CLASS PERMISSION" for every permission in the vector. */
static int add_permissions(struct names *names, const char *name, const class_datum_t *class, uint32_t vector)
{
        int r = 0;

        for (; r >= 0 && vector; vector &= vector - 1) {
                const char *permission = permission_name(class, (unsigned)__builtin_ctz(vector));
                _cleanup_free_ char *line = NULL;

                if (asprintf(&line, "%s %s", name, permission ? permission : "?") < 0)
                        return -ENOMEM;
                r = names_add(names, line);
        }
        return r;
}

int selinux_policy_query(const struct selinux_policy *p, const char *subject, const char *object,
                         const char *class, char ***ret, struct error *e)
{
        const policydb_t *db = &p->db->p;
        sepol_security_class_t number;
        struct names names = {};
        unsigned reason;
        int r = class ? find_class(p, class, &number, e) : 0;

        for (unsigned i = 0; r >= 0 && i < db->p_classes.nprim; i++) {
                const char *name = db->p_class_val_to_name[i];
                uint32_t vector = 0;

                if (!db->class_val_to_struct[i] || (class && strcmp(class, name) != 0))
                        continue;
                r = allowed_vector(p, subject, object, name, 0, &vector, &reason, e);
                if (r >= 0)
                        r = add_permissions(&names, name, db->class_val_to_struct[i], vector);
        }
        if (r >= 0)
                r = names_finish(&names, ret);
        if (r < 0)
                selinux_names_free(names.items);
        return r;
}
