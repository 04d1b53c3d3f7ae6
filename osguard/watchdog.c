/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "osguard/watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct watchdog {
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        const char *step; /* NULL: nothing to watch */
        struct timespec deadline;
        bool stop;
        void (*expired)(const char *step, void *userdata);
        void *userdata;
};

/* A wait that timed out may have been for a deadline that was moved since. */
static bool is_over(const struct watchdog *w)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return w->step && (now.tv_sec > w->deadline.tv_sec ||
                           (now.tv_sec == w->deadline.tv_sec && now.tv_nsec >= w->deadline.tv_nsec));
}

static void *watch(void *p)
{
        struct watchdog *w = p;

        (void)pthread_mutex_lock(&w->mutex);
        while (!w->stop) {
                if (is_over(w)) {
                        w->expired(w->step, w->userdata);
                        w->step = NULL;
                } else if (w->step)
                        (void)pthread_cond_timedwait(&w->changed, &w->mutex, &w->deadline);
                else
                        (void)pthread_cond_wait(&w->changed, &w->mutex);
        }
        (void)pthread_mutex_unlock(&w->mutex);
        return NULL;
}

int watchdog_new(void (*expired)(const char *step, void *userdata), void *userdata, struct watchdog **ret)
{
        struct watchdog *w = calloc(1, sizeof(*w));
        pthread_condattr_t attributes;
        int r;

        if (!w)
                return -ENOMEM;
        w->expired = expired;
        w->userdata = userdata;
        (void)pthread_mutex_init(&w->mutex, NULL);
        (void)pthread_condattr_init(&attributes);
        (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        (void)pthread_cond_init(&w->changed, &attributes);
        (void)pthread_condattr_destroy(&attributes);
        r = pthread_create(&w->thread, NULL, watch, w);
        if (r != 0) {
                free(w);
                return -r;
        }
        *ret = w;
        return 0;
}

struct watchdog *watchdog_free(struct watchdog *w)
{
        if (!w)
                return NULL;
        (void)pthread_mutex_lock(&w->mutex);
        w->stop = true;
        (void)pthread_cond_signal(&w->changed);
        (void)pthread_mutex_unlock(&w->mutex);
        (void)pthread_join(w->thread, NULL);
        (void)pthread_cond_destroy(&w->changed);
        (void)pthread_mutex_destroy(&w->mutex);
        free(w);
        return NULL;
}

void watchdog_set(struct watchdog *w, const char *step, uint64_t milliseconds)
{
        (void)pthread_mutex_lock(&w->mutex);
        (void)clock_gettime(CLOCK_MONOTONIC, &w->deadline);
        w->deadline.tv_sec += (time_t)(milliseconds / 1000);
        w->deadline.tv_nsec += (long)(milliseconds % 1000) * 1000000;
        if (w->deadline.tv_nsec >= 1000000000) {
                w->deadline.tv_nsec -= 1000000000;
                w->deadline.tv_sec++;
        }
        w->step = milliseconds > 0 ? step : NULL;
        (void)pthread_cond_signal(&w->changed);
        (void)pthread_mutex_unlock(&w->mutex);
}
