/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define WIPE "\r\033[K"
#define BAR_MIN 10
#define BAR_MAX 40

static const int fatal_signals[] = {SIGINT, SIGTERM};

static void wipe_and_die(int signal)
{
        ssize_t n = write(STDERR_FILENO, WIPE, strlen(WIPE));

        (void)n;
        (void)raise(signal); /* SA_RESETHAND: ends the program */
}

/* Replaces the action for signals that end the program, and no other's. */
static void watch_signals(void (*from)(int), void (*to)(int))
{
        const struct sigaction action = {.sa_handler = to, .sa_flags = (int)SA_RESETHAND};

        for (size_t i = 0; i < ELEMENTSOF(fatal_signals); i++) {
                struct sigaction old;

                if (sigaction(fatal_signals[i], NULL, &old) == 0 && old.sa_handler == from)
                        (void)sigaction(fatal_signals[i], &action, NULL);
        }
}

void progress_start(struct progress *p, const char *label, uint64_t total)
{
        const char *term = getenv("TERM");

        *p = (struct progress){.label = label, .total = total, .started_ms = clock_ms()};
        p->visible = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
        if (p->visible)
                watch_signals(SIG_DFL, wipe_and_die);
}

/* At most 8 characters: "12 MB". */
static void format_bytes(double n, char ret[static 16])
{
        static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
        size_t unit = 0;

        for (; n >= 999.5 && unit + 1 < ELEMENTSOF(units); unit++)
                n /= 1000;
        (void)snprintf(ret, 16, unit > 0 && n < 9.95 ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

static void format_seconds(double n, char ret[static 16])
{
        if (n < 99.5)
                (void)snprintf(ret, 16, "%.0f s", n);
        else if (n < 5970)
                (void)snprintf(ret, 16, "%.0f min", n / 60);
        else
                (void)snprintf(ret, 16, n < 1e7 ? "%.0f h" : "long", n / 3600);
}

/* What stands behind the bar. The first half second says nothing about the rate. */
static void format_figures(const struct progress *p, uint64_t done, uint64_t spent_ms, char *ret, size_t size)
{
        double rate = (double)done * 1000 / (double)(spent_ms ?: 1);
        char text[16];
        int n;

        format_bytes((double)done, text);
        n = p->total > 0
                    ? snprintf(ret, size, "%3" PRIu64 "%%", (uint64_t)((double)done * 100 / (double)p->total))
                    : snprintf(ret, size, "%s", text);
        if (spent_ms < 500 || done == 0)
                return;
        format_bytes(rate, text);
        n += snprintf(ret + n, size - (size_t)n, "  %s/s", text);
        if (p->total == 0)
                return;
        format_seconds((double)(p->total - done) / rate, text);
        (void)snprintf(ret + n, size - (size_t)n, "  %s left", text);
}

static int columns(void)
{
        struct winsize w;

        return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static void draw(const struct progress *p, uint64_t done, uint64_t spent_ms)
{
        int room = columns() - 1, label, bar, filled;
        char figures[64], line[512];

        format_figures(p, done, spent_ms, figures, sizeof(figures));
        room -= (int)strlen(figures) + 2;
        label = (int)strlen(p->label) < room ? (int)strlen(p->label) : room > 0 ? room : 0;
        bar = p->total > 0 ? room - label - 4 : 0;
        bar = bar < BAR_MIN ? 0 : bar > BAR_MAX ? BAR_MAX : bar;
        if (bar == 0) {
                (void)snprintf(line, sizeof(line), WIPE "%.*s  %s", label, p->label, figures);
        } else {
                filled = (int)((double)done * bar / (double)p->total);
                (void)snprintf(line, sizeof(line), WIPE "%.*s  [%.*s%*s]  %s", label, p->label, filled,
                               "########################################", bar - filled, "", figures);
        }
        (void)fputs(line, stderr);
}

void progress_update(struct progress *p, uint64_t done)
{
        uint64_t now;

        if (!p->visible)
                return;
        now = clock_ms();
        if (now - p->shown_ms < 100)
                return;
        p->shown_ms = now;
        p->drawn = true;
        draw(p, p->total > 0 && done > p->total ? p->total : done, now - p->started_ms);
}

void progress_end(struct progress *p)
{
        if (p->drawn)
                (void)fputs(WIPE, stderr);
        if (p->visible)
                watch_signals(wipe_and_die, SIG_DFL);
        p->visible = p->drawn = false;
}
