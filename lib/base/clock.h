/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long something takes. */
#pragma once

#include <stdint.h>
#include <time.h>

/* Milliseconds of a clock that never goes back; it stands still while the machine sleeps. */
static inline uint64_t clock_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
