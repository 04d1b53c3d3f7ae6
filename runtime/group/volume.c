/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A group's volumes: memory file systems of its own, in which nothing can be executed, bound into those of
 * its containers that mount them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "runtime/group/internal.h"

#define DATA_CONTEXT "system_u:object_r:container_data_t:s0:c%u,c%u"

/* Room for the files that a group file can name, each of a page at least. */
#define SECRET_SIZE (8u << 20)

void volumes_directory(const struct manager *m, const char *group, char ret[static PATH_MAX])
{
        (void)snprintf(ret, PATH_MAX, "%s/volumes/%s", m->options.run, group);
}

static int write_secrets(const char *directory, const struct definition_volume *v, struct error *e)
{
        _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = 0;

        if (fd < 0)
                return error_errno(e, -errno, "%s", directory);
        for (size_t i = 0; r >= 0 && i < v->n_secrets; i++) {
                _cleanup_free_ void *data = NULL;
                size_t size = 0;

                r = definition_decode_secret(v->secrets[i].value, &data, &size);
                if (r >= 0)
                        r = write_file_atomic(fd, v->secrets[i].name, data, size, 0400, e);
        }
        return r;
}

/* What an attempt before left there is made anew: no container has used it. */
static int make_volume(const struct group *g, const char *directory, const struct definition_volume *v,
                       struct error *e)
{
        bool secret = v->type == VOLUME_SECRET;
        uint64_t cpu, memory;
        char context[80];
        int r;

        definition_total(g->definition, &cpu, &memory);
        (void)snprintf(context, sizeof(context), DATA_CONTEXT, g->categories[0], g->categories[1]);
        r = unmount_directory(directory, e);
        if (r >= 0)
                r = make_directories(directory, 0700, e);
        if (r >= 0)
                r = mount_scratch(directory, secret ? SECRET_SIZE : memory, secret ? 0755 : 0777,
                                  g->manager->selinux ? context : NULL, e);
        return r >= 0 && secret ? write_secrets(directory, v, e) : r;
}

int volumes_make(const struct group *g, struct error *e)
{
        char directory[PATH_MAX], path[PATH_MAX];
        int r = 0;

        volumes_directory(g->manager, g->definition->name, directory);
        for (size_t i = 0; r >= 0 && i < g->definition->n_volumes; i++) {
                const struct definition_volume *v = &g->definition->volumes[i];

                if (snprintf(path, sizeof(path), "%s/%s", directory, v->name) >= (int)sizeof(path))
                        return -ENAMETOOLONG;
                r = make_volume(g, path, v, e);
                if (r < 0)
                        return error_prefix(e, r, "volume \"%s\"", v->name);
        }
        return r;
}

void volumes_remove(struct manager *m, const char *group)
{
        _cleanup_closedir_ DIR *dir = NULL;
        char directory[PATH_MAX], path[PATH_MAX];
        struct error e;

        volumes_directory(m, group, directory);
        dir = opendir(directory);
        for (struct dirent *d; dir && (d = readdir(dir));) {
                if (!definition_name_valid(d->d_name) ||
                    snprintf(path, sizeof(path), "%s/%s", directory, d->d_name) >= (int)sizeof(path))
                        continue;
                if (unmount_directory(path, &e) < 0)
                        manager_say(m, "%s", e.message);
        }
        if (remove_tree(directory, &e) < 0)
                manager_say(m, "%s", e.message);
}
