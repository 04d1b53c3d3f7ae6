/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "osguard/watchdog.h"

struct seen {
        sem_t expired;
        char step[16];
        int times;
};

static void expired(const char *step, void *userdata)
{
        struct seen *seen = userdata;

        (void)snprintf(seen->step, sizeof(seen->step), "%s", step);
        seen->times++;
        (void)sem_post(&seen->expired);
}

static struct watchdog *start(struct seen *seen)
{
        struct watchdog *w = NULL;

        cr_assert_eq(sem_init(&seen->expired, 0, 0), 0);
        cr_assert_eq(watchdog_new(expired, seen, &w), 0);
        return w;
}

Test(watchdog, names_the_step_that_hangs, .timeout = 60)
{
        struct seen seen = {};
        struct watchdog *w = start(&seen);

        watchdog_set(w, "first", 1000000);
        watchdog_set(w, "second", 10);
        cr_assert_eq(sem_wait(&seen.expired), 0);
        cr_expect_str_eq(seen.step, "second");
        watchdog_free(w);
        cr_expect_eq(seen.times, 1, "once is enough");
}

Test(watchdog, lets_be_what_may_take_long, .timeout = 60)
{
        struct seen seen = {};
        struct watchdog *w = start(&seen);

        watchdog_set(w, "first", 1000000);
        watchdog_set(w, "second", 0);
        watchdog_set(w, "third", 1000000);
        (void)usleep(20000);
        watchdog_free(w);
        cr_expect_eq(seen.times, 0);
}
