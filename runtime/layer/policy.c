/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel's active IPE policy will say of a layer's files. A newer host policy revokes a layer by its
 * root hash; asked beforehand, that is an answer with a reason and not a program that fails with EACCES. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ipe-policy/ipe-policy.h"
#include "runtime/layer/layer.h"

/* IPE's switches hold "0" or "1". */
static int read_switch(int dirfd, const char *path, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r = read_file(dirfd, path, 16, &text, NULL, e);

        return r < 0 ? r : text[0] == '1';
}

static int is_active(int policies, const char *name, struct error *e)
{
        char path[NAME_MAX + sizeof("/active")];

        (void)snprintf(path, sizeof(path), "%s/active", name);
        return read_switch(policies, path, e);
}

static int read_policy(int policies, const char *name, struct ipe_policy **ret, struct error *e)
{
        char path[NAME_MAX + sizeof("/policy")];
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        (void)snprintf(path, sizeof(path), "%s/policy", name);
        r = read_file(policies, path, IPE_POLICY_MAX, &text, &size, e);
        if (r < 0)
                return r;
        r = ipe_policy_parse(text, size, ret, e);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}

static int find_active(DIR *policies, struct ipe_policy **ret, struct error *e)
{
        for (;;) {
                const struct dirent *entry;
                int r;

                errno = 0;
                entry = readdir(policies);
                if (!entry)
                        return errno ? error_errno(e, -errno, "directory") : 0;
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                r = is_active(dirfd(policies), entry->d_name, e);
                if (r != 0)
                        return r < 0 ? r : read_policy(dirfd(policies), entry->d_name, ret, e);
        }
}

/* *ret is NULL where nothing is enforced: without IPE in the kernel, without an active policy, or while IPE
 * only records. */
static int read_active_policy(const char *ipe, struct ipe_policy **ret, struct error *e)
{
        _cleanup_closedir_ DIR *policies = NULL;
        char directory[PATH_MAX];
        int r;

        *ret = NULL;
        if (snprintf(directory, sizeof(directory), "%s/policies", ipe) >= (int)sizeof(directory))
                return -ENAMETOOLONG;
        policies = opendir(directory);
        if (!policies)
                return errno == ENOENT ? 0 : error_errno(e, -errno, "%s", directory);
        r = read_switch(dirfd(policies), "../enforce", e);
        if (r > 0)
                r = find_active(policies, ret, e);
        return r < 0 ? error_prefix(e, r, "%s", directory) : 0;
}

static int refuse(const struct ipe_policy *p, const struct ipe_decision *d, const struct store_layer *layer,
                  struct error *e)
{
        _cleanup_free_ char *rule = ipe_decision_to_string(d);
        char name[64];

        ipe_printable(p->name, strlen(p->name), name, sizeof(name));
        return error_set(
                e, -EKEYREJECTED, "layer %s: may not execute: IPE policy \"%s\" %u.%u.%u, line %u: rule=%s",
                layer->digest, name, p->version[0], p->version[1], p->version[2], d->line, rule ?: "?");
}

int layers_check_policy(const char *ipe, const struct store_layer *layers, size_t n, struct error *e)
{
        _cleanup_policy_ struct ipe_policy *p = NULL;
        int r;

        r = read_active_policy(ipe, &p, e);
        if (r < 0)
                return r;
        for (size_t i = 0; p && i < n; i++) {
                char hex[2 * VERITY_DIGEST_MAX + 1];
                /* No layer is opened but with the signature over its root hash. */
                const struct ipe_subject subject = {.dmverity_signature = true,
                                                    .dmverity_roothash = {layers[i].geometry.algorithm, hex}};
                struct ipe_decision decision;

                verity_geometry_root_hash(&layers[i].geometry, hex);
                ipe_policy_evaluate(p, IPE_EXECUTE, &subject, &decision);
                if (!decision.allow)
                        return refuse(p, &decision, &layers[i], e);
        }
        return 0;
}
