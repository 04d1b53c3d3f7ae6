/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A progress line on standard error, only when that is a terminal: bar, percent, rate, time left. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
        const char *label;
        uint64_t total; /* bytes, or 0 when it is not known */
        uint64_t started_ms, shown_ms;
        bool visible, drawn;
};

void progress_start(struct progress *p, const char *label, uint64_t total);
/* Bytes done so far; draws at most ten times a second. */
void progress_update(struct progress *p, uint64_t done);
/* Wipes the line. So does a SIGINT or SIGTERM that ends the program. */
void progress_end(struct progress *p);
