/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/process.h"
#include "runtime/group/internal.h"

#define ARGUMENTS_MAX 24

struct operation {
        struct container *container;
        operation_done_t done;
        const char *verb;
        int pidfd;
        bool late;
        sd_event_source *child, *timer;
};

static void operation_free(struct operation *o)
{
        if (!o)
                return;
        o->container->operation = NULL;
        (void)sd_event_source_disable_unref(o->child);
        (void)sd_event_source_disable_unref(o->timer);
        (void)close_fd(o->pidfd);
        free(o);
}

void operation_drop(struct operation *o)
{
        if (!o)
                return;
        (void)pidfd_send_signal(o->pidfd, SIGKILL, NULL, 0);
        operation_free(o);
}

/* The last message in the executor's log: a JSON object a line. */
static void read_message(const struct container *c, char ret[static 512])
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        const char *message = NULL;
        char *line;

        (void)strcpy(ret, "no message"); /* NOLINT: it fits */
        container_directory(c, "executor.log", path);
        if (read_file(AT_FDCWD, path, 65536, &text, NULL, NULL) < 0)
                return;
        for (size_t n = strlen(text); n > 0 && text[n - 1] == '\n'; n--)
                text[n - 1] = '\0';
        line = strrchr(text, '\n');
        line = line ? line + 1 : text;
        if (json_parse("executor.log", line, &v, NULL) >= 0 &&
            json_string(v, "executor.log", "msg", &message, NULL) >= 0)
                (void)snprintf(ret, 512, "%s", message);
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
        struct operation *o = userdata;
        struct container *c = o->container;
        operation_done_t done = o->done;
        char message[512];
        struct error e;
        int r = 0;

        if (o->late) {
                r = error_set(&e, -ETIMEDOUT, "container \"%s\": crun %s did not end within %u s",
                              c->definition->name, o->verb, EXECUTOR_TIMEOUT_MS / 1000);
        } else if (info->si_code != CLD_EXITED || info->si_status != 0) {
                read_message(c, message);
                r = error_set(&e, -EPROTO, "container \"%s\": crun %s: %s", c->definition->name, o->verb,
                              message);
        }
        operation_free(o);
        done(c, r, &e);
        return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct operation *o = userdata;

        o->late = true;
        (void)pidfd_send_signal(o->pidfd, SIGKILL, NULL, 0);
        return 0;
}

void operation_hurry(struct operation *o)
{
        (void)sd_event_source_set_time_relative(o->timer, (uint64_t)EXECUTOR_GRACE_MS * 1000);
}

static int spawn(struct container *c, const char *const *arguments, const struct operation_options *options,
                 int *ret_pidfd, struct error *e)
{
        const struct manager *m = c->group->manager;
        char root[PATH_MAX], log[PATH_MAX], log_option[PATH_MAX + 8];
        /* with our own environment it would wait for the container to notify our service manager */
        static char *const environment[] = {"PATH=/usr/bin:/usr/sbin", NULL};
        struct process_options o = {.stdio = options->stdio, .environment = environment};
        const char *argv[ARGUMENTS_MAX];
        size_t n = 0;
        pid_t pid;

        (void)snprintf(root, sizeof(root), "%s/crun", m->options.run);
        container_directory(c, "executor.log", log);
        (void)unlink(log);
        (void)snprintf(log_option, sizeof(log_option), "--log=%s", log);
        argv[n++] = m->options.executor;
        argv[n++] = "--root";
        argv[n++] = root;
        argv[n++] = "--cgroup-manager=cgroupfs";
        argv[n++] = log_option;
        argv[n++] = "--log-format=json";
        for (; *arguments && n < ARGUMENTS_MAX - 1; arguments++)
                argv[n++] = *arguments;
        argv[n] = NULL;
        if (options->keep_fd >= 0) {
                o.keep_fds = &options->keep_fd;
                o.n_keep = 1;
        }
        return process_spawn((char *const *)argv, &o, &pid, ret_pidfd, e);
}

int executor_begin(struct container *c, const char *const *arguments, const struct operation_options *options,
                   operation_done_t done, struct error *e)
{
        struct operation *o = calloc(1, sizeof(*o));
        int r;

        if (!o)
                return -ENOMEM;
        o->container = c;
        o->done = done;
        o->verb = arguments[0];
        o->pidfd = -EBADF;
        r = spawn(c, arguments, options, &o->pidfd, e);
        if (r >= 0)
                r = sd_event_add_child_pidfd(c->group->manager->event, &o->child, o->pidfd, WEXITED, on_child,
                                             o);
        if (r >= 0)
                r = sd_event_add_time_relative(c->group->manager->event, &o->timer, CLOCK_MONOTONIC,
                                               (uint64_t)EXECUTOR_TIMEOUT_MS * 1000, 0, on_late, o);
        if (r < 0) {
                if (o->pidfd >= 0)
                        (void)pidfd_send_signal(o->pidfd, SIGKILL, NULL, 0);
                operation_free(o);
                return r;
        }
        c->operation = o;
        return 0;
}
