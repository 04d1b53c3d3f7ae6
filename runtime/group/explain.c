/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each change of a group's state as an event of its history. */
#include <stdarg.h>
#include <stdio.h>

#include "runtime/group/internal.h"

static void note(struct group *g, const struct container *c, bool warning, const char *reason,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* An event that cannot be kept must not stop the group. */
static void note(struct group *g, const struct container *c, bool warning, const char *reason,
                 const char *format, ...)
{
        struct manager *m = g->manager;
        char message[512], time[40];
        struct history_event event = {.number = ++m->event_number,
                                      .time = format_time(now_us(), time),
                                      .group = g->definition->name,
                                      .container = c ? c->definition->name : NULL,
                                      .warning = warning,
                                      .reason = reason,
                                      .message = message};
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        if (history_add(&g->history, &event) < 0)
                manager_say(m, "group \"%s\": out of memory for an event", g->definition->name);
}

static bool has_process(enum container_phase phase)
{
        return phase >= CONTAINER_CREATED && phase <= CONTAINER_STOPPING;
}

static void explain_end(struct container *c, const struct machine_container *after)
{
        const char *reason = c->out_of_memory ? "OOMKilled" : after->exit_status == 0 ? "Completed" : "Error";

        note(c->group, c, after->exit_status != 0, reason, "exit status %d", after->exit_status);
}

/* A result that changes nothing is not told. */
static void explain_probe(struct container *c, const struct machine_container *before,
                          const struct event *event)
{
        const struct machine_container *after = &c->group->machine.containers[c->index];

        if (before->phase == CONTAINER_RUNNING && after->phase == CONTAINER_STOPPING)
                note(c->group, c, true, "Unhealthy", "its liveness probe failed %u times in a row",
                     event->threshold);
        if (before->ready && !after->ready)
                note(c->group, c, true, "Unhealthy", "its readiness probe failed %u times in a row",
                     event->threshold);
        if (!before->ready && after->ready)
                note(c->group, c, false, "Ready", "its readiness probe passes");
}

static void explain_container(struct container *c, const struct machine_container *before,
                              const struct event *event)
{
        struct group *g = c->group;
        const struct machine_container *after = &g->machine.containers[c->index];
        enum container_phase from = before->phase, to = after->phase;
        bool own = event->container == c->index;
        uint64_t seconds = (after->deadline_ms - event->now_ms) / 1000;

        if (own && event->type == EVENT_CREATED && from == CONTAINER_CREATING)
                note(g, c, false, "Created", "created from image %s", c->definition->image);
        if (own && event->type == EVENT_PROBED)
                explain_probe(c, before, event);
        if (from < CONTAINER_RUNNING && to >= CONTAINER_RUNNING && to <= CONTAINER_STOPPING)
                note(g, c, false, "Started", "its program runs");
        if (own && event->type == EVENT_DEADLINE && from == CONTAINER_STOPPING &&
            event->now_ms >= before->deadline_ms)
                note(g, c, true, "Killing", "did not end in time and is killed");
        if (from != CONTAINER_STOPPING && to == CONTAINER_STOPPING)
                note(g, c, false, "Killing", "asked to end; killed in %lu s", seconds);
        if (own && (event->type == EVENT_CREATE_FAILED || event->type == EVENT_START_FAILED) && from != to)
                note(g, c, true, "Failed", "%s", g->reason ?: "could not be started");
        else if (has_process(from) && to == CONTAINER_CLEANING && !after->again && after->has_exit)
                explain_end(c, after);
        if (from != CONTAINER_BACKOFF && to == CONTAINER_BACKOFF && seconds > 0)
                note(g, c, true, "BackOff", "starts again in %lu s", seconds);
}

static void explain_phase(struct group *g, const struct machine *before)
{
        const struct machine *m = &g->machine;

        if (before->phase == GROUP_PREPARING && m->phase == GROUP_STARTING)
                for (size_t i = 0; i < m->n; i++)
                        note(g, &g->containers[i], false, "Pulled", "image %s, manifest %s, is verified",
                             g->containers[i].definition->image, g->containers[i].image_digest);
        if (before->phase == m->phase)
                return;
        if (before->phase == GROUP_PREPARING && m->failed)
                note(g, NULL, true, "Failed", "%s", g->reason ?: "could not be prepared");
        if (m->phase == GROUP_RUNNING)
                note(g, NULL, false, "Running", "every container was started");
        if (m->phase == GROUP_STOPPING && !m->failed)
                note(g, NULL, false, "Stopping", "asked to %s", m->want == WANT_DELETE ? "delete" : "stop");
        if (m->phase == GROUP_STOPPING && m->failed)
                note(g, NULL, true, "Stopping", "%s", g->reason ?: "a container failed for good");
        if (m->phase == GROUP_ENDED)
                note(g, NULL, m->failed, group_state_name(m), "the group has ended");
        if (m->phase == GROUP_GONE)
                note(g, NULL, false, "Deleted", "its record and its logs are removed");
}

void group_explain(struct group *g, const struct machine *before, const struct event *event)
{
        for (size_t i = 0; i < g->machine.n; i++)
                explain_container(&g->containers[i], &before->containers[i], event);
        explain_phase(g, before);
}

void group_explain_recovery(struct group *g, const struct machine *before, bool rebooted, uint64_t now)
{
        struct event none = {.type = EVENT_TYPES_, .now_ms = now};

        note(g, NULL, rebooted, "Recovered",
             rebooted ? "the machine was restarted" : "groupd came back and took the group over");
        group_explain(g, before, &none);
}
