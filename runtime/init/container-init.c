/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PID 1 of every container: `container-init FD PROGRAM [ARGUMENT…]`.
 *
 * Starts PROGRAM (found on PATH), says in the exit record that it runs or why it could not be executed, hands
 * every signal on to it, reaps whatever is orphaned, writes the exit record to the descriptor FD when the
 * program has ended, and ends with the same status; the kernel then ends the rest of the container. It is
 * linked statically and shares no code with groupd, because it runs inside the container's limits and root.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/init/record.h"

_Noreturn static void fail(const char *what)
{
        (void)dprintf(STDERR_FILENO, "container-init: %s: %s\n", what, strerror(errno));
        _exit(125);
}

static void write_record(int fd, enum exit_kind kind, int value)
{
        struct exit_record record = {.kind = kind, .value = (uint32_t)value};
        struct timespec now;

        memcpy(record.magic, EXIT_RECORD_MAGIC, sizeof(record.magic));
        (void)clock_gettime(CLOCK_REALTIME, &now);
        record.realtime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        if (pwrite(fd, &record, sizeof(record), 0) != (ssize_t)sizeof(record))
                (void)dprintf(STDERR_FILENO, "container-init: exit record: %s\n", strerror(errno));
}

/* In the child. Only an errno comes back through the pipe, and only when the program could not be executed.
 */
_Noreturn static void run_program(char **argv, int report)
{
        sigset_t none;
        int error;

        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)setpgid(0, 0);
        (void)execvp(argv[0], argv);
        error = errno;
        (void)dprintf(STDERR_FILENO, "container-init: %s: %s\n", argv[0], strerror(error));
        (void)!write(report, &error, sizeof(error));
        _exit(127);
}

/* Returns once the program has taken the child's place, which closes the pipe, or could not: *ret_error is 0
 * or execve()'s errno. */
static pid_t start(char **argv, int *ret_error)
{
        int report[2], error;
        pid_t pid;

        if (pipe2(report, O_CLOEXEC) < 0)
                fail("pipe");
        pid = fork();
        if (pid < 0)
                fail("fork");
        if (pid == 0)
                run_program(argv, report[1]);
        (void)close(report[1]);
        *ret_error = read(report[0], &error, sizeof(error)) == (ssize_t)sizeof(error) ? error : 0;
        (void)close(report[0]);
        return pid;
}

/* Reaps all that has ended. Returns 1 and the wait status when the program is among them. */
static int reap(pid_t program, int *ret_status)
{
        int found = 0, status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == program) {
                        *ret_status = status;
                        found = 1;
                }
        return found;
}

static int wait_for(pid_t program, const sigset_t *all)
{
        int status;

        for (;;) {
                siginfo_t info;

                if (sigwaitinfo(all, &info) < 0)
                        continue;
                if (info.si_signo != SIGCHLD)
                        (void)kill(program, info.si_signo);
                else if (reap(program, &status))
                        return status;
        }
}

int main(int argc, char **argv)
{
        int fd, status, error;
        char *end = NULL;
        sigset_t all;
        pid_t program;

        errno = EINVAL;
        if (argc < 3)
                fail("usage: container-init FD PROGRAM [ARGUMENT…]");
        fd = (int)strtol(argv[1], &end, 10);
        if (*end != '\0' || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                fail("descriptor of the exit record");
        /* The container's programs must not reach the record through /proc/1/fd. */
        if (prctl(PR_SET_DUMPABLE, 0) < 0)
                fail("prctl");
        (void)sigfillset(&all);
        (void)sigprocmask(SIG_SETMASK, &all, NULL);
        program = start(argv + 2, &error);
        if (error != 0) {
                write_record(fd, EXIT_KIND_NOT_EXECUTED, error);
                return error == ENOENT ? 127 : 126;
        }
        write_record(fd, EXIT_KIND_STARTED, 0);
        status = wait_for(program, &all);
        if (WIFSIGNALED(status)) {
                write_record(fd, EXIT_KIND_SIGNALED, WTERMSIG(status));
                return 128 + WTERMSIG(status);
        }
        write_record(fd, EXIT_KIND_EXITED, WEXITSTATUS(status));
        return WEXITSTATUS(status);
}
