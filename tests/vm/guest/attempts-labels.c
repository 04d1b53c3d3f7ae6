/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Labels, and objects that a label keeps out of reach; see attempts.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/vm/guest/attempts.h"

#define ATTRIBUTES "/proc/self/attr/"
#define LABEL "security.selinux"

struct outcome try_open(const char *path, int flags)
{
        _cleanup_close_ int fd = open(path, flags | O_CLOEXEC);

        if (fd >= 0)
                return attempt_worked();
        return errno == ENOENT ? attempt_void(errno, "open %s", path)
                               : attempt_refused(errno, "open %s", path);
}

struct outcome try_write(const char *path, const char *text)
{
        int r = write_text(path, text);

        if (r == -ENOENT)
                return attempt_void(r, "write %s", path);
        return r < 0 ? attempt_refused(r, "write %s", path) : attempt_worked();
}

struct labelled {
        const char *attribute, *context, *path;
        int status;
};

static struct outcome with_attribute(const void *arg)
{
        const struct labelled *l = arg;
        char path[64];
        int r, fd;

        (void)snprintf(path, sizeof(path), ATTRIBUTES "%s", l->attribute);
        r = write_text(path, l->context);
        if (r < 0)
                return attempt_refused(r, "write %s", path);
        if (!l->path)
                return attempt_worked();
        if (l->status)
                return try_exec(l->path, l->status);
        fd = open(l->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return attempt_refused(errno, "create %s", l->path);
        (void)close(fd);
        (void)unlink(l->path);
        return attempt_worked();
}

struct outcome try_attribute(const char *attribute, const char *context)
{
        return attempt_in_child(with_attribute,
                                &(struct labelled){.attribute = attribute, .context = context});
}

struct outcome try_exec_as(const char *context, const char *program, int status)
{
        return attempt_in_child(with_attribute, &(struct labelled){"exec", context, program, status});
}

struct outcome try_create_as(const char *context, const char *path)
{
        return attempt_in_child(with_attribute, &(struct labelled){"fscreate", context, path, 0});
}

struct outcome try_relabel(const char *directory, const char *context)
{
        char path[256];
        struct outcome o;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/attempt-label", directory);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return attempt_void(errno, "create %s", path);
        o = fsetxattr(fd, LABEL, context, strlen(context) + 1, 0) < 0
                    ? attempt_refused(errno, "relabel %s", path)
                    : attempt_worked();
        (void)close(fd);
        (void)unlink(path);
        return o;
}

struct outcome try_relabel_memfd(const char *context)
{
        _cleanup_close_ int fd = memfd_create("attempt", MFD_CLOEXEC);

        if (fd < 0)
                return attempt_void(errno, "memfd_create");
        if (fsetxattr(fd, LABEL, context, strlen(context) + 1, 0) < 0)
                return attempt_refused(errno, "relabel a memfd");
        return attempt_worked();
}

struct outcome try_node(const char *path, mode_t type, unsigned major, unsigned minor)
{
        if (mknod(path, type | 0600, makedev(major, minor)) < 0)
                return attempt_refused(errno, "mknod %s", path);
        (void)unlink(path);
        return attempt_worked();
}

struct outcome try_socket(int family, int type, int protocol)
{
        _cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC, protocol);

        return fd < 0 ? attempt_refused(errno, "socket %d %d %d", family, type, protocol) : attempt_worked();
}

struct outcome try_bind(uint16_t port)
{
        const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return attempt_void(errno, "socket");
        if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return attempt_refused(errno, "bind to port %u", port);
        return attempt_worked();
}

struct outcome try_listen(void)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return attempt_void(errno, "socket");
        return listen(fd, 1) < 0 ? attempt_refused(errno, "listen") : attempt_worked();
}

struct outcome try_perf_event(void)
{
        struct perf_event_attr attributes = {
                .type = PERF_TYPE_SOFTWARE, .size = sizeof(attributes), .config = PERF_COUNT_SW_CPU_CLOCK};
        long fd = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0UL);

        if (fd < 0)
                return attempt_refused(errno, "perf_event_open");
        (void)close((int)fd);
        return attempt_worked();
}

struct outcome try_bpf_map(void)
{
        union bpf_attr attributes = {
                .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
        long fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes));

        if (fd < 0)
                return attempt_refused(errno, "bpf BPF_MAP_CREATE");
        (void)close((int)fd);
        return attempt_worked();
}
