/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A FUSE file system of one executable file, as small as the protocol allows; try_fuseblk() of attempts.h.
 * The content is the attacker's, the block device under the mount is the signed one: IPE asks only for the
 * device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/vm/guest/attempts.h"

#define REQUEST_SIZE (FUSE_MIN_READ_BUFFER + 65536)
#define CONTENT_MAX ((size_t)8 << 20)
#define NODE_FILE 2

struct server {
        int fd;
        const char *content;
        size_t size;
};

static void reply(const struct server *s, uint64_t unique, int error, const void *data, size_t size)
{
        struct fuse_out_header header = {
                .len = (uint32_t)(sizeof(header) + size), .error = -error, .unique = unique};
        struct iovec parts[] = {{&header, sizeof(header)}, {(void *)data, size}};

        if (writev(s->fd, parts, size ? 2 : 1) < 0 && errno != ENOENT)
                _exit(1);
}

static struct fuse_attr attributes(const struct server *s, uint64_t node)
{
        bool file = node == NODE_FILE;
        return (struct fuse_attr){.ino = node,
                                  .size = file ? s->size : 0,
                                  .blocks = file ? (s->size + 511) / 512 : 0,
                                  .mode = file ? S_IFREG | 0755 : S_IFDIR | 0755,
                                  .nlink = 1,
                                  .blksize = 4096};
}

static void answer_init(const struct server *s, const struct fuse_in_header *in,
                        const struct fuse_init_in *init)
{
        struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
                                    .minor = FUSE_KERNEL_MINOR_VERSION,
                                    .max_readahead = init->max_readahead,
                                    .max_write = 65536};
        reply(s, in->unique, 0, &out, sizeof(out));
}

static void answer_read(const struct server *s, const struct fuse_in_header *in,
                        const struct fuse_read_in *read_in)
{
        size_t offset = read_in->offset < s->size ? read_in->offset : s->size;
        size_t left = s->size - offset;
        reply(s, in->unique, 0, s->content + offset, left < read_in->size ? left : read_in->size);
}

static void answer(const struct server *s, const char *request)
{
        const struct fuse_in_header *in = (const void *)request;
        const void *body = in + 1;

        switch (in->opcode) {
        case FUSE_INIT:
                answer_init(s, in, body);
                break;
        case FUSE_LOOKUP: {
                struct fuse_entry_out out = {.nodeid = NODE_FILE,
                                             .attr_valid = 60,
                                             .entry_valid = 60,
                                             .attr = attributes(s, NODE_FILE)};
                bool known = in->nodeid == FUSE_ROOT_ID && strcmp(body, "program") == 0;
                reply(s, in->unique, known ? 0 : ENOENT, &out, known ? sizeof(out) : 0);
                break;
        }
        case FUSE_GETATTR: {
                struct fuse_attr_out out = {.attr_valid = 60, .attr = attributes(s, in->nodeid)};
                reply(s, in->unique, 0, &out, sizeof(out));
                break;
        }
        case FUSE_OPEN:
        case FUSE_OPENDIR: {
                struct fuse_open_out out = {.fh = 1};
                reply(s, in->unique, 0, &out, sizeof(out));
                break;
        }
        case FUSE_READ:
                answer_read(s, in, body);
                break;
        case FUSE_FLUSH:
        case FUSE_RELEASE:
        case FUSE_RELEASEDIR:
                reply(s, in->unique, 0, NULL, 0);
                break;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT: /* these have no answer */
                break;
        default:
                reply(s, in->unique, ENOSYS, NULL, 0);
        }
}

/* Serves until the mount goes away. */
static _Noreturn void serve(const struct server *s)
{
        char *request = malloc(REQUEST_SIZE);

        while (request) {
                ssize_t n = read(s->fd, request, REQUEST_SIZE - 1);
                if (n < 0 && (errno == EINTR || errno == ENOENT))
                        continue;
                if (n < (ssize_t)sizeof(struct fuse_in_header))
                        break;
                request[n] = '\0';
                answer(s, request);
        }
        _exit(0);
}

struct outcome try_fuseblk(const char *device, const char *content, const char *mountpoint, int status)
{
        _cleanup_free_ char *data = NULL;
        char options[128], path[512];
        size_t size;

        int r = read_file(AT_FDCWD, content, CONTENT_MAX, &data, &size, NULL);
        if (r < 0)
                return attempt_void(r, "read %s", content);
        _cleanup_close_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return attempt_refused(errno, "open /dev/fuse");
        (void)snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,blksize=4096",
                       fd);
        if (mount(device, mountpoint, "fuseblk", MS_RDONLY, options) < 0)
                return attempt_refused(errno, "mount %s as fuseblk", device);
        pid_t pid = attempt_fork();
        if (pid == 0)
                serve(&(struct server){fd, data, size});
        struct outcome o;
        if (pid < 0) {
                o = attempt_void(errno, "fork");
        } else {
                (void)snprintf(path, sizeof(path), "%s/program", mountpoint);
                o = try_exec(path, status);
        }
        (void)umount2(mountpoint, MNT_DETACH);
        if (pid > 0) {
                (void)kill(pid, SIGKILL);
                (void)waitpid(pid, NULL, 0);
        }
        return o;
}
