/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* container-init as PID 1 of a PID namespace, as it is in a container. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "runtime/init/record.h"

static FILE *record_file;

/* script: what a shell runs; NULL: `program` is run instead. output: becomes the standard output of the
 * program, -1 for none. */
static pid_t start_with(const char *script, const char *program, int output)
{
        pid_t pid;

        record_file = tmpfile();
        cr_assert_not_null(record_file);
        pid = (pid_t)syscall(SYS_clone, (unsigned long)CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL,
                             NULL);
        cr_assert_geq(pid, 0, "a PID namespace needs root");
        if (pid == 0) {
                char fd[16];

                if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                    mount("proc", "/proc", "proc", 0, NULL) < 0)
                        _exit(97);
                /* nothing of the test runner's goes along */
                if (dup2(fileno(record_file), 3) < 0 || (output >= 0 && dup2(output, STDOUT_FILENO) < 0) ||
                    close_range(4, ~0u, 0) < 0)
                        _exit(98);
                (void)snprintf(fd, sizeof(fd), "3");
                if (script)
                        (void)execlp("setpriv", "setpriv", "--bounding-set=-sys_ptrace",
                                     BIN_DIR "/container-init", fd, "sh", "-c", script, (char *)NULL);
                else
                        (void)execl(BIN_DIR "/container-init", "container-init", fd, program, (char *)NULL);
                _exit(99);
        }
        return pid;
}

static pid_t start(const char *script)
{
        return start_with(script, NULL, -1);
}

static int finish(pid_t pid, struct exit_record *ret)
{
        int status;

        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status));
        cr_assert_eq(pread_full(fileno(record_file), ret, sizeof(*ret), 0), 0, "an exit record expected");
        cr_assert_eq(memcmp(ret->magic, EXIT_RECORD_MAGIC, sizeof(ret->magic)), 0);
        (void)fclose(record_file);
        cr_assert_eq(WEXITSTATUS(status), exit_record_status(ret), "init ends with the same status");
        return WEXITSTATUS(status);
}

/* Waits until the program says that it is ready, by a byte in a pipe. */
static pid_t start_ready(const char *script, int *ret_fd)
{
        int fds[2];
        pid_t pid;
        char byte;

        cr_assert_eq(pipe(fds), 0);
        pid = start_with(script, NULL, fds[1]);
        (void)close(fds[1]);
        cr_assert_eq(read(fds[0], &byte, 1), 1);
        *ret_fd = fds[0];
        return pid;
}

Test(init, exit_status, .timeout = 20)
{
        struct exit_record record;

        cr_assert_eq(finish(start("exit 0"), &record), 0);
        cr_assert_eq(finish(start("exit 42"), &record), 42);
        cr_assert_eq(record.kind, EXIT_KIND_EXITED);
        cr_assert_gt(record.realtime_ns, 1600000000ull * 1000000000);
        cr_assert_eq(finish(start("kill -9 $$"), &record), 137);
        cr_assert_eq(record.kind, EXIT_KIND_SIGNALED);
}

/* What cannot be executed is never said to have started: the first record that can be seen is the last one.
 */
Test(init, not_executed, .timeout = 20)
{
        static const struct {
                const char *program;
                int error, status;
        } cases[] = {{"/nonexistent", ENOENT, 127},
                     {"nonexistent-on-path", ENOENT, 127},
                     {"/etc/passwd", EACCES, 126}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                pid_t pid = start_with(NULL, cases[i].program, -1);
                struct exit_record first = {}, last;

                while (pread_full(fileno(record_file), &first, sizeof(first), 0) < 0)
                        (void)usleep(100);
                cr_assert_eq(first.kind, EXIT_KIND_NOT_EXECUTED, "%s", cases[i].program);
                cr_assert_eq((int)first.value, cases[i].error);
                cr_assert(exit_record_valid(&first));
                cr_assert_eq(finish(pid, &last), cases[i].status);
                cr_assert_eq(memcmp(&first, &last, sizeof(first)), 0);
        }
}

/* A program that runs is said to have started, and by then it is in the child's place. */
Test(init, started, .timeout = 20)
{
        struct exit_record record;
        int fd;
        pid_t pid = start_ready("echo r ; exec sleep 100", &fd);

        while (pread_full(fileno(record_file), &record, sizeof(record), 0) < 0)
                (void)usleep(100);
        cr_assert_eq(record.kind, EXIT_KIND_STARTED);
        cr_assert_eq(kill(pid, SIGTERM), 0);
        cr_assert_eq(finish(pid, &record), 128 + SIGTERM);
        (void)close(fd);
}

Test(init, signals_are_handed_on, .timeout = 20)
{
        struct exit_record record;
        int fd;
        pid_t pid;

        pid = start_ready("trap 'exit 7' TERM; echo r ; while :; do sleep 0.05; done", &fd);
        cr_assert_eq(kill(pid, SIGTERM), 0);
        cr_assert_eq(finish(pid, &record), 7);
        (void)close(fd);
        pid = start_ready("trap 'exit 8' USR1; echo r ; while :; do sleep 0.05; done", &fd);
        cr_assert_eq(kill(pid, SIGUSR1), 0);
        cr_assert_eq(finish(pid, &record), 8);
        (void)close(fd);
        pid = start_ready("echo r ; sleep 100", &fd);
        cr_assert_eq(kill(pid, SIGTERM), 0);
        cr_assert_eq(finish(pid, &record), 128 + SIGTERM);
        (void)close(fd);
}

/* Orphans are reaped while the program runs: it counts the processes of its namespace by their PIDs being
 * free again. */
Test(init, orphans_are_reaped, .timeout = 20)
{
        struct exit_record record;

        cr_assert_eq(
                finish(start("i=0; while [ $i -lt 50 ]; do (true & ) ; i=$((i+1)); done; sleep 0.3; "
                             "kill -0 3 2>/dev/null && exit 1; kill -0 20 2>/dev/null && exit 1; exit 5"),
                       &record),
                5);
}

/* The rest of the container ends with the program. */
Test(init, nothing_outlives_the_program, .timeout = 20)
{
        struct exit_record record;
        int fd;
        char byte;
        pid_t pid = start_ready("(sleep 1000 & ) ; echo r ; exit 3", &fd);

        cr_assert_eq(finish(pid, &record), 3);
        while (read(fd, &byte, 1) > 0) /* the end of file comes when the last holder of the pipe is gone */
                ;
        (void)close(fd);
}

/* The program gets neither the record's descriptor nor blocked signals. */
Test(init, the_program_starts_clean, .timeout = 20)
{
        struct exit_record record;

        cr_assert_eq(finish(start("for f in /proc/self/fd/*; do case $(readlink $f) in *deleted*) exit 1;; "
                                  "esac; done; "
                                  "while read k v; do [ $k = SigBlk: ] && [ $v = 0000000000000000 ] && exit "
                                  "6; done "
                                  "</proc/self/status; exit 2"),
                            &record),
                     6);
}

/* A container cannot lie about its own end: root without CAP_SYS_PTRACE, as it is there, does not reach the
 * descriptor. */
Test(init, the_record_is_out_of_reach, .timeout = 20)
{
        struct exit_record record;

        cr_assert_eq(
                finish(start("test -e /proc/1/fd && sh -c ': >>/proc/1/fd/3' 2>/dev/null && exit 1; exit 4"),
                       &record),
                4);
}

Test(record, what_no_init_writes)
{
        struct exit_record r = {.kind = EXIT_KIND_EXITED, .value = 7};

        cr_assert(!exit_record_valid(&r));
        memcpy(r.magic, EXIT_RECORD_MAGIC, sizeof(r.magic));
        cr_assert(exit_record_valid(&r));
        r.value = 256;
        cr_assert(!exit_record_valid(&r));
        r = (struct exit_record){.kind = EXIT_KIND_SIGNALED, .value = 200};
        memcpy(r.magic, EXIT_RECORD_MAGIC, sizeof(r.magic));
        cr_assert(!exit_record_valid(&r));
        r = (struct exit_record){.kind = EXIT_KIND_NOT_EXECUTED, .value = 0};
        memcpy(r.magic, EXIT_RECORD_MAGIC, sizeof(r.magic));
        cr_assert(!exit_record_valid(&r));
        r.kind = 0;
        cr_assert(!exit_record_valid(&r));
        r.kind = 5;
        cr_assert(!exit_record_valid(&r));
}

Test(init, bad_usage, .timeout = 20)
{
        int status = system(BIN_DIR "/container-init 2>/dev/null");

        cr_assert_eq(WEXITSTATUS(status), 125);
        status = system(BIN_DIR "/container-init 77 true 2>/dev/null");
        cr_assert_eq(WEXITSTATUS(status), 125);
}
