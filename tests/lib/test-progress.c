/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The progress line, as a terminal of a certain width sees it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/progress.h"

static int terminal;

/* Standard error becomes a terminal; what is written there is read at `terminal`. */
static void open_terminal(unsigned short columns)
{
        struct winsize size = {.ws_row = 24, .ws_col = columns};
        int slave;

        cr_assert_eq(openpty(&terminal, &slave, NULL, NULL, &size), 0);
        cr_assert_eq(fcntl(terminal, F_SETFL, O_NONBLOCK), 0);
        cr_assert_eq(dup2(slave, STDERR_FILENO), STDERR_FILENO);
        cr_assert_eq(setenv("TERM", "xterm", 1), 0);
}

static const char *seen(void)
{
        static char text[4096];
        ssize_t n = read(terminal, text, sizeof(text) - 1);

        text[n > 0 ? n : 0] = '\0';
        return text;
}

/* Draws as if the work had begun `seconds` ago. */
static const char *line(uint64_t total, uint64_t done, uint64_t seconds)
{
        struct progress p;

        progress_start(&p, "verifying", total);
        p.started_ms -= seconds * 1000;
        progress_update(&p, done);
        return seen();
}

Test(progress, bar_rate_and_time_left)
{
        open_terminal(80);
        cr_expect_str_eq(
                line(4000000000, 1000000000, 2),
                "\r\033[Kverifying  [##########                              ]   25%  500 MB/s  6 s left");
        cr_expect_str_eq(
                line(4000000000, 5000000000, 2),
                "\r\033[Kverifying  [########################################]  100%  2.0 GB/s  0 s left");
        cr_expect_str_eq(line(0, 1500, 1), "\r\033[Kverifying  1.5 kB  1.5 kB/s");
        cr_expect_str_eq(line(1000, 0, 0),
                         "\r\033[Kverifying  [                                        ]    0%");
        cr_expect_not_null(strstr(line(UINT64_MAX, 1, 1), "  1 B/s  long left"));
}

Test(progress, never_wider_than_the_terminal)
{
        open_terminal(40);
        cr_expect_str_eq(line(4000, 1000, 1), "\r\033[Kverifying   25%  1.0 kB/s  3 s left");
        for (unsigned short n = 1; n < 100; n++) {
                struct winsize size = {.ws_row = 24, .ws_col = n};

                cr_assert_eq(ioctl(terminal, TIOCSWINSZ, &size), 0);
                cr_expect_leq(strlen(line(4000, 1000, 1)), 4 + (n > 32 ? n : 32), "%u columns", n);
        }
}

Test(progress, wiped_at_the_end)
{
        struct progress p;

        open_terminal(80);
        progress_start(&p, "x", 10);
        progress_update(&p, 1);
        cr_expect_neq(seen()[0], '\0');
        progress_end(&p);
        cr_expect_str_eq(seen(), "\r\033[K");
        progress_update(&p, 2);
        progress_end(&p);
        cr_expect_str_eq(seen(), "", "after the end there is nothing");
}

Test(progress, silent_elsewhere)
{
        struct progress p;

        open_terminal(80);
        cr_assert_eq(setenv("TERM", "dumb", 1), 0);
        progress_start(&p, "x", 10);
        progress_update(&p, 1);
        progress_end(&p);
        cr_expect_str_eq(seen(), "");
}

Test(progress, a_signal_wipes_the_line_and_ends_the_program)
{
        struct progress p;
        int status;
        pid_t pid;

        open_terminal(80);
        pid = fork();
        if (pid == 0) {
                progress_start(&p, "x", 10);
                progress_update(&p, 1);
                (void)raise(SIGTERM);
                _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        cr_expect_str_eq(strrchr(seen(), '\r'), "\r\033[K");
}
