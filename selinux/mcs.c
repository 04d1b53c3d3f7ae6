/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "selinux/mcs.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define FILE_MAX ((size_t)16 * 1024 * 1024)

struct mcs {
        unsigned categories;
        size_t n_pairs, next; /* where the search goes on */
        bool *held;           /* by a group */
        bool *used;           /* given since the last look, or seen by it */
        mcs_look_t look;
        void *userdata;
};

/* Pairs in the order (0,1) (0,2) … (1,2) …; n_pairs for what is none. */
static size_t pair_number(const struct mcs *m, unsigned low, unsigned high)
{
        size_t before = (size_t)low * m->categories - (size_t)low * (low + 1) / 2;

        return low < high && high < m->categories ? before + (high - low - 1) : m->n_pairs;
}

static void number_pair(const struct mcs *m, size_t number, unsigned ret[static 2])
{
        ret[0] = 0;
        while (number >= m->categories - ret[0] - 1) {
                number -= m->categories - ret[0] - 1;
                ret[0]++;
        }
        ret[1] = ret[0] + 1 + (unsigned)number;
}

int mcs_new(unsigned categories, mcs_look_t look, void *userdata, struct mcs **ret, struct error *e)
{
        _cleanup_(mcs_free_ptr) struct mcs *m = calloc(1, sizeof(*m));
        int r;

        if (categories < 2 || categories > MCS_CATEGORIES)
                return error_set(e, -EINVAL, "2 to %u categories expected, found %u", MCS_CATEGORIES,
                                 categories);
        if (!m)
                return error_errno(e, -ENOMEM, "categories");
        *m = (struct mcs){.categories = categories,
                          .n_pairs = (size_t)categories * (categories - 1) / 2,
                          .look = look,
                          .userdata = userdata};
        m->held = calloc(m->n_pairs, sizeof(*m->held));
        m->used = calloc(m->n_pairs, sizeof(*m->used));
        if (!m->held || !m->used)
                return error_errno(e, -ENOMEM, "categories");
        r = look(m, userdata, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

struct mcs *mcs_free(struct mcs *m)
{
        if (!m)
                return NULL;
        free(m->held);
        free(m->used);
        free(m);
        return NULL;
}

int mcs_hold(struct mcs *m, const unsigned pair[static 2], struct error *e)
{
        size_t number = pair_number(m, pair[0], pair[1]);

        if (number == m->n_pairs)
                return error_set(e, -EINVAL,
                                 "categories: two below %u, smaller first, expected, found %u and %u",
                                 m->categories, pair[0], pair[1]);
        if (m->held[number])
                return error_set(e, -EEXIST, "categories: c%u,c%u belong to another group", pair[0], pair[1]);
        m->held[number] = m->used[number] = true;
        return 0;
}

void mcs_release(struct mcs *m, const unsigned pair[static 2])
{
        size_t number = pair_number(m, pair[0], pair[1]);

        if (number < m->n_pairs)
                m->held[number] = false;
}

/* The next pair that is neither held nor used, from where the last search ended; n_pairs when there is none.
 */
static size_t find_free(const struct mcs *m)
{
        for (size_t i = 0; i < m->n_pairs; i++) {
                size_t number = (m->next + i) % m->n_pairs;

                if (!m->held[number] && !m->used[number])
                        return number;
        }
        return m->n_pairs;
}

int mcs_take(struct mcs *m, unsigned ret[static 2], struct error *e)
{
        size_t number = find_free(m);

        if (number == m->n_pairs) {
                int r;

                memcpy(m->used, m->held, m->n_pairs * sizeof(*m->used));
                r = m->look(m, m->userdata, e);
                if (r < 0) {
                        memset(m->used, true, m->n_pairs * sizeof(*m->used));
                        return r;
                }
                number = find_free(m);
        }
        if (number == m->n_pairs)
                return error_set(e, -ENOSPC, "categories: all %zu pairs are in use", m->n_pairs);
        m->held[number] = m->used[number] = true;
        m->next = (number + 1) % m->n_pairs;
        number_pair(m, number, ret);
        return 0;
}

/* --- what lives --- */

void mcs_mark(struct mcs *m, const char *context)
{
        const char *colon = strrchr(context, ':');
        unsigned low, high;
        size_t number;

        if (!colon ||
            sscanf(colon, ":c%4u,c%4u", &low, &high) != 2) /* NOLINT(cert-err34-c): four digits fit */
                return;
        number = pair_number(m, low, high);
        if (number < m->n_pairs)
                m->used[number] = true;
}

/* A process that ended on the way marks nothing. */
static int mark_process(struct mcs *m, const char *proc, const char *pid, struct error *e)
{
        _cleanup_free_ char *context = NULL;
        char path[PATH_MAX];
        size_t size = 0;
        int r;

        if (snprintf(path, sizeof(path), "%s/%s/attr/current", proc, pid) >= (int)sizeof(path))
                return error_errno(e, -ENAMETOOLONG, "%s", proc);
        r = read_file(AT_FDCWD, path, PATH_MAX, &context, &size, e);
        if (r >= 0)
                mcs_mark(m, context);
        return r == -ENOENT || r == -ESRCH ? 0 : r;
}

static int mark_group(struct mcs *m, const char *directory, const char *proc, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], *save = NULL;
        int r;

        if (snprintf(path, sizeof(path), "%s/cgroup.procs", directory) >= (int)sizeof(path))
                return error_errno(e, -ENAMETOOLONG, "%s", directory);
        r = read_file(AT_FDCWD, path, FILE_MAX, &text, NULL, e);
        if (r == -ENOENT || r == -ENODEV)
                return 0; /* the group went away */
        if (r < 0)
                return r;
        for (char *pid = strtok_r(text, "\n", &save); r >= 0 && pid; pid = strtok_r(NULL, "\n", &save))
                r = mark_process(m, proc, pid, e);
        return r;
}

int mcs_mark_processes(struct mcs *m, const char *cgroup, const char *proc, struct error *e)
{
        char *const roots[] = {(char *)cgroup, NULL};
        FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        const FTSENT *entry;
        int r = 0;

        if (!fts)
                return error_errno(e, -errno, "%s", cgroup);
        for (errno = 0; r >= 0 && (entry = fts_read(fts)); errno = 0)
                if (entry->fts_info == FTS_D)
                        r = mark_group(m, entry->fts_path, proc, e);
                else if ((entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR ||
                          entry->fts_info == FTS_NS) &&
                         entry->fts_errno != ENOENT)
                        r = error_errno(e, -entry->fts_errno, "%s", entry->fts_path);
        if (r >= 0 && errno != 0)
                r = error_errno(e, -errno, "%s", cgroup);
        (void)fts_close(fts);
        return r;
}

int mcs_mark_mounts(struct mcs *m, const char *mountinfo, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r = read_file(AT_FDCWD, mountinfo, FILE_MAX, &text, NULL, e);

        if (r < 0)
                return r;
        for (char *p = strstr(text, "context=\""); p; p = strstr(p, "context=\"")) {
                char *end;

                p += strlen("context=\"");
                end = p + strcspn(p, "\"\n");
                if (!*end)
                        break;
                *end = '\0';
                mcs_mark(m, p);
                p = end + 1;
        }
        return 0;
}
