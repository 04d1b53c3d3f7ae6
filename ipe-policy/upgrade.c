/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model of the kernel's policies (security/ipe/policy.c, fs.c and policy_fs.c). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipe-policy/author.h"

struct ipe_kernel {
        struct ipe_policy **policies;
        size_t n;
        const struct ipe_policy *active;
};

struct ipe_kernel *ipe_kernel_new(void)
{
        return calloc(1, sizeof(struct ipe_kernel));
}

struct ipe_kernel *ipe_kernel_free(struct ipe_kernel *k)
{
        if (!k)
                return NULL;
        for (size_t i = 0; i < k->n; i++)
                ipe_policy_free(k->policies[i]);
        free(k->policies);
        free(k);
        return NULL;
}

/* NULL and -ENOENT with a message if it is not loaded. */
static struct ipe_policy **find(struct ipe_kernel *k, const char *name, struct error *e)
{
        for (size_t i = 0; i < k->n; i++)
                if (strcmp(k->policies[i]->name, name) == 0)
                        return &k->policies[i];
        (void)error_set(e, -ENOENT, "a loaded policy expected, \"%s\" is none", name);
        return NULL;
}

int ipe_kernel_load(struct ipe_kernel *k, const char *text, size_t size, struct error *e)
{
        _cleanup_policy_ struct ipe_policy *p = NULL;
        struct ipe_policy **bigger;
        int r;

        r = ipe_policy_parse(text, size, &p, e);
        if (r < 0)
                return r;
        if (find(k, p->name, NULL))
                return error_set(e, -EEXIST, "a new name expected, \"%s\" is loaded: update that", p->name);
        bigger = reallocarray(k->policies, k->n + 1, sizeof(struct ipe_policy *));
        if (!bigger)
                return error_errno(e, -ENOMEM, "policies");
        k->policies = bigger;
        k->policies[k->n++] = TAKE_PTR(p);
        return 0;
}

int ipe_kernel_update(struct ipe_kernel *k, const char *name, const char *text, size_t size, struct error *e)
{
        struct ipe_policy **old = find(k, name, e);
        _cleanup_policy_ struct ipe_policy *p = NULL;
        int r;

        if (!old)
                return -ENOENT;
        r = ipe_policy_parse(text, size, &p, e);
        if (r < 0)
                return r;
        if (strcmp(p->name, name) != 0)
                return error_set(e, -EINVAL, "the name \"%s\" expected, found \"%s\"", name, p->name);
        if (ipe_policy_compare_versions((*old)->version, p->version) >= 0)
                return error_set(e, -ESTALE, "a version above %u.%u.%u expected, found %u.%u.%u",
                                 (*old)->version[0], (*old)->version[1], (*old)->version[2], p->version[0],
                                 p->version[1], p->version[2]);
        if (k->active == *old)
                k->active = p;
        ipe_policy_free(*old);
        *old = TAKE_PTR(p);
        return 0;
}

int ipe_kernel_activate(struct ipe_kernel *k, const char *name, struct error *e)
{
        struct ipe_policy **p = find(k, name, e);

        if (!p)
                return -ENOENT;
        if (k->active && ipe_policy_compare_versions(k->active->version, (*p)->version) > 0)
                return error_set(e, -EINVAL,
                                 "a version of at least %u.%u.%u, that of the active \"%s\", expected, "
                                 "found %u.%u.%u",
                                 k->active->version[0], k->active->version[1], k->active->version[2],
                                 k->active->name, (*p)->version[0], (*p)->version[1], (*p)->version[2]);
        k->active = *p;
        return 0;
}

int ipe_kernel_delete(struct ipe_kernel *k, const char *name, struct error *e)
{
        struct ipe_policy **p = find(k, name, e);

        if (!p)
                return -ENOENT;
        if (k->active == *p)
                return error_set(e, -EPERM, "another policy to be active expected, \"%s\" is", name);
        ipe_policy_free(*p);
        *p = k->policies[--k->n];
        return 0;
}
