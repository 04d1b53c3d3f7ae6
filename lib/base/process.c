/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define OUTPUT_MAX (64u * 1024)

/* In the child. Moves every wanted descriptor out of the way first, so that no dup2() overwrites a later
 * source. */
static int arrange_fds(const int stdio[3], const struct process_options *o)
{
        int moved[3 + 32];
        size_t n = 3 + o->n_keep;

        if (n > ELEMENTSOF(moved))
                return -E2BIG;
        for (size_t i = 0; i < n; i++) {
                int fd = i < 3 ? stdio[i] : o->keep_fds[i - 3];
                _cleanup_close_ int null = -EBADF;

                if (fd < 0)
                        fd = null = open("/dev/null", O_RDWR | O_CLOEXEC);
                moved[i] = fcntl(fd, F_DUPFD_CLOEXEC, (int)(3 + n));
                if (moved[i] < 0)
                        return -errno;
        }
        for (size_t i = 0; i < n; i++)
                if (dup2(moved[i], (int)i) < 0)
                        return -errno;
        return close_range((unsigned)n, ~0u, 0) < 0 ? -errno : 0;
}

_Noreturn static void child(char *const argv[], const int stdio[3], const struct process_options *o)
{
        sigset_t none;

        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        if (o->environment)
                environ = (char **)o->environment;
        if (arrange_fds(stdio, o) >= 0)
                (void)execvp(argv[0], argv);
        _exit(127);
}

static void append(char *buf, size_t *size, const char *data, size_t n)
{
        size_t room = OUTPUT_MAX - *size;

        if (n > room)
                n = room;
        memcpy(buf + *size, data, n);
        *size += n;
}

/* Collects output until the child ends or the deadline passes: 0 or -ETIMEDOUT. */
static int follow(int pidfd, int out, uint64_t timeout_ms, char *buf, size_t *size)
{
        uint64_t deadline = clock_ms() + timeout_ms;

        for (;;) {
                struct pollfd p[] = {{.fd = pidfd, .events = POLLIN}, {.fd = out, .events = POLLIN}};
                uint64_t now = clock_ms();
                char chunk[4096];
                ssize_t n = 0;

                if (timeout_ms && now >= deadline)
                        return -ETIMEDOUT;
                if (poll(p, 2, timeout_ms ? (int)(deadline - now) : -1) < 0 && errno != EINTR)
                        return -errno;
                if (p[1].revents)
                        n = read(out, chunk, sizeof(chunk));
                if (n > 0)
                        append(buf, size, chunk, (size_t)n);
                else if (p[0].revents)
                        return 0;
                else if (p[1].revents)
                        out = -1;
        }
}

static int wait_status(pid_t pid)
{
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_spawn(char *const argv[], const struct process_options *options, pid_t *ret_pid, int *ret_pidfd,
                  struct error *e)
{
        static const struct process_options none;
        const struct process_options *o = options ?: &none;
        int stdio[3] = {-1, -1, -1}, pidfd;
        pid_t pid;

        if (o->stdio)
                memcpy(stdio, o->stdio, sizeof(stdio));
        pid = fork();
        if (pid < 0)
                return error_errno(e, -errno, "%s: fork", argv[0]);
        if (pid == 0)
                child(argv, stdio, o);
        pidfd = pidfd_open(pid, 0);
        if (pidfd < 0) {
                int r = -errno;

                (void)kill(pid, SIGKILL);
                (void)wait_status(pid);
                return error_errno(e, r, "%s: pidfd", argv[0]);
        }
        *ret_pid = pid;
        *ret_pidfd = pidfd;
        return 0;
}

int process_run(char *const argv[], const struct process_options *options, struct process_result *ret,
                struct error *e)
{
        struct process_options o = options ? *options : (struct process_options){};
        _cleanup_close_ int pidfd = -EBADF, out = -EBADF, in = -EBADF;
        _cleanup_free_ char *buf = calloc(1, OUTPUT_MAX + 1);
        int stdio[3] = {-1, -1, -1}, pipefd[2], r, status;
        size_t size = 0;
        pid_t pid = -1;

        if (!buf)
                return -ENOMEM;
        if (pipe2(pipefd, O_CLOEXEC) < 0)
                return error_errno(e, -errno, "%s: pipe", argv[0]);
        out = pipefd[0];
        in = pipefd[1];
        if (!o.stdio) {
                stdio[1] = stdio[2] = in;
                o.stdio = stdio;
        }
        r = process_spawn(argv, &o, &pid, &pidfd, e);
        if (r < 0)
                return r;
        in = close_fd(in);
        r = follow(pidfd, out, o.timeout_ms, buf, &size);
        if (r < 0)
                (void)kill(pid, SIGKILL);
        status = wait_status(pid);
        if (r < 0)
                return error_errno(e, r, "%s", argv[0]);
        if (status < 0)
                return error_errno(e, status, "%s", argv[0]);
        ret->status = status;
        ret->output = TAKE_PTR(buf);
        return 0;
}

int process_check(char *const argv[], const struct process_options *options, struct error *e)
{
        struct process_result result = {};
        char *last, *end;
        int r;

        r = process_run(argv, options, &result, e);
        if (r < 0)
                return r;
        if (result.status != 0) {
                for (end = result.output + strlen(result.output); end > result.output && end[-1] == '\n';)
                        *--end = '\0';
                last = strrchr(result.output, '\n');
                r = error_set(e, -EPROTO, "%s: exit status 0 expected, found %d: %s", argv[0], result.status,
                              last ? last + 1 : result.output);
        }
        free(result.output);
        return r;
}
