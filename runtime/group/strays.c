/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What runs without a record: its group's was damaged and set aside. It is ended, because nobody could ever
 * stop it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "base/file.h"
#include "runtime/group/internal.h"

#define CGROUP_TRIES 100
#define CGROUP_PAUSE_USEC 10000u

/* Its processes were killed a moment ago; until they are gone it is busy. */
static void remove_cgroup(const char *path)
{
        for (int i = 0; i < CGROUP_TRIES && cgroup_remove(path) == -EBUSY; i++)
                (void)usleep(CGROUP_PAUSE_USEC);
}

static void remove_container(struct manager *m, const char *group, const char *container)
{
        static const char *const mounts[] = {"rootfs", "scratch"};
        char path[PATH_MAX];
        struct error e;

        for (size_t i = 0; i < ELEMENTSOF(mounts); i++) {
                (void)snprintf(path, sizeof(path), "%s/containers/%s/%s/%s", m->options.run, group, container,
                               mounts[i]);
                if (unmount_directory(path, &e) < 0)
                        manager_say(m, "%s", e.message);
        }
        (void)snprintf(path, sizeof(path), "%s/crun/%s.%s", m->options.run, group, container);
        if (remove_tree(path, &e) < 0)
                manager_say(m, "%s", e.message);
        (void)snprintf(path, sizeof(path), "%s/g-%s/%s", m->cgroup, group, container);
        remove_cgroup(path);
}

static void remove_stray(struct manager *m, const char *group)
{
        _cleanup_closedir_ DIR *dir = NULL;
        char path[PATH_MAX];
        struct error e;

        manager_say(m, "group \"%s\" has no record: what is left of it is ended", group);
        (void)snprintf(path, sizeof(path), "%s/g-%s", m->cgroup, group);
        cgroup_kill(path);
        (void)snprintf(path, sizeof(path), "%s/containers/%s", m->options.run, group);
        dir = opendir(path);
        for (struct dirent *d; dir && (d = readdir(dir));)
                if (definition_name_valid(d->d_name))
                        remove_container(m, group, d->d_name);
        if (remove_tree(path, &e) < 0)
                manager_say(m, "%s", e.message);
        /* its end of the link goes with the namespace, and the routes with the link */
        (void)snprintf(path, sizeof(path), "%s/netns/%s", m->options.run, group);
        while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
                ;
        (void)unlink(path);
        (void)snprintf(path, sizeof(path), "%s/g-%s", m->cgroup, group);
        remove_cgroup(path);
}

/* Calls remove() for each entry of a directory below RUN that has no group's name. */
static void remove_unknown(struct manager *m, const char *directory,
                           void (*remove)(struct manager *m, const char *group))
{
        _cleanup_closedir_ DIR *dir = NULL;
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s", m->options.run, directory);
        dir = opendir(path);
        for (struct dirent *d; dir && (d = readdir(dir));) {
                bool known = false;

                for (size_t i = 0; i < m->n_groups; i++)
                        known = known || strcmp(m->groups[i]->definition->name, d->d_name) == 0;
                if (!known && definition_name_valid(d->d_name))
                        remove(m, d->d_name);
        }
}

void manager_remove_strays(struct manager *m)
{
        remove_unknown(m, "containers", remove_stray);
        remove_unknown(m, "volumes", volumes_remove);
}
