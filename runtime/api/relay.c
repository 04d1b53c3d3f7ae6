/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/api/relay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "runtime/api/address.h"
#include "runtime/api/mux.h"

/* No more is read from the sessions while this much waits for the pipe. */
#define PIPE_BACKLOG_MAX ((size_t)256 * 1024)
#define GREET_USEC 500000u

struct relay;

/* A session: its socket, and what came from the pipe and waits for it (at most the window). */
struct end {
        struct relay *relay;
        uint32_t id;
        int fd;
        sd_event_source *source;
        char pending[MUX_WINDOW];
        size_t n_pending;
        bool closing; /* the peer has closed: goes once pending is written */
};

struct relay {
        sd_event *event;
        struct mux *mux;
        int pipe, listener;
        sd_event_source *pipe_source, *listen_source, *timer;
        const char *socket;
        struct end *ends[MUX_SESSIONS_MAX];
        bool initiator;
};

static void update(struct relay *r);

static void end_free(struct end *end)
{
        struct relay *r = end->relay;

        for (size_t i = 0; i < ELEMENTSOF(r->ends); i++)
                if (r->ends[i] == end)
                        r->ends[i] = NULL;
        (void)sd_event_source_disable_unref(end->source);
        (void)close_fd(end->fd);
        free(end);
}

static struct end *end_find(struct relay *r, uint32_t id)
{
        for (size_t i = 0; i < ELEMENTSOF(r->ends); i++)
                if (r->ends[i] && r->ends[i]->id == id && !r->ends[i]->closing)
                        return r->ends[i];
        return NULL;
}

/* Writes what waits for the session's socket and gives the window back. -errno: the socket is gone. */
static int end_flush(struct end *end)
{
        ssize_t n;

        if (end->n_pending == 0)
                return 0;
        n = send(end->fd, end->pending, end->n_pending, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        memmove(end->pending, end->pending + n, end->n_pending - (size_t)n);
        end->n_pending -= (size_t)n;
        if (!end->closing)
                mux_credit(end->relay->mux, end->id, (size_t)n);
        return 0;
}

/* Moves bytes from the session's socket into the pipe. 0: the socket has ended. */
static int end_read(struct end *end)
{
        char chunk[16384];
        size_t room = mux_writable(end->relay->mux, end->id);
        ssize_t n;

        if (room == 0)
                return 1;
        n = recv(end->fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk), MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 1 : -errno;
        if (n == 0)
                return 0;
        n = mux_send(end->relay->mux, end->id, chunk, (size_t)n);
        return n < 0 ? (int)n : 1;
}

static int on_end(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct end *end = userdata;
        struct relay *r = end->relay;
        int k = 1;

        if (revents & EPOLLOUT)
                k = end_flush(end) < 0 ? -EPIPE : 1;
        if (k > 0 && !end->closing && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                k = end_read(end);
        if (k <= 0 || (end->closing && (end->n_pending == 0 || (revents & (EPOLLHUP | EPOLLERR))))) {
                if (!end->closing)
                        mux_close(r->mux, end->id);
                end_free(end);
        }
        update(r);
        return 0;
}

static int end_add(struct relay *r, uint32_t id, int fd)
{
        struct end *end = NULL;
        size_t i = 0;
        int k;

        while (i < ELEMENTSOF(r->ends) && r->ends[i])
                i++;
        if (i == ELEMENTSOF(r->ends))
                return -EMFILE;
        end = calloc(1, sizeof(*end));
        if (!end)
                return -ENOMEM;
        end->relay = r;
        end->id = id;
        end->fd = fd;
        k = sd_event_add_io(r->event, &end->source, fd, EPOLLIN, on_end, end);
        if (k < 0) {
                free(end);
                return k;
        }
        r->ends[i] = end;
        return 0;
}

static int on_opened(struct mux *m, uint32_t session, void *userdata)
{
        struct relay *r = userdata;
        _cleanup_close_ int fd = unix_connect(r->socket, SOCK_NONBLOCK);
        int k;

        if (fd < 0)
                return fd;
        k = end_add(r, session, fd);
        if (k >= 0)
                (void)TAKE_FD(fd);
        return k;
}

/* The window bounds what can come, so pending has room. */
static void on_data(struct mux *m, uint32_t session, const void *data, size_t n, void *userdata)
{
        struct end *end = end_find(userdata, session);

        if (!end)
                return;
        memcpy(end->pending + end->n_pending, data, n);
        end->n_pending += n;
        if (end_flush(end) < 0) {
                mux_close(m, session);
                end_free(end);
        }
}

static void on_closed(struct mux *m, uint32_t session, bool lost, void *userdata)
{
        struct end *end = end_find(userdata, session);

        if (!end)
                return;
        end->closing = true;
        if (lost || end->n_pending == 0)
                end_free(end);
}

static void on_writable(struct mux *m, uint32_t session, void *userdata)
{
        /* update() looks at every session's window. */
}

static const struct mux_callbacks callbacks = {
        .opened = on_opened, .data = on_data, .closed = on_closed, .writable = on_writable};

/* Sets what each descriptor is watched for from the state of the buffers. */
static void update(struct relay *r)
{
        const void *out;
        size_t backlog = mux_output(r->mux, &out);

        if (r->pipe_source)
                (void)sd_event_source_set_io_events(r->pipe_source, EPOLLIN | (backlog > 0 ? EPOLLOUT : 0));
        for (size_t i = 0; i < ELEMENTSOF(r->ends); i++) {
                struct end *end = r->ends[i];
                uint32_t events = 0;

                if (!end)
                        continue;
                if (!end->closing && backlog < PIPE_BACKLOG_MAX && mux_writable(r->mux, end->id) > 0)
                        events |= EPOLLIN;
                if (end->n_pending > 0)
                        events |= EPOLLOUT;
                (void)sd_event_source_set_io_events(end->source, events);
        }
}

static int pipe_flush(struct relay *r)
{
        for (;;) {
                const void *out;
                size_t n = mux_output(r->mux, &out);
                ssize_t k;

                if (n == 0)
                        return 0;
                k = write(r->pipe, out, n < 65536 ? n : 65536);
                if (k < 0)
                        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
                mux_sent(r->mux, (size_t)k);
        }
}

/* The other side of the pipe is not there. The broker has nothing left to do; the bridge waits for it to come
 * back. */
static int pipe_gone(struct relay *r)
{
        if (r->initiator)
                return sd_event_exit(r->event, 0);
        (void)sd_event_source_set_enabled(r->pipe_source, SD_EVENT_OFF);
        return mux_restart(r->mux);
}

static int on_pipe(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct relay *r = userdata;
        char chunk[65536];
        ssize_t n;
        int k = 0;

        n = read(fd, chunk, sizeof(chunk));
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || (n < 0 && (revents & EPOLLHUP)))
                k = pipe_gone(r);
        else if (n > 0)
                k = mux_feed(r->mux, chunk, (size_t)n);
        if (k >= 0 && pipe_flush(r) < 0)
                k = pipe_gone(r);
        update(r);
        return k;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct relay *r = userdata;
        const void *out;

        (void)sd_event_source_set_enabled(r->pipe_source, SD_EVENT_ON);
        if (mux_output(r->mux, &out) == 0)
                mux_greet(r->mux);
        update(r);
        (void)sd_event_source_set_time_relative(source, GREET_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct relay *r = userdata;
        _cleanup_close_ int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        uint32_t session;

        if (client < 0)
                return 0;
        if (mux_open(r->mux, &session) < 0)
                return 0;
        if (end_add(r, session, client) < 0)
                mux_close(r->mux, session);
        else
                (void)TAKE_FD(client);
        update(r);
        return 0;
}

static int listen_unix(const char *path, struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
                _cleanup_close_ int other = unix_connect(path, SOCK_NONBLOCK);

                if (other >= 0 || other == -EAGAIN)
                        return error_set(e, -EADDRINUSE, "%s: somebody else listens there", path);
                (void)unlink(path);
        }
        fd = unix_bind(path, SOCK_NONBLOCK);
        if (fd < 0)
                return error_errno(e, fd, "%s", path);
        if (listen(fd, 64) < 0)
                return error_errno(e, -errno, "%s", path);
        return TAKE_FD(fd);
}

/* /dev/vportNpM by the name the machine was given; there is no udev link to rely on. */
static int open_port(const char *name, struct error *e)
{
        _cleanup_closedir_ DIR *dir = opendir("/sys/class/virtio-ports");

        for (struct dirent *d; dir && (d = readdir(dir));) {
                _cleanup_free_ char *found = NULL;
                char path[300];
                int fd;

                (void)snprintf(path, sizeof(path), "%s/name", d->d_name);
                if (d->d_name[0] == '.' || read_file(dirfd(dir), path, 256, &found, NULL, NULL) < 0)
                        continue;
                found[strcspn(found, "\n")] = '\0';
                if (strcmp(found, name) != 0)
                        continue;
                (void)snprintf(path, sizeof(path), "/dev/%s", d->d_name);
                fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
                return fd < 0 ? error_errno(e, -errno, "%s", path) : fd;
        }
        return error_set(e, -ENODEV, "virtio-serial port \"%s\" expected, not found", name);
}

static void relay_done(struct relay *r)
{
        for (size_t i = 0; i < ELEMENTSOF(r->ends); i++)
                if (r->ends[i])
                        end_free(r->ends[i]);
        (void)sd_event_source_disable_unref(r->pipe_source);
        (void)sd_event_source_disable_unref(r->listen_source);
        (void)sd_event_source_disable_unref(r->timer);
        (void)mux_free(r->mux);
        (void)sd_event_unref(r->event);
        (void)close_fd(r->pipe);
        (void)close_fd(r->listener);
}

static int relay_run(struct relay *r)
{
        int k;

        /* The other side of the pipe may go while we write: an error like any other. */
        (void)signal(SIGPIPE, SIG_IGN);
        k = sd_event_new(&r->event);
        if (k >= 0)
                k = mux_new(r->initiator, &callbacks, r, &r->mux);
        if (k >= 0)
                k = sd_event_add_signal(r->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (k >= 0)
                k = sd_event_add_signal(r->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (k >= 0)
                k = sd_event_add_io(r->event, &r->pipe_source, r->pipe, EPOLLIN | EPOLLOUT, on_pipe, r);
        if (k >= 0 && r->listener >= 0)
                k = sd_event_add_io(r->event, &r->listen_source, r->listener, EPOLLIN, on_client, r);
        if (k >= 0)
                k = sd_event_add_time_relative(r->event, &r->timer, CLOCK_MONOTONIC, GREET_USEC, 0, on_timer,
                                               r);
        return k < 0 ? k : sd_event_loop(r->event);
}

int relay_bridge(const char *port_name, const char *socket, struct error *e)
{
        _cleanup_(relay_done) struct relay r = {.pipe = -EBADF, .listener = -EBADF, .socket = socket};
        int k;

        r.pipe = open_port(port_name, e);
        if (r.pipe < 0)
                return r.pipe;
        k = relay_run(&r);
        return k < 0 ? error_errno(e, k, "%s", port_name) : 0;
}

int relay_broker(const char *port, const char *listen, struct error *e)
{
        _cleanup_(relay_done) struct relay r = {.pipe = -EBADF, .listener = -EBADF, .initiator = true};
        int k;

        r.pipe = unix_connect(port, SOCK_NONBLOCK);
        if (r.pipe < 0)
                return error_errno(e, r.pipe, "%s", port);
        r.listener = listen_unix(listen, e);
        if (r.listener < 0)
                return r.listener;
        k = relay_run(&r);
        (void)unlink(listen);
        return k < 0 ? error_errno(e, k, "%s", listen) : 0;
}
