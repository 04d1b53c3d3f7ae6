/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void progress_start(struct progress *p, const char *label, uint64_t total)
{
        *p = (struct progress){.label = label, .total = total, .started_ms = now_ms()};
}

void progress_update(struct progress *p, uint64_t done)
{
        uint64_t now = now_ms(), spent = now - p->started_ms;

        if (now - p->shown_ms < 100 || !isatty(STDERR_FILENO))
                return;
        p->shown_ms = now;
        p->shown = 1;
        (void)fprintf(stderr, "\r\033[K%s: ", p->label);
        if (p->total > 0)
                (void)fprintf(stderr, "%3u%%", (unsigned)(done * 100 / p->total));
        (void)fprintf(stderr, " %lu MiB", (unsigned long)(done >> 20));
        if (spent > 500)
                (void)fprintf(stderr, ", %lu MiB/s", (unsigned long)((done >> 20) * 1000 / spent));
        if (spent > 500 && done > 0 && p->total > done)
                (void)fprintf(
                        stderr, ", %lu s left",
                        (unsigned long)((double)(p->total - done) / (double)done * (double)spent / 1000));
}

void progress_end(struct progress *p)
{
        if (p->shown)
                (void)fprintf(stderr, "\r\033[K");
}
