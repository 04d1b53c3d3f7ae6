/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container's stdout and stderr: pipes whose reading ends also wait with systemd, so that a successor of
 * this process goes on where it stopped. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/group/internal.h"

#define PIPE_SIZE (1 << 20)
#define READ_MAX 65536

static void fd_name(const struct container *c, int stream, char ret[static 192])
{
        (void)snprintf(ret, 192, "output-%s.%s.%d", c->group->definition->name, c->definition->name, stream);
}

void log_path(const struct group *g, const char *container, char ret[static PATH_MAX])
{
        (void)snprintf(ret, PATH_MAX, "%s/groups/%s/logs/%s.log", g->manager->options.state,
                       g->definition->name, container);
}

static void report(struct container *c, int r)
{
        struct error e;

        (void)error_errno(&e, r, "container \"%s\" of group \"%s\": log", c->definition->name,
                          c->group->definition->name);
        manager_say(c->group->manager, "%s", e.message);
}

/* One read. 1: there may be more, 0: none now, -EPIPE: end. */
static int drain_once(struct container *c, int stream)
{
        struct output *o = &c->outputs[stream];
        char chunk[READ_MAX], path[PATH_MAX];
        ssize_t n = read(o->fd, chunk, sizeof(chunk));
        int r;

        if (n < 0)
                return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -errno;
        if (n == 0)
                return -EPIPE;
        log_path(c->group, c->definition->name, path);
        r = log_append(path, (enum log_stream)stream, o->line, chunk, (size_t)n);
        if (r < 0) /* a full disk must not stop the container: what does not fit is lost, and said */
                report(c, r);
        return 1;
}

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct container *c = userdata;
        int stream = fd == c->outputs[1].fd;

        if (drain_once(c, stream) < 0)
                (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

int output_watch(struct container *c, int stream)
{
        struct output *o = &c->outputs[stream];

        if (!o->line)
                o->line = calloc(1, sizeof(*o->line));
        if (!o->line)
                return -ENOMEM;
        return sd_event_add_io(c->group->manager->event, &o->source, o->fd, EPOLLIN, on_output, c);
}

static int open_one(struct container *c, int stream, int *ret_write_end, struct error *e)
{
        char name[192], message[256];
        int pipefd[2], r;

        if (pipe2(pipefd, O_CLOEXEC) < 0)
                return error_errno(e, -errno, "pipe");
        *ret_write_end = pipefd[1];
        c->outputs[stream].fd = pipefd[0];
        (void)fcntl(pipefd[1], F_SETPIPE_SZ, PIPE_SIZE);
        if (fcntl(pipefd[0], F_SETFL, O_NONBLOCK) < 0)
                return error_errno(e, -errno, "pipe");
        fd_name(c, stream, name);
        (void)snprintf(message, sizeof(message), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
        r = sd_pid_notify_with_fds(0, 0, message, &pipefd[0], 1);
        if (r < 0)
                return error_errno(e, r, "descriptor store");
        r = output_watch(c, stream);
        return r < 0 ? error_errno(e, r, "pipe") : 0;
}

int output_open(struct container *c, int ret_write_ends[static 2], struct error *e)
{
        int r;

        ret_write_ends[0] = ret_write_ends[1] = -EBADF;
        r = open_one(c, 0, &ret_write_ends[0], e);
        if (r >= 0)
                r = open_one(c, 1, &ret_write_ends[1], e);
        return r;
}

void output_close(struct container *c)
{
        for (int stream = 0; stream < 2; stream++) {
                struct output *o = &c->outputs[stream];
                char name[192], path[PATH_MAX];
                int r;

                if (o->fd < 0)
                        continue;
                while (drain_once(c, stream) > 0)
                        ;
                log_path(c->group, c->definition->name, path);
                r = log_finish(path, (enum log_stream)stream, o->line);
                if (r < 0)
                        report(c, r);
                fd_name(c, stream, name);
                (void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
                o->source = sd_event_source_disable_unref(o->source);
                o->fd = close_fd(o->fd);
                free(TAKE_PTR(o->line));
        }
}

/* Gives a kept descriptor to the container it belongs to. */
static bool adopt(struct manager *m, const char *name, int fd)
{
        for (size_t i = 0; i < m->n_groups; i++)
                for (size_t k = 0; k < m->groups[i]->definition->n_containers; k++)
                        for (int stream = 0; stream < 2; stream++) {
                                struct container *c = &m->groups[i]->containers[k];
                                char expected[192];

                                fd_name(c, stream, expected);
                                if (strcmp(name, expected) != 0 || c->outputs[stream].fd >= 0)
                                        continue;
                                c->outputs[stream].fd = fd;
                                return output_watch(c, stream) >= 0;
                        }
        return false;
}

void output_take_over(struct manager *m)
{
        char **names = NULL;
        int n = sd_listen_fds_with_names(1, &names);

        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                if (strncmp(names[i], "output-", 7) == 0 && !adopt(m, names[i], fd)) {
                        (void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", names[i]);
                        (void)close(fd);
                }
                free(names[i]);
        }
        free((void *)names);
}
