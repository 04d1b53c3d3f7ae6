/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/api/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

_Static_assert(sizeof("/proc/self/fd/2147483647/") + UNIX_NAME_MAX <=
                       sizeof(((struct sockaddr_un *)NULL)->sun_path),
               "the longest name has room");

/* 1: the address has room for the path itself. */
static int address_set(struct sockaddr_un *address, const char *path)
{
        *address = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (strlen(path) >= sizeof(address->sun_path))
                return 0;
        (void)strcpy(address->sun_path, path); /* NOLINT: the length was checked */
        return 1;
}

int unix_connect(const char *path, int type_flags)
{
        _cleanup_close_ int name = -EBADF, fd = -EBADF;
        struct sockaddr_un address;

        if (!address_set(&address, path)) {
                name = open(path, O_PATH | O_CLOEXEC);
                if (name < 0)
                        return -errno;
                (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", name);
        }
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | type_flags, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* "/proc/self/fd/N/NAME", N being the path's directory. Returns the descriptor, which the address needs. */
static int address_through_directory(struct sockaddr_un *address, const char *path)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        _cleanup_free_ char *directory = NULL;
        int fd;

        if (strlen(name) > UNIX_NAME_MAX)
                return -ENAMETOOLONG;
        directory = strndup(path, (size_t)(name - path));
        if (!directory)
                return -ENOMEM;
        fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        (void)snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", fd, name);
        return fd;
}

int unix_bind(const char *path, int type_flags)
{
        _cleanup_close_ int directory = -EBADF, fd = -EBADF;
        struct sockaddr_un address;

        if (!address_set(&address, path)) {
                directory = address_through_directory(&address, path);
                if (directory < 0)
                        return directory;
        }
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | type_flags, 0);
        if (fd < 0)
                return -errno;
        if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}
