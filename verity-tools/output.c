/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static int open_parent(const char *path, int flags)
{
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *parent = NULL;
        int fd;

        parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
        if (!parent)
                return -ENOMEM;
        fd = open(parent, flags | O_CLOEXEC, 0644);
        return fd < 0 ? -errno : fd;
}

static const char *last_component(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

bool output_same(const char *a, const char *b)
{
        _cleanup_close_ int parent_a = open_parent(a, O_PATH | O_DIRECTORY),
                            parent_b = open_parent(b, O_PATH | O_DIRECTORY);
        struct stat x, y;

        return strcmp(last_component(a), last_component(b)) == 0 && parent_a >= 0 && parent_b >= 0 &&
               fstat(parent_a, &x) == 0 && fstat(parent_b, &y) == 0 && x.st_dev == y.st_dev &&
               x.st_ino == y.st_ino;
}

/* A file without a name gets one through /proc. */
static int open_unnamed(const char *path)
{
        return access("/proc/self/fd", F_OK) < 0 ? -EOPNOTSUPP : open_parent(path, O_TMPFILE | O_RDWR);
}

int output_begin(const char *path, struct output *ret, struct error *e)
{
        int fd = open_unnamed(path), r;

        *ret = (struct output){.path = path, .fd = fd};
        if (fd >= 0)
                return 0;
        if (fd != -EOPNOTSUPP && fd != -EISDIR && fd != -EINVAL)
                return error_errno(e, fd, "%s", path);
        r = temporary_path(path, &ret->temporary, e);
        if (r < 0)
                return r;
        ret->fd = open(ret->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (ret->fd < 0) {
                r = error_errno(e, -errno, "%s", ret->temporary);
                free(ret->temporary);
                ret->temporary = NULL;
                return r;
        }
        return 0;
}

/* A name has to be there to be renamed. */
static int give_name(struct output *o, struct error *e)
{
        char link[64];
        int r;

        if (o->temporary)
                return 0;
        r = temporary_path(o->path, &o->temporary, e);
        if (r < 0)
                return r;
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", o->fd);
        if (linkat(AT_FDCWD, link, AT_FDCWD, o->temporary, AT_SYMLINK_FOLLOW) < 0)
                return error_errno(e, -errno, "%s", o->temporary);
        return 0;
}

int output_publish(struct output *o, struct error *e)
{
        _cleanup_close_ int parent = open_parent(o->path, O_RDONLY | O_DIRECTORY);
        int r;

        if (parent < 0)
                return error_errno(e, parent, "%s", o->path);
        if (fsync(o->fd) < 0)
                return error_errno(e, -errno, "%s", o->path);
        r = give_name(o, e);
        if (r < 0)
                return r;
        if (rename(o->temporary, o->path) < 0)
                return error_errno(e, -errno, "%s", o->path);
        free(o->temporary);
        o->temporary = NULL;
        return fsync(parent) < 0 ? error_errno(e, -errno, "%s", o->path) : 0;
}

void output_done(struct output *o)
{
        if (o->temporary)
                (void)unlink(o->temporary);
        free(o->temporary);
        (void)close_fd(o->fd);
        *o = OUTPUT_NONE;
}
