/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a container group as a pure function: state and event in, new state and effects out. It does no
 * I/O, keeps no time and allocates nothing, so that it can be tested against a model. The caller saves the
 * new state before it begins an effect; after its own death it calls machine_recover(), which gives the
 * effects that finish or undo what was half done. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GROUP_CONTAINERS_MAX 60
#define MACHINE_EFFECTS_MAX (4 * GROUP_CONTAINERS_MAX + 4)

enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };

enum container_phase {
        CONTAINER_WAITING,  /* nothing of it exists */
        CONTAINER_CREATING, /* its root is being mounted, the executor prepares the process */
        CONTAINER_CREATED,  /* the process waits to be let go */
        CONTAINER_STARTING, /* being let go */
        CONTAINER_RUNNING,
        CONTAINER_STOPPING,   /* told to end; killed at the deadline */
        CONTAINER_CLEANING,   /* has ended; what it used is being taken down */
        CONTAINER_BACKOFF,    /* clean; comes again at the deadline */
        CONTAINER_TERMINATED, /* clean; does not come again */
        CONTAINER_PHASES_
};

enum group_phase {
        GROUP_PREPARING, /* layers, network and cgroup are being made */
        GROUP_STARTING,  /* init containers run, one at a time; then not every container has run yet */
        GROUP_RUNNING,
        GROUP_STOPPING,  /* asked to, or because it could not be started */
        GROUP_RELEASING, /* no container is left; layers and network go */
        GROUP_ENDED,     /* uses nothing but its record and logs */
        GROUP_GONE,      /* to be forgotten */
        GROUP_PHASES_
};

enum probe_kind { PROBE_LIVENESS, PROBE_READINESS, PROBES_ };

enum group_want { WANT_RUN, WANT_STOP, WANT_DELETE };

struct machine_container {
        enum container_phase phase;
        bool has_exit; /* exit_status is that of the last run */
        int exit_status;
        uint32_t restarts;
        uint32_t backoff;     /* consecutive short runs, sets the delay */
        uint64_t started_ms;  /* last start, on the caller's clock */
        uint64_t deadline_ms; /* STOPPING, BACKOFF */
        bool again;           /* CLEANING: create it again at once, it never ran */
        bool ready;           /* its readiness probe passes */
        struct {
                bool failed;
                uint32_t n; /* so many results in a row */
        } probes[PROBES_];  /* these and ready are not saved: a new caller counts anew */
};

struct machine {
        enum restart_policy policy;
        enum group_phase phase;
        enum group_want want;
        bool has_run; /* every container was started once: a failure is no longer the answer to "run" */
        bool failed;  /* could not be started, or an init container failed for good */
        uint64_t stop_timeout_ms;
        size_t n_init, n; /* the first n_init of the n are init containers */
        struct machine_container containers[GROUP_CONTAINERS_MAX];
};

enum event_type {
        EVENT_PREPARED,
        EVENT_PREPARE_FAILED,
        EVENT_CREATED,
        EVENT_CREATE_FAILED,
        EVENT_STARTED,
        EVENT_START_FAILED, /* status, where its init gave one; else 0 */
        EVENT_EXITED,       /* status */
        EVENT_CLEANED,
        EVENT_DEADLINE, /* of a container; early ones are ignored */
        EVENT_PROBED,   /* probe, failed; threshold: how many such results in a row count */
        EVENT_RELEASED,
        EVENT_STOP,   /* timeout_ms */
        EVENT_DELETE, /* timeout_ms */
        EVENT_TYPES_
};

struct event {
        enum event_type type;
        size_t container;
        int status;
        enum probe_kind probe;
        bool failed;
        uint32_t threshold;
        uint64_t timeout_ms;
        uint64_t now_ms; /* a clock that never steps back and counts suspend: CLOCK_BOOTTIME */
};

enum effect_type {
        EFFECT_PREPARE,   /* answers PREPARED or PREPARE_FAILED */
        EFFECT_CREATE,    /* answers CREATED or CREATE_FAILED */
        EFFECT_START,     /* answers STARTED or START_FAILED; EXITED may come first */
        EFFECT_TERMINATE, /* ask the container to end; EXITED follows, or the deadline */
        EFFECT_KILL,      /* EXITED follows */
        EFFECT_CLEAN,     /* answers CLEANED, always */
        EFFECT_PROBE,     /* begin to probe it; PROBED follows until it is terminated or cleaned */
        EFFECT_TIMER,     /* DEADLINE is wanted at deadline_ms of the container */
        EFFECT_RELEASE,   /* answers RELEASED, always */
        EFFECT_FORGET,    /* remove every trace; the machine is not used again */
};

struct effect {
        enum effect_type type;
        size_t container;
};

struct effects {
        size_t n;
        struct effect list[MACHINE_EFFECTS_MAX];
};

/* A new group of n containers (1 to GROUP_CONTAINERS_MAX), of which the first n_init, fewer than n, are init
 * containers: each runs alone, and must end with status 0 before the next one is created. */
void machine_begin(struct machine *m, enum restart_policy policy, size_t n_init, size_t n,
                   struct effects *ret);

/* One event. Events that mean nothing in the state the machine is in change nothing and give no effect. */
void machine_step(struct machine *m, const struct event *event, struct effects *ret);

/* What the caller found of a container after it came back. */
enum fact {
        FACT_NOTHING,      /* no process, no exit record */
        FACT_ALIVE,        /* its program runs */
        FACT_EXITED,       /* status from the record, or 137 where none was written */
        FACT_NOT_EXECUTED, /* its program could not be executed; status */
};

struct container_fact {
        enum fact fact;
        int status;
};

/* After the caller's death, with one fact per container. With `rebooted`, the machine was saved before a
 * restart of the system: nothing that it knew is left but the record. */
void machine_recover(struct machine *m, const struct container_fact *facts, bool rebooted, uint64_t now_ms,
                     struct effects *ret);

/* Names as the API shows them, Azure's where Azure has one. */
const char *group_state_name(const struct machine *m);
const char *container_state_name(const struct machine_container *c);
const char *container_phase_name(enum container_phase phase);
const char *group_phase_name(enum group_phase phase);
const char *restart_policy_name(enum restart_policy policy);

/* Inverse of the three names above; -EINVAL for a name that there is not. */
int container_phase_from_name(const char *name, enum container_phase *ret);
int group_phase_from_name(const char *name, enum group_phase *ret);
int restart_policy_from_name(const char *name, enum restart_policy *ret);
