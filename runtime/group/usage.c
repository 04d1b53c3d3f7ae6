/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What containers use, from the files of their cgroups (Linux, cgroup-v2.rst). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "runtime/group/internal.h"

#define FILE_MAX 4096u

/* A file's number: the whole of it or, key not NULL, that of the line "KEY NUMBER". "max" is UINT64_MAX. */
static int read_number(const char *directory, const char *file, const char *key, uint64_t *ret)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], *p, *end;
        int r;

        if (snprintf(path, sizeof(path), "%s/%s", directory, file) >= (int)sizeof(path))
                return -ENAMETOOLONG;
        r = read_file(AT_FDCWD, path, FILE_MAX, &text, NULL, NULL);
        if (r < 0)
                return r;
        p = text;
        if (key) {
                size_t n = strlen(key);

                while (p && (strncmp(p, key, n) != 0 || p[n] != ' '))
                        p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL;
                if (!p)
                        return -EBADMSG;
                p += n + 1;
        }
        if (strncmp(p, "max", 3) == 0) {
                *ret = UINT64_MAX;
                return 0;
        }
        errno = 0;
        *ret = strtoull(p, &end, 10);
        return end == p || *p == '-' || errno != 0 ? -EBADMSG : 0;
}

int usage_read(const char *directory, struct usage *ret)
{
        int r = read_number(directory, "cpu.stat", "usage_usec", &ret->cpu_us);

        if (r >= 0)
                r = read_number(directory, "memory.current", NULL, &ret->memory);
        if (r >= 0)
                r = read_number(directory, "memory.max", NULL, &ret->memory_max);
        if (r >= 0)
                r = read_number(directory, "pids.current", NULL, &ret->processes);
        return r;
}

/* Only those that run have a cgroup; one that ends meanwhile is left out too. */
static int append_usage(const struct container *c, sd_json_variant **list, struct error *e)
{
        enum container_phase phase = c->group->machine.containers[c->index].phase;
        char directory[PATH_MAX];
        struct usage usage;
        int r;

        if (phase != CONTAINER_RUNNING && phase != CONTAINER_STOPPING)
                return 0;
        cgroup_directory(c, directory);
        r = usage_read(directory, &usage);
        if (r == -ENOENT || r == -ENODEV)
                return 0;
        if (r < 0)
                return error_errno(e, r, "%s", directory);
        return sd_json_variant_append_arraybo(
                list, SD_JSON_BUILD_PAIR_STRING("group", c->group->definition->name),
                SD_JSON_BUILD_PAIR_STRING("container", c->definition->name),
                SD_JSON_BUILD_PAIR_UNSIGNED("cpuMicroseconds", usage.cpu_us),
                SD_JSON_BUILD_PAIR_UNSIGNED("memoryBytes", usage.memory),
                SD_JSON_BUILD_PAIR_CONDITION(usage.memory_max != UINT64_MAX, "memoryLimitBytes",
                                             SD_JSON_BUILD_UNSIGNED(usage.memory_max)),
                SD_JSON_BUILD_PAIR_UNSIGNED("processes", usage.processes));
}

int group_append_usage(const struct group *g, sd_json_variant **list, struct error *e)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < g->machine.n; i++)
                r = append_usage(&g->containers[i], list, e);
        return r;
}
