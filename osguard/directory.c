/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "osguard/osguard.h"

static bool is_dot(const char *name)
{
        return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int empty_below(int dirfd, dev_t device, struct error *e);

/* A directory on another file system is a mount point in use: it is left. */
static int remove_entry(int dirfd, const char *name, dev_t device, struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        int r;

        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(e, -errno, "%s", name);
        if (st.st_dev != device)
                return 0;
        if (!S_ISDIR(st.st_mode))
                return unlinkat(dirfd, name, 0) < 0 ? error_errno(e, -errno, "%s", name) : 0;
        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return error_errno(e, -errno, "%s", name);
        r = empty_below(fd, device, e);
        if (r < 0)
                return r;
        /* -ENOTEMPTY and -EBUSY: something is mounted below. */
        if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EBUSY)
                return error_errno(e, -errno, "%s", name);
        return 0;
}

static int empty_below(int dirfd, dev_t device, struct error *e)
{
        _cleanup_closedir_ DIR *dir = NULL;
        int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

        if (fd < 0)
                return error_errno(e, -errno, "directory");
        dir = fdopendir(fd);
        if (!dir) {
                close_fd(fd);
                return error_errno(e, -ENOMEM, "directory");
        }
        for (;;) {
                const struct dirent *entry;

                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return errno != 0 ? error_errno(e, -errno, "directory") : 0;
                if (is_dot(entry->d_name))
                        continue;
                r = remove_entry(dirfd, entry->d_name, device, e);
                if (r < 0)
                        return r;
        }
}

int directory_empty(int dirfd, struct error *e)
{
        struct stat st;

        if (fstat(dirfd, &st) < 0)
                return error_errno(e, -errno, "directory");
        return empty_below(dirfd, st.st_dev, e);
}
