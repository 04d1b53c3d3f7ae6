/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ends what waits for ever. A thread, since a call that hangs in the kernel sees no signal. */
#pragma once

#include <stdint.h>

struct watchdog;

/* Starts one that calls `expired` with the name of the step that took too long, once, from its thread.
 * -EAGAIN, -ENOMEM. The caller frees *ret, from the thread that made it. */
int watchdog_new(void (*expired)(const char *step, void *userdata), void *userdata, struct watchdog **ret);
struct watchdog *watchdog_free(struct watchdog *w);

/* Begins to count for a step, which is borrowed; 0 milliseconds: it may take as long as it likes. */
void watchdog_set(struct watchdog *w, const char *step, uint64_t milliseconds);
