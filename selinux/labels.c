/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The labels that the policy gives to files, held against a tree. */
#include <errno.h>
#include <fts.h>
#include <selinux/label.h>
#include <selinux/selinux.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/file.h"
#include "selinux/internal.h"

/* A path that the policy names without a pattern. */
struct named_path {
        char *path;
        bool seen;
};

struct check {
        struct selabel_handle *labels;
        struct named_path *paths; /* sorted */
        size_t n_paths;
        struct selinux_findings *findings;
};

static int compare_paths(const void *a, const void *b)
{
        return strcmp(((const struct named_path *)a)->path, ((const struct named_path *)b)->path);
}

static void check_done(struct check *c)
{
        if (c->labels)
                selabel_close(c->labels);
        for (size_t i = 0; i < c->n_paths; i++)
                free(c->paths[i].path);
        free(c->paths);
}

/* Lines are "PATTERN", perhaps a kind, and the context. */
static int find_named_paths(struct check *c, const char *labels)
{
        _cleanup_free_ char *copy = strdup(labels);
        char *save = NULL;

        if (!copy)
                return -ENOMEM;
        for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                size_t n = strcspn(line, "\t ");
                struct named_path *paths;

                line[n] = '\0';
                if (strcspn(line, ".^$?*+|[({\\") != n)
                        continue;
                paths = reallocarray(c->paths, c->n_paths + 1, sizeof(*paths));
                if (!paths)
                        return -ENOMEM;
                c->paths = paths;
                paths[c->n_paths] = (struct named_path){.path = strdup(line)};
                if (!paths[c->n_paths++].path)
                        return -ENOMEM;
        }
        if (c->n_paths > 0)
                qsort(c->paths, c->n_paths, sizeof(*c->paths), compare_paths);
        return 0;
}

static int ignore_message(int type, const char *format, ...)
{
        (void)type, (void)format;
        return 0;
}

/* libselinux reads labels from files alone. */
static int open_labels(struct check *c, const char *labels, struct error *e)
{
        _cleanup_close_ int fd = memfd_create("labels", MFD_CLOEXEC);
        char path[32];
        int r;

        if (fd < 0)
                return error_errno(e, -errno, "labels");
        r = write_full(fd, labels, strlen(labels));
        if (r < 0)
                return error_errno(e, r, "labels");
        selinux_set_callback(SELINUX_CB_LOG, (union selinux_callback){.func_log = ignore_message});
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        c->labels = selabel_open(SELABEL_CTX_FILE, &(struct selinux_opt){SELABEL_OPT_PATH, path}, 1);
        return c->labels ? 0 : error_errno(e, -errno, "labels");
}

static int check_path(struct check *c, const char *path, mode_t mode)
{
        const struct named_path key = {.path = (char *)path};
        struct named_path *named =
                c->n_paths ? bsearch(&key, c->paths, c->n_paths, sizeof(key), compare_paths) : NULL;
        char *context = NULL;

        if (named)
                named->seen = true;
        if (selabel_lookup_raw(c->labels, &context, path, (int)mode) == 0) {
                freecon(context);
                return 0;
        }
        return errno == ENOENT ? findings_add(c->findings, "unlabelled-path", true, path, NULL) : -errno;
}

static int check_tree(struct check *c, const char *tree, struct error *e)
{
        char *const roots[] = {(char *)tree, NULL};
        FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        size_t prefix = strlen(tree);
        const FTSENT *entry;
        int r = 0;

        if (!fts)
                return error_errno(e, -errno, "%s", tree);
        while (prefix > 0 && tree[prefix - 1] == '/')
                prefix--;
        for (errno = 0; r >= 0 && (entry = fts_read(fts)); errno = 0) {
                if (entry->fts_info == FTS_DP)
                        continue;
                if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
                        r = error_errno(e, -entry->fts_errno, "%s", entry->fts_path);
                else if (entry->fts_level == 0 && entry->fts_info != FTS_D)
                        r = error_errno(e, -ENOTDIR, "%s", tree);
                else
                        r = check_path(c, entry->fts_path[prefix] ? entry->fts_path + prefix : "/",
                                       entry->fts_statp->st_mode);
        }
        if (r >= 0 && errno != 0)
                r = error_errno(e, -errno, "%s", tree);
        (void)fts_close(fts);
        return r;
}

int selinux_policy_check_tree(const struct selinux_policy *p, const char *tree, struct selinux_findings *ret,
                              struct error *e)
{
        _cleanup_(check_done) struct check c = {.findings = ret};
        int r;

        if (!p->labels)
                return error_set(e, -EINVAL, "labels: a policy in text expected, found a binary one");
        r = open_labels(&c, p->labels, e);
        if (r >= 0)
                r = find_named_paths(&c, p->labels);
        if (r >= 0)
                r = check_tree(&c, tree, e);
        for (size_t i = 0; r >= 0 && i < c.n_paths; i++)
                if (!c.paths[i].seen)
                        r = findings_add(ret, "label-without-path", false, c.paths[i].path, NULL);
        return r;
}
