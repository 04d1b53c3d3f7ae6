/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

static int open_in_root(int rootfs, const char *path, uint64_t flags, uint64_t mode)
{
        struct open_how how = {
                .flags = flags | O_CLOEXEC | O_NOCTTY, .mode = mode, .resolve = RESOLVE_IN_ROOT};
        long fd = syscall(SYS_openat2, rootfs, path, &how, sizeof(how));

        return fd < 0 ? -errno : (int)fd;
}

static int open_stream(int rootfs, const char *path, FILE **ret)
{
        int fd = open_in_root(rootfs, path, O_RDONLY | O_NONBLOCK, 0);

        if (fd < 0)
                return fd;
        *ret = fdopen(fd, "re");
        if (!*ret) {
                (void)close(fd);
                return -ENOMEM;
        }
        return 0;
}

static int parse_id(const char *text, uint32_t *ret)
{
        unsigned long long n;
        char *end;

        if (text[0] < '0' || text[0] > '9')
                return -EINVAL;
        errno = 0;
        n = strtoull(text, &end, 10);
        if (errno != 0 || *end != '\0' || n >= UINT32_MAX)
                return -EINVAL;
        *ret = (uint32_t)n;
        return 0;
}

/* 1: found (by name, or by number where by_id). The group is the user's own. */
static int find_user(int rootfs, const char *name, const uint32_t *by_id, uint32_t *ret_uid,
                     uint32_t *ret_gid)
{
        FILE *f = NULL;
        int r = open_stream(rootfs, "/etc/passwd", &f);
        struct passwd *p;

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        while ((p = fgetpwent(f)))
                if (by_id ? p->pw_uid == *by_id : strcmp(p->pw_name, name) == 0)
                        break;
        if (p) {
                *ret_uid = p->pw_uid;
                *ret_gid = p->pw_gid;
        }
        (void)fclose(f);
        return p != NULL;
}

static int find_group(int rootfs, const char *name, uint32_t *ret_gid)
{
        FILE *f = NULL;
        int r = open_stream(rootfs, "/etc/group", &f);
        struct group *g;

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        while ((g = fgetgrent(f)) && strcmp(g->gr_name, name) != 0)
                ;
        if (g)
                *ret_gid = g->gr_gid;
        (void)fclose(f);
        return g != NULL;
}

int user_resolve(int rootfs, const char *user, uint32_t *ret_uid, uint32_t *ret_gid, struct error *e)
{
        _cleanup_free_ char *name = strndup(user, strcspn(user, ":"));
        const char *group = strchr(user, ':');
        uint32_t uid = 0, gid = 0, ignored;
        int r;

        if (!name)
                return -ENOMEM;
        if (name[0] == '\0')
                r = 1;
        else if (parse_id(name, &uid) >= 0) {
                r = find_user(rootfs, NULL, &uid, &ignored, &gid);
                r = r < 0 ? r : 1; /* a number need not have a name */
        } else
                r = find_user(rootfs, name, NULL, &uid, &gid);
        if (r > 0 && group && parse_id(group + 1, &gid) < 0)
                r = find_group(rootfs, group + 1, &gid);
        if (r < 0)
                return error_errno(e, r, "user \"%s\" of the image", user);
        if (r == 0)
                return error_set(e, -ENOENT,
                                 "user \"%s\" of the image: not found in its /etc/passwd and /etc/group",
                                 user);
        *ret_uid = uid;
        *ret_gid = gid;
        return 0;
}

int rootfs_write(int rootfs, const char *directory, const char *name, const char *text, struct error *e)
{
        _cleanup_close_ int dir = -EBADF, fd = -EBADF;
        int r;

        dir = open_in_root(rootfs, directory, O_RDONLY | O_DIRECTORY, 0);
        if (dir == -ENOENT && mkdirat(rootfs, directory + strspn(directory, "/"), 0755) >= 0) {
                dir = open_in_root(rootfs, directory, O_RDONLY | O_DIRECTORY, 0);
                if (dir >= 0 && fchmod(dir, 0755) < 0) /* whatever our umask is */
                        return error_errno(e, -errno, "%s of the container", directory);
        }
        if (dir < 0)
                return error_errno(e, dir, "%s of the container", directory);
        if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
                return error_errno(e, -errno, "%s/%s of the container", directory, name);
        fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0 || fchmod(fd, 0644) < 0)
                return error_errno(e, -errno, "%s/%s of the container", directory, name);
        r = write_full(fd, text, strlen(text));
        return r < 0 ? error_errno(e, r, "%s/%s of the container", directory, name) : 0;
}
