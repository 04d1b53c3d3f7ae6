/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Probes at work: one attempt at a time for each, bounded by its timeout; what a result means is the
 * machine's business. The GET goes to the group's address, as a neighbour's would. Of the answer no more than
 * the status line is read (RFC 9112, section 4). */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/group/internal.h"

#define STATUS_LINE "HTTP/1.x 200"

struct probe {
        struct container *container;
        enum probe_kind kind;
        const struct definition_probe *definition;
        uint64_t begun_ms; /* the attempt that is under way, or was last */
        sd_event_source *timer, *io;
        int fd;
        bool sent;
        char answer[sizeof(STATUS_LINE)];
        size_t size;
};

static void close_attempt(struct probe *p)
{
        p->timer = sd_event_source_disable_unref(p->timer);
        p->io = sd_event_source_disable_unref(p->io);
        p->fd = close_fd(p->fd);
}

static struct probe *probe_free(struct probe *p)
{
        if (!p)
                return NULL;
        close_attempt(p);
        free(p);
        return NULL;
}

static int arm(struct probe *p, uint64_t at_ms, sd_event_time_handler_t handler)
{
        sd_event *event = p->container->group->manager->event;

        p->timer = sd_event_source_disable_unref(p->timer);
        return sd_event_add_time(event, &p->timer, CLOCK_BOOTTIME, at_ms * 1000, 1000, handler, p);
}

static int on_next(sd_event_source *source, uint64_t usec, void *userdata);

/* why: NULL for a success. */
static void finish(struct probe *p, const char *why)
{
        struct container *c = p->container;
        uint64_t next = p->begun_ms + UINT64_C(1000) * p->definition->period_s;

        close_attempt(p);
        if (why)
                manager_say(c->group->manager, "group \"%s\": container \"%s\": %s probe: %s",
                            c->group->definition->name, c->definition->name,
                            p->kind == PROBE_LIVENESS ? "liveness" : "readiness", why);
        group_probed(c, p->kind, why != NULL, why ? p->definition->failures : p->definition->successes);
        if (arm(p, next, on_next) < 0)
                manager_say(c->group->manager, "container \"%s\": out of memory for a timer",
                            c->definition->name);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct probe *p = userdata;
        char why[64];

        (void)snprintf(why, sizeof(why), "no answer within %u s", p->definition->timeout_s);
        finish(p, why);
        return 0;
}

/* 200 to 399 is a success. */
static void judge(struct probe *p)
{
        const char *a = p->answer;
        char why[64];

        if (p->size < strlen(STATUS_LINE) || strncmp(a, "HTTP/1.", 7) != 0 || a[8] != ' ' ||
            strspn(a + 9, "0123456789") != 3) {
                finish(p, "an HTTP status line expected, found something else");
                return;
        }
        (void)snprintf(why, sizeof(why), "status 200 to 399 expected, found %.3s", a + 9);
        finish(p, a[9] == '2' || a[9] == '3' ? NULL : why);
}

static int receive(struct probe *p)
{
        ssize_t n = recv(p->fd, p->answer + p->size, strlen(STATUS_LINE) - p->size, 0);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        p->size += (size_t)n;
        if (n == 0 || p->size == strlen(STATUS_LINE))
                judge(p);
        return 0;
}

static int send_request(struct probe *p)
{
        _cleanup_free_ char *request = NULL;
        char address[INET_ADDRSTRLEN];
        int error = 0, n;

        if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)}) < 0)
                return -errno;
        if (error != 0)
                return -error;
        (void)inet_ntop(AF_INET, &p->container->group->address, address, sizeof(address));
        n = asprintf(
                &request,
                "GET %s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: holdfast-probe\r\nConnection: close\r\n\r\n",
                p->definition->path, address, p->definition->port);
        if (n < 0)
                return -ENOMEM;
        /* A new connection's buffer has room for all of it. */
        if (send(p->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
                return -EIO;
        p->sent = true;
        return sd_event_source_set_io_events(p->io, EPOLLIN);
}

static int on_socket(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct probe *p = userdata;
        int r;

        r = p->sent ? receive(p) : send_request(p);
        if (r < 0)
                finish(p, strerror(-r));
        return 0;
}

static int begin_get(struct probe *p)
{
        const struct group *g = p->container->group;
        struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons(p->definition->port), .sin_addr = g->address};

        p->sent = false;
        p->size = 0;
        memset(p->answer, 0, sizeof(p->answer));
        p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (p->fd < 0)
                return -errno;
        if (connect(p->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
                return -errno;
        return sd_event_add_io(g->manager->event, &p->io, p->fd, EPOLLOUT, on_socket, p);
}

static int on_next(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct probe *p = userdata;
        int r;

        p->begun_ms = now_ms();
        r = begin_get(p);
        if (r >= 0)
                r = arm(p, p->begun_ms + UINT64_C(1000) * p->definition->timeout_s, on_timeout);
        if (r < 0)
                finish(p, strerror(-r));
        return 0;
}

static int start(struct container *c, enum probe_kind kind)
{
        uint64_t started_ms = c->group->machine.containers[c->index].started_ms;
        struct probe *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        *p = (struct probe){
                .container = c, .kind = kind, .definition = c->definition->probes[kind], .fd = -EBADF};
        c->probes[kind] = p;
        return arm(p, started_ms + UINT64_C(1000) * p->definition->delay_s, on_next);
}

void probes_start(struct container *c)
{
        struct machine_container *m = &c->group->machine.containers[c->index];

        probes_stop(c);
        if (m->phase != CONTAINER_RUNNING) /* it has ended since the effect was begun */
                return;
        for (enum probe_kind kind = 0; kind < PROBES_; kind++)
                if (c->definition->probes[kind] && start(c, kind) < 0)
                        manager_say(c->group->manager, "container \"%s\": out of memory for a probe",
                                    c->definition->name);
}

void probes_stop(struct container *c)
{
        for (enum probe_kind kind = 0; kind < PROBES_; kind++)
                c->probes[kind] = probe_free(c->probes[kind]);
}
