/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "build-internal.h"

#define DEPTH_MAX 256

static int check_file(int dirfd, const char *name, const char *path, mode_t mode, struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        char link[64];

        if (mode & (S_ISUID | S_ISGID))
                return error_set(
                        e, -EBADMSG,
                        "%s: a file without setuid or setgid expected, found one; see --allow-setuid", path);
        fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return error_errno(e, -errno, "%s", path);
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (getxattr(link, "security.capability", NULL, 0) >= 0)
                return error_set(e, -EBADMSG,
                                 "%s: a file without capabilities expected, found some; see --allow-setuid",
                                 path);
        if (errno != ENODATA && errno != EOPNOTSUPP)
                return error_errno(e, -errno, "%s: security.capability", path);
        return 0;
}

static int scan(int fd, const char *path, unsigned depth, struct error *e)
{
        _cleanup_closedir_ DIR *d = fdopendir(fd);

        if (!d) {
                (void)close_fd(fd);
                return error_errno(e, -errno, "%s", path);
        }
        if (depth > DEPTH_MAX)
                return error_set(e, -E2BIG, "%s: at most %d levels of directories expected, found more", path,
                                 DEPTH_MAX);
        fd = dirfd(d);
        if (fd < 0)
                return error_errno(e, -errno, "%s", path);
        for (struct dirent *entry; (errno = 0, entry = readdir(d));) {
                _cleanup_free_ char *below = NULL;
                struct stat st;
                int r = 0;

                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (asprintf(&below, "%s/%s", path, entry->d_name) < 0) {
                        below = NULL;
                        return -ENOMEM;
                }
                if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return error_errno(e, -errno, "%s", below);
                if (S_ISREG(st.st_mode))
                        r = check_file(fd, entry->d_name, below, st.st_mode, e);
                else if (S_ISDIR(st.st_mode)) {
                        int sub = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

                        r = sub < 0 ? error_errno(e, -errno, "%s", below) : scan(sub, below, depth + 1, e);
                }
                if (r < 0)
                        return r;
        }
        return errno != 0 ? error_errno(e, -errno, "%s", path) : 0;
}

int tree_refuse_setuid(int dirfd, const char *path, struct error *e)
{
        int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? error_errno(e, -errno, "%s", path) : scan(fd, path, 0, e);
}
