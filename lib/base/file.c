/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Reads to the end of file or to max + 1 bytes, whichever comes first. */
static int slurp(int fd, size_t max, char **ret, size_t *ret_size)
{
        _cleanup_free_ char *buf = NULL;
        size_t size = 0, room = 0;

        for (;;) {
                ssize_t n;

                if (size + 1 >= room) {
                        char *bigger;

                        room = room ? room * 2 : 4096;
                        bigger = realloc(buf, room);
                        if (!bigger)
                                return -ENOMEM;
                        buf = bigger;
                }
                n = read(fd, buf + size, room - size - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t)n;
                if (size > max)
                        return -EFBIG;
        }
        buf[size] = '\0';
        *ret = TAKE_PTR(buf);
        *ret_size = size;
        return 0;
}

int read_file(int dirfd, const char *path, size_t max, char **ret, size_t *ret_size, struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *buf = NULL;
        size_t size = 0;
        int r;

        fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return error_errno(e, -errno, "%s", path);
        r = slurp(fd, max, &buf, &size);
        if (r == -EFBIG)
                return error_set(e, r, "%s: at most %zu bytes expected, found more", path, max);
        if (r < 0)
                return error_errno(e, r, "%s", path);
        if (!ret_size && memchr(buf, '\0', size))
                return error_set(e, -EINVAL, "%s: text expected, found a NUL byte", path);
        if (ret_size)
                *ret_size = size;
        *ret = TAKE_PTR(buf);
        return 0;
}

int fsync_parent(int dirfd, const char *path)
{
        _cleanup_free_ char *parent = NULL;
        _cleanup_close_ int fd = -EBADF;
        const char *slash = strrchr(path, '/');

        parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
        if (!parent)
                return -ENOMEM;
        fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

int temporary_path(const char *path, char **ret, struct error *e)
{
        uint64_t random;

        if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
                return error_errno(e, -EIO, "%s: random name", path);
        if (asprintf(ret, "%s.%016" PRIx64 ".tmp", path, random) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int write_file(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
                      unsigned rename_flags, struct error *e)
{
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = temporary_path(path, &temporary, e);
        if (r < 0)
                return r;
        fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
                return error_errno(e, -errno, "%s", temporary);
        r = write_full(fd, data, size);
        if (r >= 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
                r = -errno;
        if (r >= 0 && renameat2(dirfd, temporary, dirfd, path, rename_flags) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlinkat(dirfd, temporary, 0);
                return error_errno(e, r, "%s", path);
        }
        r = fsync_parent(dirfd, path);
        return r < 0 ? error_errno(e, r, "%s", path) : 0;
}

int write_file_atomic(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
                      struct error *e)
{
        return write_file(dirfd, path, data, size, mode, 0, e);
}

int write_file_new(int dirfd, const char *path, const void *data, size_t size, mode_t mode, struct error *e)
{
        return write_file(dirfd, path, data, size, mode, RENAME_NOREPLACE, e);
}

int check_output(const char *path, const char *const inputs[], size_t n, struct error *e)
{
        struct stat output, input;

        if (stat(path, &output) < 0)
                return errno == ENOENT ? 0 : error_errno(e, -errno, "%s", path);
        if (!S_ISREG(output.st_mode))
                return error_set(e, -EINVAL, "%s: a regular file or nothing expected, found something else",
                                 path);
        for (size_t i = 0; i < n; i++)
                if (inputs[i] && stat(inputs[i], &input) == 0 && input.st_dev == output.st_dev &&
                    input.st_ino == output.st_ino)
                        return error_set(e, -EINVAL, "%s: is read (%s) and cannot be written as well", path,
                                         inputs[i]);
        return 0;
}

int write_kernel_file(const char *path, const void *data, size_t size, struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return error_errno(e, -errno, "%s", path);
        n = write(fd, data, size);
        if (n < 0)
                return error_errno(e, -errno, "%s", path);
        if ((size_t)n != size)
                return error_set(e, -EIO, "%s: write of %zu bytes expected, the kernel took %zd", path, size,
                                 n);
        return 0;
}

int file_exists(int dirfd, const char *path)
{
        struct stat st;

        if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
                return 1;
        return errno == ENOENT ? 0 : -errno;
}

/* One loop for the four directions; offset is ignored for the streams. */
static int transfer(int fd, char *buf, size_t n, uint64_t offset, bool writing, bool positioned)
{
        while (n > 0) {
                ssize_t k;

                if (positioned)
                        k = writing ? pwrite(fd, buf, n, (off_t)offset) : pread(fd, buf, n, (off_t)offset);
                else
                        k = writing ? write(fd, buf, n) : read(fd, buf, n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        return -EIO;
                buf += k;
                n -= (size_t)k;
                offset += (uint64_t)k;
        }
        return 0;
}

int read_full(int fd, void *buf, size_t n)
{
        return transfer(fd, buf, n, 0, false, false);
}

int write_full(int fd, const void *buf, size_t n)
{
        return transfer(fd, (char *)buf, n, 0, true, false);
}

int pread_full(int fd, void *buf, size_t n, uint64_t offset)
{
        return transfer(fd, buf, n, offset, false, true);
}

int pwrite_full(int fd, const void *buf, size_t n, uint64_t offset)
{
        return transfer(fd, (char *)buf, n, offset, true, true);
}

int file_size(int fd, uint64_t *ret)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISBLK(st.st_mode))
                return ioctl(fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
        *ret = (uint64_t)st.st_size;
        return 0;
}

int make_directories(const char *path, mode_t mode, struct error *e)
{
        _cleanup_free_ char *copy = strdup(path);

        if (!copy)
                return -ENOMEM;
        for (char *p = copy + 1;; p++) {
                bool last = *p == '\0';

                if (*p != '/' && !last)
                        continue;
                *p = '\0';
                if (mkdir(copy, mode) < 0 && errno != EEXIST)
                        return error_errno(e, -errno, "%s", copy);
                if (last)
                        return 0;
                *p = '/';
        }
}
