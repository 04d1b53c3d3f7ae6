/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/machine.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

/* As in Kubernetes: a container comes again at once the first time, then after 10 s, then after twice as long
 * each time up to 5 min; 10 min of running count as recovered. */
#define BACKOFF_FIRST_MS UINT64_C(10000)
#define BACKOFF_MAX_MS UINT64_C(300000)
#define BACKOFF_FORGET_MS UINT64_C(600000)

/* What a container has between being told to end and being killed, where its liveness probe is the reason. */
#define LIVENESS_GRACE_MS UINT64_C(10000)

/* What a status is called where the executor never gave one. */
#define STATUS_NOT_STARTED 128

static void emit(struct effects *effects, enum effect_type type, size_t container)
{
        assert(effects->n < MACHINE_EFFECTS_MAX);
        effects->list[effects->n++] = (struct effect){.type = type, .container = container};
}

static bool all_in(const struct machine *m, enum container_phase phase)
{
        for (size_t i = 0; i < m->n; i++)
                if (m->containers[i].phase != phase)
                        return false;
        return true;
}

static bool none_being_created(const struct machine *m)
{
        for (size_t i = 0; i < m->n; i++)
                if (m->containers[i].phase < CONTAINER_CREATED || m->containers[i].again)
                        return false;
        return true;
}

static bool none_before_running(const struct machine *m)
{
        for (size_t i = 0; i < m->n; i++)
                if (m->containers[i].phase < CONTAINER_RUNNING || m->containers[i].again)
                        return false;
        return true;
}

static void create(struct machine *m, size_t i, struct effects *effects)
{
        m->containers[i].phase = CONTAINER_CREATING;
        emit(effects, EFFECT_CREATE, i);
}

static void start(struct machine *m, size_t i, struct effects *effects)
{
        m->containers[i].phase = CONTAINER_STARTING;
        emit(effects, EFFECT_START, i);
}

static void clean(struct machine *m, size_t i, struct effects *effects)
{
        m->containers[i].phase = CONTAINER_CLEANING;
        emit(effects, EFFECT_CLEAN, i);
}

static void terminate(struct machine *m, size_t i, uint64_t deadline_ms, struct effects *effects)
{
        struct machine_container *c = &m->containers[i];

        c->phase = CONTAINER_STOPPING;
        c->deadline_ms = deadline_ms;
        emit(effects, EFFECT_TERMINATE, i);
        emit(effects, EFFECT_TIMER, i);
}

static void release(struct machine *m, struct effects *effects)
{
        m->phase = GROUP_RELEASING;
        emit(effects, EFFECT_RELEASE, 0);
}

static void forget(struct machine *m, struct effects *effects)
{
        m->phase = GROUP_GONE;
        emit(effects, EFFECT_FORGET, 0);
}

static bool is_init(const struct machine *m, size_t i)
{
        return i < m->n_init;
}

/* The next init container once the one before it has done its work, then all the others at once. */
static void create_next(struct machine *m, struct effects *effects)
{
        size_t i = 0;

        while (i < m->n_init && m->containers[i].phase == CONTAINER_TERMINATED)
                i++;
        if (i < m->n_init) {
                if (m->containers[i].phase == CONTAINER_WAITING)
                        create(m, i, effects);
                return;
        }
        for (; i < m->n; i++)
                if (m->containers[i].phase == CONTAINER_WAITING)
                        create(m, i, effects);
}

/* Brings one container down. Those that the executor is busy with are taken when it answers. */
static void wind_down(struct machine *m, size_t i, uint64_t now_ms, struct effects *effects)
{
        struct machine_container *c = &m->containers[i];

        switch (c->phase) {
        case CONTAINER_WAITING:
        case CONTAINER_BACKOFF:
                c->phase = CONTAINER_TERMINATED;
                break;
        case CONTAINER_CREATED:
                clean(m, i, effects);
                break;
        case CONTAINER_RUNNING:
                terminate(m, i, now_ms + m->stop_timeout_ms, effects);
                break;
        case CONTAINER_STOPPING: /* told already: a shorter patience counts */
                if (c->deadline_ms <= now_ms + m->stop_timeout_ms)
                        break;
                c->deadline_ms = now_ms + m->stop_timeout_ms;
                emit(effects, EFFECT_TIMER, i);
                break;
        default:
                break;
        }
}

/* Follows the containers: creates those whose turn it is, starts the group once all are created, and ends it
 * once all have ended. */
static void settle(struct machine *m, struct effects *effects)
{
        if (m->phase != GROUP_STARTING && m->phase != GROUP_RUNNING && m->phase != GROUP_STOPPING)
                return;
        if (m->phase == GROUP_STARTING && m->want == WANT_RUN)
                create_next(m, effects);
        if (m->phase == GROUP_STARTING && m->want == WANT_RUN && none_being_created(m))
                for (size_t i = 0; i < m->n; i++)
                        if (m->containers[i].phase == CONTAINER_CREATED)
                                start(m, i, effects);
        if (m->phase == GROUP_STARTING && m->want == WANT_RUN && none_before_running(m)) {
                m->phase = GROUP_RUNNING;
                m->has_run = true;
        }
        if (all_in(m, CONTAINER_TERMINATED))
                release(m, effects);
}

static void stop(struct machine *m, enum group_want want, uint64_t timeout_ms, uint64_t now_ms,
                 struct effects *effects)
{
        if (m->phase == GROUP_GONE || (m->phase == GROUP_ENDED && want == WANT_STOP))
                return; /* how it ended stays */
        if (want > m->want)
                m->want = want;
        if (m->phase == GROUP_ENDED) {
                forget(m, effects);
                return;
        }
        if (m->phase != GROUP_STOPPING || timeout_ms < m->stop_timeout_ms)
                m->stop_timeout_ms = timeout_ms;
        if (m->phase == GROUP_PREPARING || m->phase == GROUP_RELEASING)
                return;
        m->phase = GROUP_STOPPING;
        for (size_t i = 0; i < m->n; i++)
                wind_down(m, i, now_ms, effects);
}

/* It could not be started: what exists goes, and then the group itself. */
static void give_up(struct machine *m, uint64_t now_ms, struct effects *effects)
{
        m->failed = true;
        stop(m, WANT_DELETE, 0, now_ms, effects);
}

static void prepared(struct machine *m, bool ok, uint64_t now_ms, struct effects *effects)
{
        if (m->phase != GROUP_PREPARING)
                return;
        m->phase = GROUP_STARTING;
        if (!ok)
                m->failed = true;
        if (!ok && !m->has_run)
                m->want = WANT_DELETE;
        if (!ok && m->want == WANT_RUN)
                m->want = WANT_STOP;
        if (m->want != WANT_RUN) {
                m->phase = GROUP_STOPPING;
                for (size_t i = 0; i < m->n; i++)
                        wind_down(m, i, now_ms, effects);
        }
}

static void created(struct machine *m, size_t i, bool ok, uint64_t now_ms, struct effects *effects)
{
        struct machine_container *c = &m->containers[i];

        if (c->phase != CONTAINER_CREATING)
                return;
        c->phase = CONTAINER_CREATED;
        if (!ok) {
                c->has_exit = true;
                c->exit_status = STATUS_NOT_STARTED;
                clean(m, i, effects);
                if (!m->has_run && m->want == WANT_RUN)
                        give_up(m, now_ms, effects);
                return;
        }
        if (m->want != WANT_RUN)
                wind_down(m, i, now_ms, effects);
        else if (m->phase == GROUP_RUNNING || is_init(m, i))
                start(m, i, effects);
}

static void started(struct machine *m, size_t i, uint64_t now_ms, struct effects *effects)
{
        struct machine_container *c = &m->containers[i];

        if (c->phase != CONTAINER_STARTING)
                return;
        c->phase = CONTAINER_RUNNING;
        c->started_ms = now_ms;
        c->ready = false;
        memset(c->probes, 0, sizeof(c->probes));
        if (m->want != WANT_RUN)
                wind_down(m, i, now_ms, effects);
        else if (!is_init(m, i))
                emit(effects, EFFECT_PROBE, i);
}

static void probed(struct machine *m, size_t i, const struct event *event, struct effects *effects)
{
        struct machine_container *c = &m->containers[i];

        if (c->phase != CONTAINER_RUNNING)
                return;
        if (c->probes[event->probe].failed != event->failed)
                c->probes[event->probe].n = 0;
        c->probes[event->probe].failed = event->failed;
        if (++c->probes[event->probe].n < event->threshold)
                return;
        c->probes[event->probe].n = 0;
        if (event->probe == PROBE_READINESS)
                c->ready = !event->failed;
        else if (event->failed)
                terminate(m, i, event->now_ms + LIVENESS_GRACE_MS, effects);
}

static void start_failed(struct machine *m, size_t i, int status, uint64_t now_ms, struct effects *effects)
{
        struct machine_container *c = &m->containers[i];

        if (c->phase != CONTAINER_STARTING)
                return;
        c->has_exit = true;
        c->exit_status = status != 0 ? status : STATUS_NOT_STARTED;
        clean(m, i, effects);
        if (!m->has_run && m->want == WANT_RUN)
                give_up(m, now_ms, effects);
}

static void exited(struct machine *m, size_t i, int status, uint64_t now_ms, struct effects *effects)
{
        struct machine_container *c = &m->containers[i];

        if (c->phase < CONTAINER_CREATED || c->phase > CONTAINER_STOPPING)
                return;
        if (c->phase >= CONTAINER_RUNNING && now_ms - c->started_ms >= BACKOFF_FORGET_MS)
                c->backoff = 0;
        c->has_exit = true;
        c->exit_status = status;
        clean(m, i, effects);
}

/* Azure: an init container's work is done once; to it, Always means OnFailure. */
static bool comes_again(const struct machine *m, size_t i)
{
        bool succeeded = m->containers[i].exit_status == 0;

        if (m->want != WANT_RUN || m->policy == RESTART_NEVER)
                return false;
        return !succeeded || (m->policy == RESTART_ALWAYS && !is_init(m, i));
}

static uint64_t backoff_delay(uint32_t n)
{
        if (n == 0)
                return 0;
        if (n > 5) /* 10 s * 2^5 is beyond the maximum */
                return BACKOFF_MAX_MS;
        return BACKOFF_FIRST_MS << (n - 1);
}

/* It does not come again. Without what an init container was to prepare, the group has failed; its record and
 * logs stay, to say why. */
static void terminated(struct machine *m, size_t i, uint64_t now_ms, struct effects *effects)
{
        m->containers[i].phase = CONTAINER_TERMINATED;
        if (!is_init(m, i) || m->want != WANT_RUN || m->containers[i].exit_status == 0)
                return;
        m->failed = true;
        stop(m, WANT_STOP, 0, now_ms, effects);
}

static void cleaned(struct machine *m, size_t i, uint64_t now_ms, struct effects *effects)
{
        struct machine_container *c = &m->containers[i];

        if (c->phase != CONTAINER_CLEANING)
                return;
        if (c->again && m->want == WANT_RUN) {
                c->again = false;
                create(m, i, effects);
                return;
        }
        c->again = false;
        if (!comes_again(m, i)) {
                terminated(m, i, now_ms, effects);
                return;
        }
        c->phase = CONTAINER_BACKOFF;
        c->deadline_ms = now_ms + backoff_delay(c->backoff++);
        emit(effects, EFFECT_TIMER, i);
}

static void deadline(struct machine *m, size_t i, uint64_t now_ms, struct effects *effects)
{
        struct machine_container *c = &m->containers[i];

        if (now_ms < c->deadline_ms)
                return;
        if (c->phase == CONTAINER_STOPPING)
                emit(effects, EFFECT_KILL, i);
        if (c->phase == CONTAINER_BACKOFF) {
                c->restarts++;
                create(m, i, effects);
        }
}

static void released(struct machine *m, struct effects *effects)
{
        if (m->phase != GROUP_RELEASING)
                return;
        m->phase = GROUP_ENDED;
        if (m->want == WANT_DELETE)
                forget(m, effects);
}

void machine_begin(struct machine *m, enum restart_policy policy, size_t n_init, size_t n,
                   struct effects *ret)
{
        assert(n_init < n && n <= GROUP_CONTAINERS_MAX);
        *m = (struct machine){.policy = policy, .n_init = n_init, .n = n};
        ret->n = 0;
        emit(ret, EFFECT_PREPARE, 0);
}

void machine_step(struct machine *m, const struct event *event, struct effects *ret)
{
        ret->n = 0;
        assert(event->container < m->n);
        switch (event->type) {
        case EVENT_PREPARED:
        case EVENT_PREPARE_FAILED:
                prepared(m, event->type == EVENT_PREPARED, event->now_ms, ret);
                break;
        case EVENT_CREATED:
        case EVENT_CREATE_FAILED:
                created(m, event->container, event->type == EVENT_CREATED, event->now_ms, ret);
                break;
        case EVENT_STARTED:
                started(m, event->container, event->now_ms, ret);
                break;
        case EVENT_START_FAILED:
                start_failed(m, event->container, event->status, event->now_ms, ret);
                break;
        case EVENT_EXITED:
                exited(m, event->container, event->status, event->now_ms, ret);
                break;
        case EVENT_CLEANED:
                cleaned(m, event->container, event->now_ms, ret);
                break;
        case EVENT_DEADLINE:
                deadline(m, event->container, event->now_ms, ret);
                break;
        case EVENT_PROBED:
                probed(m, event->container, event, ret);
                break;
        case EVENT_RELEASED:
                released(m, ret);
                break;
        case EVENT_STOP:
                stop(m, WANT_STOP, event->timeout_ms, event->now_ms, ret);
                break;
        case EVENT_DELETE:
                stop(m, WANT_DELETE, event->timeout_ms, event->now_ms, ret);
                break;
        default:
                break;
        }
        settle(m, ret);
}

/* Nothing survives a restart of the system but the record: what ran has ended, and comes again where the
 * policy says so. */
static void recover_rebooted(struct machine *m, struct effects *effects)
{
        for (size_t i = 0; i < m->n; i++) {
                struct machine_container *c = &m->containers[i];

                if (c->phase >= CONTAINER_RUNNING && c->phase < CONTAINER_CLEANING) {
                        c->has_exit = true;
                        c->exit_status = 137;
                }
                if (c->phase != CONTAINER_TERMINATED)
                        c->phase = m->want == WANT_RUN && m->policy != RESTART_NEVER ? CONTAINER_WAITING
                                                                                     : CONTAINER_TERMINATED;
                c->again = false;
        }
        /* what init containers prepared is lost: they go first again */
        for (size_t i = 0; i < m->n_init && !all_in(m, CONTAINER_TERMINATED); i++)
                m->containers[i].phase = CONTAINER_WAITING;
        if (m->phase == GROUP_GONE || (m->phase == GROUP_ENDED && m->want == WANT_DELETE)) {
                forget(m, effects);
        } else if (all_in(m, CONTAINER_TERMINATED)) {
                if (m->phase != GROUP_ENDED)
                        release(m, effects);
        } else {
                m->phase = GROUP_PREPARING;
                emit(effects, EFFECT_PREPARE, 0);
        }
}

static void recover_container(struct machine *m, size_t i, const struct container_fact *fact, uint64_t now_ms,
                              struct effects *effects)
{
        struct machine_container *c = &m->containers[i];

        switch (c->phase) {
        case CONTAINER_CREATING:
        case CONTAINER_CREATED:
        case CONTAINER_STARTING:
                c->phase = CONTAINER_STARTING;
                if (fact->fact == FACT_ALIVE) {
                        started(m, i, now_ms, effects);
                } else if (fact->fact == FACT_EXITED || fact->fact == FACT_NOT_EXECUTED) {
                        exited(m, i, fact->status, now_ms, effects);
                } else {
                        c->again = true;
                        clean(m, i, effects);
                }
                break;
        case CONTAINER_RUNNING:
        case CONTAINER_STOPPING:
                if (fact->fact != FACT_ALIVE) {
                        exited(m, i, fact->status, now_ms, effects);
                } else if (c->phase == CONTAINER_STOPPING) {
                        emit(effects, EFFECT_TERMINATE, i);
                        emit(effects, EFFECT_TIMER, i);
                } else if (m->want != WANT_RUN) {
                        terminate(m, i, now_ms + m->stop_timeout_ms, effects);
                } else if (!is_init(m, i)) {
                        emit(effects, EFFECT_PROBE, i);
                }
                break;
        case CONTAINER_CLEANING:
                emit(effects, EFFECT_CLEAN, i);
                break;
        case CONTAINER_BACKOFF:
                emit(effects, EFFECT_TIMER, i);
                break;
        default:
                break;
        }
}

static bool any_not_executed(const struct machine *m, const struct container_fact *facts)
{
        for (size_t i = 0; i < m->n; i++)
                if (facts[i].fact == FACT_NOT_EXECUTED)
                        return true;
        return false;
}

void machine_recover(struct machine *m, const struct container_fact *facts, bool rebooted, uint64_t now_ms,
                     struct effects *ret)
{
        ret->n = 0;
        if (rebooted) {
                recover_rebooted(m, ret);
                return;
        }
        switch (m->phase) {
        case GROUP_PREPARING:
                emit(ret, EFFECT_PREPARE, 0);
                break;
        case GROUP_RELEASING:
                emit(ret, EFFECT_RELEASE, 0);
                break;
        case GROUP_GONE:
                emit(ret, EFFECT_FORGET, 0);
                break;
        case GROUP_STARTING:
        case GROUP_RUNNING:
        case GROUP_STOPPING:
                for (size_t i = 0; i < m->n; i++)
                        recover_container(m, i, &facts[i], now_ms, ret);
                /* once it is known where every container is */
                if (!m->has_run && m->want == WANT_RUN && any_not_executed(m, facts))
                        give_up(m, now_ms, ret);
                settle(m, ret);
                break;
        default:
                break;
        }
}

static const char *const container_phases[CONTAINER_PHASES_] = {
        [CONTAINER_WAITING] = "waiting",       [CONTAINER_CREATING] = "creating",
        [CONTAINER_CREATED] = "created",       [CONTAINER_STARTING] = "starting",
        [CONTAINER_RUNNING] = "running",       [CONTAINER_STOPPING] = "stopping",
        [CONTAINER_CLEANING] = "cleaning",     [CONTAINER_BACKOFF] = "backoff",
        [CONTAINER_TERMINATED] = "terminated",
};

static const char *const group_phases[GROUP_PHASES_] = {
        [GROUP_PREPARING] = "preparing", [GROUP_STARTING] = "starting",   [GROUP_RUNNING] = "running",
        [GROUP_STOPPING] = "stopping",   [GROUP_RELEASING] = "releasing", [GROUP_ENDED] = "ended",
        [GROUP_GONE] = "gone",
};

static const char *const policies[] = {
        [RESTART_ALWAYS] = "Always", [RESTART_ON_FAILURE] = "OnFailure", [RESTART_NEVER] = "Never"};

static int find_name(const char *const *names, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(names[i], name) == 0)
                        return (int)i;
        return -EINVAL;
}

const char *container_phase_name(enum container_phase phase)
{
        return container_phases[phase];
}

const char *group_phase_name(enum group_phase phase)
{
        return group_phases[phase];
}

const char *restart_policy_name(enum restart_policy policy)
{
        return policies[policy];
}

int container_phase_from_name(const char *name, enum container_phase *ret)
{
        int i = find_name(container_phases, ELEMENTSOF(container_phases), name);

        if (i >= 0)
                *ret = (enum container_phase)i;
        return i < 0 ? i : 0;
}

int group_phase_from_name(const char *name, enum group_phase *ret)
{
        int i = find_name(group_phases, ELEMENTSOF(group_phases), name);

        if (i >= 0)
                *ret = (enum group_phase)i;
        return i < 0 ? i : 0;
}

int restart_policy_from_name(const char *name, enum restart_policy *ret)
{
        int i = find_name(policies, ELEMENTSOF(policies), name);

        if (i >= 0)
                *ret = (enum restart_policy)i;
        return i < 0 ? i : 0;
}

const char *container_state_name(const struct machine_container *c)
{
        switch (c->phase) {
        case CONTAINER_RUNNING:
        case CONTAINER_STOPPING:
                return "Running";
        case CONTAINER_CLEANING:
        case CONTAINER_TERMINATED:
                return "Terminated";
        default:
                return "Waiting";
        }
}

/* Azure: Succeeded for Never and OnFailure, Failed for Never alone; what was stopped is Stopped. */
static const char *ended_state_name(const struct machine *m)
{
        bool succeeded = true;

        if (m->failed)
                return "Failed";
        if (m->want != WANT_RUN)
                return "Stopped";
        for (size_t i = 0; i < m->n; i++)
                succeeded = succeeded && m->containers[i].has_exit && m->containers[i].exit_status == 0;
        return succeeded ? "Succeeded" : "Failed";
}

const char *group_state_name(const struct machine *m)
{
        switch (m->phase) {
        case GROUP_PREPARING:
        case GROUP_STARTING:
                return "Pending";
        case GROUP_RUNNING:
                return "Running";
        case GROUP_STOPPING:
                return "Stopping";
        case GROUP_RELEASING:
                return m->want == WANT_RUN ? "Running" : "Stopping";
        default:
                return ended_state_name(m);
        }
}
