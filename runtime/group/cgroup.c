/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/group/internal.h"

#define ROOT "/sys/fs/cgroup"
#define SUPERVISOR "/supervisor"
#define CONTROLLERS "+cpu +memory +pids"
#define GROUP_PIDS_MAX 8192u

/* Ours in the unified hierarchy: "0::PATH". */
static int own_cgroup(char **ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        char *line;
        int r;

        r = read_file(AT_FDCWD, "/proc/self/cgroup", 65536, &text, NULL, e);
        if (r < 0)
                return r;
        for (line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (strncmp(line, "0::/", 4) == 0)
                        break;
        if (!line)
                return error_set(e, -ENOENT,
                                 "/proc/self/cgroup: a cgroup version 2 path expected, found none");
        *ret = strndup(line + 3, strcspn(line + 3, "\n"));
        return *ret ? 0 : -ENOMEM;
}

static int write_control(const char *cgroup, const char *file, const char *text, struct error *e)
{
        char path[PATH_MAX];

        if (snprintf(path, sizeof(path), ROOT "%s/%s", cgroup, file) >= (int)sizeof(path))
                return error_errno(e, -ENAMETOOLONG, "%s", cgroup);
        return write_kernel_file(path, text, strlen(text), e);
}

/* systemd starts us in DelegateSubgroup=supervisor; groups are made beside it. Without systemd, in the root
 * cgroup, they are made below a cgroup of our own. */
int cgroup_find(char **ret, struct error *e)
{
        _cleanup_free_ char *own = NULL, *base = NULL;
        char path[PATH_MAX];
        size_t n;
        int r;

        r = own_cgroup(&own, e);
        if (r < 0)
                return r;
        n = strlen(own);
        if (strcmp(own, "/") == 0)
                base = strdup("/holdfast");
        else if (n > strlen(SUPERVISOR) && strcmp(own + n - strlen(SUPERVISOR), SUPERVISOR) == 0)
                base = strndup(own, n - strlen(SUPERVISOR));
        else
                return error_set(e, -EINVAL,
                                 "cgroup \"…" SUPERVISOR
                                 "\" (Delegate=, DelegateSubgroup=) expected, found \"%s\"",
                                 own);
        if (!base)
                return -ENOMEM;
        (void)snprintf(path, sizeof(path), ROOT "%s", base);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return error_errno(e, -errno, "%s", path);
        if (strcmp(own, "/") == 0)
                r = write_control("", "cgroup.subtree_control", CONTROLLERS, e);
        if (r >= 0)
                r = write_control(base, "cgroup.subtree_control", CONTROLLERS, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(base);
        return 0;
}

/* A killed predecessor's executors may still be at work on what is about to be undone. */
void cgroup_end_strays(void)
{
        _cleanup_free_ char *own = NULL, *text = NULL;
        char path[PATH_MAX];

        if (own_cgroup(&own, NULL) < 0 || strcmp(own, "/") == 0)
                return;
        (void)snprintf(path, sizeof(path), ROOT "%s/cgroup.procs", own);
        if (read_file(AT_FDCWD, path, 1 << 20, &text, NULL, NULL) < 0)
                return;
        for (char *p = text, *end; *p; p = *end ? end + 1 : end) {
                pid_t pid = (pid_t)strtol(p, &end, 10);

                if (end == p)
                        return;
                if (pid > 1 && pid != getpid())
                        (void)kill(pid, SIGKILL);
        }
}

void cgroup_of_group(const struct group *g, char ret[static PATH_MAX])
{
        (void)snprintf(ret, PATH_MAX, "%s/g-%s", g->manager->cgroup, g->definition->name);
}

void cgroup_of_container(const struct container *c, char ret[static PATH_MAX])
{
        (void)snprintf(ret, PATH_MAX, "%s/g-%s/%s", c->group->manager->cgroup, c->group->definition->name,
                       c->definition->name);
}

void cgroup_directory(const struct container *c, char ret[static PATH_MAX])
{
        (void)snprintf(ret, PATH_MAX, ROOT "%s/g-%s/%s", c->group->manager->cgroup,
                       c->group->definition->name, c->definition->name);
}

/* The group's bounds: what its containers request together, which no limit of one may exceed. */
int cgroup_make_group(const struct group *g, struct error *e)
{
        char cgroup[PATH_MAX - 64], path[PATH_MAX], text[64];
        uint64_t memory, cpu;
        int r;

        (void)snprintf(cgroup, sizeof(cgroup), "%s/g-%s", g->manager->cgroup, g->definition->name);
        (void)snprintf(path, sizeof(path), ROOT "%s", cgroup);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return error_errno(e, -errno, "%s", path);
        definition_total(g->definition, &cpu, &memory);
        r = write_control(cgroup, "cgroup.subtree_control", CONTROLLERS, e);
        (void)snprintf(text, sizeof(text), "%lu", memory);
        if (r >= 0)
                r = write_control(cgroup, "memory.max", text, e);
        (void)snprintf(text, sizeof(text), "%lu 100000", cpu * 100);
        if (r >= 0)
                r = write_control(cgroup, "cpu.max", text, e);
        (void)snprintf(text, sizeof(text), "%u", GROUP_PIDS_MAX);
        if (r >= 0)
                r = write_control(cgroup, "pids.max", text, e);
        return r;
}

int cgroup_remove(const char *cgroup)
{
        char path[PATH_MAX];

        if (snprintf(path, sizeof(path), ROOT "%s", cgroup) >= (int)sizeof(path))
                return -ENAMETOOLONG;
        return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

void cgroup_kill(const char *cgroup)
{
        (void)write_control(cgroup, "cgroup.kill", "1", NULL);
}

bool cgroup_ran_out_of_memory(const char *cgroup)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        const char *p;

        if (snprintf(path, sizeof(path), ROOT "%s/memory.events", cgroup) >= (int)sizeof(path) ||
            read_file(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
                return false;
        p = strstr(text, "oom_kill ");
        return p && strtoul(p + strlen("oom_kill "), NULL, 10) > 0;
}
