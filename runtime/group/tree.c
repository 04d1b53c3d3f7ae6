/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/group/internal.h"

#define DEPTH_MAX 64

/* Takes fd over. */
static int remove_content(int fd, dev_t device, unsigned depth)
{
        _cleanup_closedir_ DIR *dir = fdopendir(fd);

        if (!dir) {
                (void)close(fd);
                return -errno;
        }
        for (struct dirent *d; (d = readdir(dir));) {
                int child, r;
                struct stat st;

                if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                        continue;
                if (unlinkat(fd, d->d_name, 0) >= 0)
                        continue;
                if (errno != EISDIR && errno != EPERM)
                        return -errno;
                child = openat(fd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (child < 0)
                        return -errno;
                if (fstat(child, &st) < 0 || st.st_dev != device || depth >= DEPTH_MAX) {
                        (void)close(child);
                        return -EXDEV;
                }
                r = remove_content(child, device, depth + 1);
                if (r < 0)
                        return r;
                if (unlinkat(fd, d->d_name, AT_REMOVEDIR) < 0)
                        return -errno;
        }
        return 0;
}

int remove_tree(const char *path, struct error *e)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;
        struct stat st;

        if (fd < 0)
                return errno == ENOENT ? 0 : error_errno(e, -errno, "%s", path);
        if (fstat(fd, &st) < 0) {
                r = -errno;
                (void)close(fd);
                return error_errno(e, r, "%s", path);
        }
        r = remove_content(fd, st.st_dev, 0);
        if (r >= 0 && rmdir(path) < 0 && errno != ENOENT)
                r = -errno;
        return r < 0 ? error_errno(e, r, "%s", path) : 0;
}
