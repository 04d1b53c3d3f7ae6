/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/group/machine.h"

static struct effects effects;

static void send(struct machine *m, enum event_type type, size_t container, int status, uint64_t now)
{
        struct event event = {
                .type = type, .container = container, .status = status, .timeout_ms = 10000, .now_ms = now};

        machine_step(m, &event, &effects);
}

static size_t count(enum effect_type type)
{
        size_t n = 0;

        for (size_t i = 0; i < effects.n; i++)
                n += effects.list[i].type == type;
        return n;
}

static void run_group(struct machine *m, enum restart_policy policy, size_t n)
{
        machine_begin(m, policy, 0, n, &effects);
        cr_assert_eq(count(EFFECT_PREPARE), 1);
        send(m, EVENT_PREPARED, 0, 0, 1);
        cr_assert_eq(count(EFFECT_CREATE), n);
        for (size_t i = 0; i < n; i++) {
                send(m, EVENT_CREATED, i, 0, 2);
                cr_assert_eq(count(EFFECT_START), i + 1 == n ? n : 0, "nobody starts before all are created");
        }
        for (size_t i = 0; i < n; i++)
                send(m, EVENT_STARTED, i, 0, 3);
        cr_assert_eq(m->phase, GROUP_RUNNING);
        cr_assert(m->has_run);
}

Test(machine, stop_gives_each_its_exit_status)
{
        struct machine m;

        run_group(&m, RESTART_ALWAYS, 2);
        send(&m, EVENT_STOP, 0, 0, 100);
        cr_assert_eq(count(EFFECT_TERMINATE), 2);
        cr_assert_eq(count(EFFECT_TIMER), 2);
        cr_assert_eq(m.containers[0].deadline_ms, 10100);
        send(&m, EVENT_EXITED, 0, 3, 200);
        cr_assert_eq(count(EFFECT_CLEAN), 1);
        send(&m, EVENT_DEADLINE, 1, 0, 10099);
        cr_assert_eq(effects.n, 0, "not before its time");
        send(&m, EVENT_DEADLINE, 1, 0, 10100);
        cr_assert_eq(count(EFFECT_KILL), 1);
        send(&m, EVENT_EXITED, 1, 137, 10200);
        send(&m, EVENT_CLEANED, 0, 0, 10300);
        cr_assert_eq(count(EFFECT_RELEASE), 0);
        send(&m, EVENT_CLEANED, 1, 0, 10300);
        cr_assert_eq(count(EFFECT_RELEASE), 1);
        send(&m, EVENT_RELEASED, 0, 0, 10400);
        cr_assert_eq(m.phase, GROUP_ENDED);
        cr_assert_str_eq(group_state_name(&m), "Stopped");
        cr_assert_eq(m.containers[0].exit_status, 3);
        cr_assert_eq(m.containers[1].exit_status, 137);
        send(&m, EVENT_DELETE, 0, 0, 10500);
        cr_assert_eq(count(EFFECT_FORGET), 1);
}

Test(machine, policies)
{
        static const struct {
                enum restart_policy policy;
                int status;
                bool again;
                const char *state;
        } cases[] = {{RESTART_ALWAYS, 0, true, NULL},        {RESTART_ALWAYS, 1, true, NULL},
                     {RESTART_ON_FAILURE, 1, true, NULL},    {RESTART_ON_FAILURE, 0, false, "Succeeded"},
                     {RESTART_NEVER, 0, false, "Succeeded"}, {RESTART_NEVER, 2, false, "Failed"}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct machine m;

                run_group(&m, cases[i].policy, 1);
                send(&m, EVENT_EXITED, 0, cases[i].status, 10);
                send(&m, EVENT_CLEANED, 0, 0, 20);
                cr_assert_eq(count(EFFECT_TIMER), cases[i].again);
                if (cases[i].again) {
                        cr_assert_eq(m.containers[0].phase, CONTAINER_BACKOFF);
                        continue;
                }
                cr_assert_eq(count(EFFECT_RELEASE), 1);
                send(&m, EVENT_RELEASED, 0, 0, 30);
                cr_assert_str_eq(group_state_name(&m), cases[i].state);
        }
}

Test(machine, backoff_doubles_and_is_forgotten)
{
        struct machine m;
        uint64_t now = 10, expected = 0;

        run_group(&m, RESTART_ALWAYS, 1);
        for (int i = 0; i < 12; i++) {
                send(&m, EVENT_EXITED, 0, 1, now);
                send(&m, EVENT_CLEANED, 0, 0, now);
                cr_assert_eq(m.containers[0].deadline_ms, now + expected);
                now = m.containers[0].deadline_ms;
                send(&m, EVENT_DEADLINE, 0, 0, now);
                cr_assert_eq(count(EFFECT_CREATE), 1);
                send(&m, EVENT_CREATED, 0, 0, now);
                cr_assert_eq(count(EFFECT_START), 1, "a neighbour is not waited for");
                send(&m, EVENT_STARTED, 0, 0, now);
                expected = expected == 0 ? 10000 : expected * 2 > 300000 ? 300000 : expected * 2;
        }
        cr_assert_eq(m.containers[0].restarts, 12);
        now += 600000;
        send(&m, EVENT_EXITED, 0, 1, now);
        send(&m, EVENT_CLEANED, 0, 0, now);
        cr_assert_eq(m.containers[0].deadline_ms, now, "as if it were the first time");
}

/* One init container's whole run. */
static void run_init(struct machine *m, size_t i, int status)
{
        cr_assert_eq(count(EFFECT_CREATE), 1);
        cr_assert_eq(effects.list[0].container, i, "in order");
        send(m, EVENT_CREATED, i, 0, 2);
        cr_assert_eq(count(EFFECT_START), 1, "an init container waits for nobody");
        send(m, EVENT_STARTED, i, 0, 3);
        cr_assert_eq(effects.n, 0, "and runs alone");
        cr_assert_str_eq(group_state_name(m), "Pending");
        send(m, EVENT_EXITED, i, status, 4);
        send(m, EVENT_CLEANED, i, 0, 5);
}

Test(machine, init_containers_run_in_order_and_alone)
{
        struct machine m;

        machine_begin(&m, RESTART_ALWAYS, 2, 4, &effects);
        send(&m, EVENT_PREPARED, 0, 0, 1);
        run_init(&m, 0, 0);
        run_init(&m, 1, 0);
        cr_assert_eq(count(EFFECT_CREATE), 2, "then all the others");
        send(&m, EVENT_CREATED, 2, 0, 6);
        cr_assert_eq(count(EFFECT_START), 0);
        send(&m, EVENT_CREATED, 3, 0, 6);
        cr_assert_eq(count(EFFECT_START), 2);
        cr_assert(!m.has_run);
        send(&m, EVENT_STARTED, 2, 0, 7);
        send(&m, EVENT_STARTED, 3, 0, 7);
        cr_assert(m.has_run);
        cr_assert_str_eq(group_state_name(&m), "Running");
        /* What they did is done, also where a container comes again. */
        send(&m, EVENT_EXITED, 2, 1, 8);
        send(&m, EVENT_CLEANED, 2, 0, 9);
        send(&m, EVENT_DEADLINE, 2, 0, 9);
        cr_assert_eq(count(EFFECT_CREATE), 1);
        cr_assert_eq(effects.list[0].container, 2);
}

Test(machine, an_init_container_that_fails_comes_again)
{
        static const enum restart_policy policies[] = {RESTART_ALWAYS, RESTART_ON_FAILURE};

        for (size_t i = 0; i < ELEMENTSOF(policies); i++) {
                struct machine m;

                machine_begin(&m, policies[i], 1, 2, &effects);
                send(&m, EVENT_PREPARED, 0, 0, 1);
                run_init(&m, 0, 1);
                cr_assert_eq(m.containers[0].phase, CONTAINER_BACKOFF);
                cr_assert_eq(m.containers[1].phase, CONTAINER_WAITING);
                send(&m, EVENT_DEADLINE, 0, 0, m.containers[0].deadline_ms);
                run_init(&m, 0, 0);
                cr_assert_eq(m.containers[0].restarts, 1);
                cr_assert_eq(m.containers[0].phase, CONTAINER_TERMINATED, "Always means OnFailure");
                cr_assert_eq(count(EFFECT_CREATE), 1);
                cr_assert_eq(effects.list[0].container, 1);
        }
}

/* Its record stays, so that its log can be read. */
Test(machine, an_init_container_that_fails_for_good)
{
        struct machine m;

        machine_begin(&m, RESTART_NEVER, 2, 3, &effects);
        send(&m, EVENT_PREPARED, 0, 0, 1);
        run_init(&m, 0, 3);
        cr_assert_eq(count(EFFECT_CREATE), 0);
        cr_assert_eq(count(EFFECT_RELEASE), 1);
        send(&m, EVENT_RELEASED, 0, 0, 6);
        cr_assert_eq(m.phase, GROUP_ENDED);
        cr_assert_str_eq(group_state_name(&m), "Failed");
        cr_assert_eq(m.containers[0].exit_status, 3);
        cr_assert(!m.containers[1].has_exit && !m.containers[2].has_exit && !m.has_run);
}

Test(machine, stop_while_init_containers_run)
{
        struct machine m;

        machine_begin(&m, RESTART_ALWAYS, 1, 2, &effects);
        send(&m, EVENT_PREPARED, 0, 0, 1);
        send(&m, EVENT_CREATED, 0, 0, 2);
        send(&m, EVENT_STARTED, 0, 0, 3);
        send(&m, EVENT_STOP, 0, 0, 4);
        cr_assert_eq(count(EFFECT_TERMINATE), 1);
        cr_assert_eq(m.containers[1].phase, CONTAINER_TERMINATED);
        send(&m, EVENT_EXITED, 0, 143, 5);
        send(&m, EVENT_CLEANED, 0, 0, 6);
        cr_assert_eq(count(EFFECT_CREATE), 0);
        send(&m, EVENT_RELEASED, 0, 0, 7);
        cr_assert_str_eq(group_state_name(&m), "Stopped");
}

/* What they prepared was in memory. */
Test(machine, init_containers_run_again_after_a_restart_of_the_system)
{
        struct container_fact facts[2] = {};
        struct machine m;

        machine_begin(&m, RESTART_ALWAYS, 1, 2, &effects);
        send(&m, EVENT_PREPARED, 0, 0, 1);
        run_init(&m, 0, 0);
        send(&m, EVENT_CREATED, 1, 0, 6);
        send(&m, EVENT_STARTED, 1, 0, 7);
        machine_recover(&m, facts, false, 8, &effects);
        cr_assert_eq(m.containers[0].phase, CONTAINER_TERMINATED, "the daemon's death is no reason");
        m.containers[1].phase = CONTAINER_RUNNING;
        machine_recover(&m, facts, true, 8, &effects);
        cr_assert_eq(count(EFFECT_PREPARE), 1);
        send(&m, EVENT_PREPARED, 0, 0, 9);
        run_init(&m, 0, 0);
        cr_assert_eq(count(EFFECT_CREATE), 1);
        cr_assert_eq(effects.list[0].container, 1);
}

Test(machine, a_stop_does_not_change_how_a_group_ended)
{
        struct machine m;

        run_group(&m, RESTART_NEVER, 1);
        send(&m, EVENT_EXITED, 0, 2, 10);
        send(&m, EVENT_CLEANED, 0, 0, 20);
        send(&m, EVENT_RELEASED, 0, 0, 30);
        send(&m, EVENT_STOP, 0, 0, 40);
        cr_assert_eq(effects.n, 0);
        cr_assert_str_eq(group_state_name(&m), "Failed");
        send(&m, EVENT_DELETE, 0, 0, 50);
        cr_assert_eq(count(EFFECT_FORGET), 1);
}

static void probe(struct machine *m, enum probe_kind kind, bool failed, uint32_t threshold, uint64_t now)
{
        struct event event = {
                .type = EVENT_PROBED, .probe = kind, .failed = failed, .threshold = threshold, .now_ms = now};

        machine_step(m, &event, &effects);
}

Test(machine, liveness_ends_a_container_that_fails_in_a_row)
{
        struct machine m;

        run_group(&m, RESTART_ALWAYS, 1);
        cr_assert_eq(count(EFFECT_PROBE), 1);
        probe(&m, PROBE_LIVENESS, true, 3, 10);
        probe(&m, PROBE_LIVENESS, true, 3, 20);
        probe(&m, PROBE_LIVENESS, false, 1, 30);
        probe(&m, PROBE_LIVENESS, true, 3, 40);
        probe(&m, PROBE_LIVENESS, true, 3, 50);
        cr_assert_eq(effects.n, 0, "a success in between");
        probe(&m, PROBE_LIVENESS, true, 3, 60);
        cr_assert_eq(count(EFFECT_TERMINATE), 1);
        cr_assert_eq(m.containers[0].deadline_ms, 10060);
        probe(&m, PROBE_LIVENESS, true, 1, 70);
        cr_assert_eq(effects.n, 0, "once");
        send(&m, EVENT_DEADLINE, 0, 0, 10060);
        cr_assert_eq(count(EFFECT_KILL), 1);
        send(&m, EVENT_EXITED, 0, 137, 10070);
        send(&m, EVENT_CLEANED, 0, 0, 10080);
        cr_assert_eq(m.containers[0].phase, CONTAINER_BACKOFF);
        cr_assert_eq(m.phase, GROUP_RUNNING);
        send(&m, EVENT_DEADLINE, 0, 0, 10080);
        send(&m, EVENT_CREATED, 0, 0, 10090);
        send(&m, EVENT_STARTED, 0, 0, 10100);
        cr_assert_eq(count(EFFECT_PROBE), 1);
        cr_assert_eq(m.containers[0].restarts, 1);
}

Test(machine, a_stop_shortens_what_liveness_grants)
{
        struct event event = {.type = EVENT_STOP, .timeout_ms = 1000, .now_ms = 20};
        struct machine m;

        run_group(&m, RESTART_ALWAYS, 1);
        probe(&m, PROBE_LIVENESS, true, 1, 10);
        cr_assert_eq(m.containers[0].deadline_ms, 10010);
        machine_step(&m, &event, &effects);
        cr_assert_eq(m.containers[0].deadline_ms, 1020);
        cr_assert_eq(count(EFFECT_TIMER), 1);
        cr_assert_eq(count(EFFECT_TERMINATE), 0);
}

Test(machine, readiness_comes_and_goes)
{
        struct container_fact alive = {.fact = FACT_ALIVE};
        struct machine m;

        run_group(&m, RESTART_NEVER, 1);
        cr_assert(!m.containers[0].ready);
        probe(&m, PROBE_READINESS, false, 2, 10);
        cr_assert(!m.containers[0].ready);
        probe(&m, PROBE_READINESS, false, 2, 20);
        cr_assert(m.containers[0].ready);
        probe(&m, PROBE_READINESS, true, 2, 30);
        cr_assert(m.containers[0].ready);
        probe(&m, PROBE_READINESS, true, 2, 40);
        cr_assert(!m.containers[0].ready);
        cr_assert_eq(effects.n, 0);
        machine_recover(&m, &alive, false, 50, &effects);
        cr_assert_eq(count(EFFECT_PROBE), 1, "probed on by the next daemon");
}

/* A run that fails leaves nothing. */
Test(machine, failure_before_it_ran_undoes_the_group)
{
        struct machine m;

        machine_begin(&m, RESTART_ALWAYS, 0, 2, &effects);
        send(&m, EVENT_PREPARED, 0, 0, 1);
        send(&m, EVENT_CREATE_FAILED, 0, 0, 2);
        cr_assert_eq(count(EFFECT_CLEAN), 1);
        cr_assert_eq(m.phase, GROUP_STOPPING);
        send(&m, EVENT_CREATED, 1, 0, 3);
        cr_assert_eq(count(EFFECT_CLEAN), 1);
        cr_assert_eq(count(EFFECT_START), 0);
        send(&m, EVENT_CLEANED, 0, 0, 4);
        send(&m, EVENT_CLEANED, 1, 0, 5);
        cr_assert_eq(count(EFFECT_RELEASE), 1);
        send(&m, EVENT_RELEASED, 0, 0, 6);
        cr_assert_eq(count(EFFECT_FORGET), 1);

        machine_begin(&m, RESTART_ALWAYS, 0, 1, &effects);
        send(&m, EVENT_PREPARE_FAILED, 0, 0, 1);
        cr_assert_eq(count(EFFECT_RELEASE), 1);
        send(&m, EVENT_RELEASED, 0, 0, 2);
        cr_assert_eq(count(EFFECT_FORGET), 1);
}

/* The program is not there: the answer to "run", also where the daemon died before it saw that. */
Test(machine, a_program_that_cannot_be_executed)
{
        struct container_fact facts[2] = {{.fact = FACT_NOT_EXECUTED, .status = 127}, {.fact = FACT_ALIVE}};
        struct machine m;

        for (int died = 0; died < 2; died++) {
                machine_begin(&m, RESTART_ALWAYS, 0, 2, &effects);
                send(&m, EVENT_PREPARED, 0, 0, 1);
                send(&m, EVENT_CREATED, 0, 0, 2);
                send(&m, EVENT_CREATED, 1, 0, 3);
                cr_assert_eq(count(EFFECT_START), 2);
                if (died) {
                        machine_recover(&m, facts, false, 4, &effects);
                        cr_assert_eq(count(EFFECT_CLEAN), 1);
                        cr_assert_eq(count(EFFECT_TERMINATE), 1);
                } else {
                        send(&m, EVENT_STARTED, 1, 0, 4);
                        send(&m, EVENT_START_FAILED, 0, 127, 4);
                        cr_assert_eq(count(EFFECT_CLEAN), 1);
                        cr_assert_eq(count(EFFECT_TERMINATE), 1, "the other one goes too");
                        send(&m, EVENT_EXITED, 0, 127, 5); /* its init's end comes after */
                        cr_assert_eq(effects.n, 0);
                }
                cr_assert_eq(m.phase, GROUP_STOPPING);
                cr_assert_eq(m.containers[0].phase, CONTAINER_CLEANING);
                cr_assert_eq(m.containers[0].exit_status, 127);
                cr_assert(m.failed && !m.has_run);
                send(&m, EVENT_CLEANED, 0, 0, 6);
                send(&m, EVENT_EXITED, 1, 143, 7);
                send(&m, EVENT_CLEANED, 1, 0, 8);
                cr_assert_eq(count(EFFECT_RELEASE), 1);
                send(&m, EVENT_RELEASED, 0, 0, 9);
                cr_assert_eq(count(EFFECT_FORGET), 1);
        }
}

Test(machine, recover_finishes_what_was_begun)
{
        struct container_fact alive = {.fact = FACT_ALIVE}, gone = {.fact = FACT_NOTHING, .status = 137},
                              seven = {.fact = FACT_EXITED, .status = 7};
        struct machine m;

        run_group(&m, RESTART_NEVER, 1);
        machine_recover(&m, &alive, false, 50, &effects);
        cr_assert_eq(effects.n, count(EFFECT_PROBE));
        machine_recover(&m, &seven, false, 50, &effects);
        cr_assert_eq(count(EFFECT_CLEAN), 1);
        cr_assert_eq(m.containers[0].exit_status, 7, "the status that nobody was there to see");

        run_group(&m, RESTART_NEVER, 1);
        machine_recover(&m, &gone, false, 50, &effects);
        cr_assert_eq(m.containers[0].exit_status, 137);

        /* killed between "begin to create" and "created": again, and nothing is counted as a restart */
        machine_begin(&m, RESTART_NEVER, 0, 1, &effects);
        send(&m, EVENT_PREPARED, 0, 0, 1);
        machine_recover(&m, &gone, false, 50, &effects);
        cr_assert_eq(count(EFFECT_CLEAN), 1);
        send(&m, EVENT_CLEANED, 0, 0, 60);
        cr_assert_eq(count(EFFECT_CREATE), 1);
        send(&m, EVENT_CREATED, 0, 0, 61);
        send(&m, EVENT_STARTED, 0, 0, 62);
        cr_assert_eq(m.phase, GROUP_RUNNING);
        cr_assert_eq(m.containers[0].restarts, 0);

        /* a stop goes on */
        send(&m, EVENT_STOP, 0, 0, 100);
        machine_recover(&m, &alive, false, 200, &effects);
        cr_assert_eq(count(EFFECT_TERMINATE), 1);
        cr_assert_eq(count(EFFECT_TIMER), 1);
        cr_assert_eq(m.containers[0].deadline_ms, 10100, "with the deadline that was promised");
}

Test(machine, recover_after_a_restart_of_the_system)
{
        struct container_fact gone = {.fact = FACT_NOTHING, .status = 137};
        struct machine m;

        run_group(&m, RESTART_ALWAYS, 1);
        machine_recover(&m, &gone, true, 5, &effects);
        cr_assert_eq(count(EFFECT_PREPARE), 1);
        send(&m, EVENT_PREPARED, 0, 0, 6);
        cr_assert_eq(count(EFFECT_CREATE), 1);
        run_group(&m, RESTART_NEVER, 1);
        machine_recover(&m, &gone, true, 5, &effects);
        cr_assert_eq(count(EFFECT_RELEASE), 1);
        send(&m, EVENT_RELEASED, 0, 0, 6);
        cr_assert_str_eq(group_state_name(&m), "Failed");
}

/* A world that answers effects: what an executor with containers does, in random order, with random failures,
 * stops, deletes and kills of the daemon. */
struct world {
        struct machine m;
        struct effect pending[1024]; /* effects that are begun and not yet answered */
        size_t n;
        bool alive[GROUP_CONTAINERS_MAX], exists[GROUP_CONTAINERS_MAX], exited[GROUP_CONTAINERS_MAX];
        bool prepared, forgotten;
        uint64_t now;
        unsigned seed;
};

static unsigned random_of(struct world *w, unsigned n)
{
        return (unsigned)rand_r(&w->seed) % n;
}

/* An init container exists alone, and after those before it. */
static void check_order(const struct world *w, size_t c)
{
        bool init = c < w->m.n_init;

        for (size_t i = 0; i < w->m.n; i++) {
                cr_assert(!w->exists[i] || (!init && i >= w->m.n_init), "%zu is created beside %zu", c, i);
                if (i < w->m.n_init && i < c)
                        cr_assert(w->m.containers[i].phase == CONTAINER_TERMINATED &&
                                  w->m.containers[i].exit_status == 0);
        }
}

static void begin_effects(struct world *w)
{
        for (size_t i = 0; i < effects.n; i++) {
                struct effect e = effects.list[i];

                switch (e.type) {
                case EFFECT_CREATE:
                        cr_assert(w->prepared, "created without layers and network");
                        cr_assert(!w->exists[e.container], "created twice");
                        check_order(w, e.container);
                        break;
                case EFFECT_START:
                        cr_assert(w->exists[e.container]);
                        break;
                case EFFECT_RELEASE:
                        for (size_t c = 0; c < w->m.n; c++)
                                cr_assert(!w->exists[c] && !w->alive[c], "released under a container");
                        break;
                case EFFECT_FORGET:
                        cr_assert(!w->prepared, "forgotten with resources held");
                        w->forgotten = true;
                        break;
                default:
                        break;
                }
                cr_assert_lt(w->n, ELEMENTSOF(w->pending));
                w->pending[w->n++] = e;
        }
}

static void tell(struct world *w, enum event_type type, size_t container, int status)
{
        struct event event = {.type = type,
                              .container = container,
                              .status = status,
                              .timeout_ms = random_of(w, 3000),
                              .now_ms = w->now};

        machine_step(&w->m, &event, &effects);
        begin_effects(w);
}

static void die(struct world *w, size_t c)
{
        if (!w->alive[c])
                return;
        w->alive[c] = false;
        w->exited[c] = true;
        tell(w, EVENT_EXITED, c, (int)random_of(w, 3));
}

static void answer_one(struct world *w)
{
        size_t i = random_of(w, (unsigned)w->n);
        struct effect e = w->pending[i];
        bool ok = random_of(w, 8) != 0;

        w->pending[i] = w->pending[--w->n];
        switch (e.type) {
        case EFFECT_PREPARE:
                w->prepared = true; /* in part, where it fails: release is owed in any case */
                tell(w, ok ? EVENT_PREPARED : EVENT_PREPARE_FAILED, 0, 0);
                break;
        case EFFECT_CREATE:
                w->exists[e.container] = true;
                w->exited[e.container] = false;
                tell(w, ok ? EVENT_CREATED : EVENT_CREATE_FAILED, e.container, 0);
                break;
        case EFFECT_START:
                w->alive[e.container] = ok;
                tell(w, ok ? EVENT_STARTED : EVENT_START_FAILED, e.container, 0);
                break;
        case EFFECT_TERMINATE:
                if (ok)
                        die(w, e.container);
                break;
        case EFFECT_KILL:
                die(w, e.container);
                break;
        case EFFECT_CLEAN:
                w->alive[e.container] = w->exists[e.container] = false;
                tell(w, EVENT_CLEANED, e.container, 0);
                break;
        case EFFECT_TIMER:
                if (w->m.containers[e.container].deadline_ms > w->now)
                        w->now = w->m.containers[e.container].deadline_ms;
                tell(w, EVENT_DEADLINE, e.container, 0);
                break;
        case EFFECT_RELEASE:
                w->prepared = false;
                tell(w, EVENT_RELEASED, 0, 0);
                break;
        case EFFECT_PROBE:
        case EFFECT_FORGET:
                break;
        }
}

/* The daemon is killed: what it had begun is lost, what runs goes on; what it made is found again, or made
 * again. */
static void kill_daemon(struct world *w)
{
        struct container_fact facts[GROUP_CONTAINERS_MAX] = {};

        w->n = 0;
        for (size_t i = 0; i < w->m.n; i++) {
                if (w->alive[i] && random_of(w, 4) == 0) {
                        w->alive[i] = false;
                        w->exited[i] = true;
                }
                if (w->alive[i])
                        facts[i].fact = FACT_ALIVE;
                else if (w->exited[i])
                        facts[i] = (struct container_fact){
                                .fact = random_of(w, 4) ? FACT_EXITED : FACT_NOT_EXECUTED, .status = 1};
                else
                        facts[i] = (struct container_fact){.fact = FACT_NOTHING, .status = 137};
        }
        machine_recover(&w->m, facts, false, w->now, &effects);
        begin_effects(w);
}

/* Of the first container's probes. */
static void result(struct world *w)
{
        probe(&w->m, random_of(w, PROBES_), random_of(w, 2), 1 + random_of(w, 3), w->now);
        begin_effects(w);
}

static void check_world(const struct world *w)
{
        if (w->m.phase == GROUP_RUNNING || w->m.phase == GROUP_STARTING)
                cr_assert(w->prepared);
        if (w->m.phase >= GROUP_RELEASING)
                for (size_t i = 0; i < w->m.n; i++)
                        cr_assert_eq(w->m.containers[i].phase, CONTAINER_TERMINATED);
        if (w->m.phase < GROUP_ENDED &&
            w->n == 0) { /* nothing is under way: then something must be alive to wait for */
                bool waits = false;

                for (size_t i = 0; i < w->m.n; i++)
                        waits = waits || w->alive[i];
                cr_assert(waits, "stuck in phase %s", group_phase_name(w->m.phase));
        }
}

Test(machine, any_order_of_events_ends_well, .timeout = 60)
{
        for (unsigned seed = 1; seed <= 3000; seed++) {
                static struct world w;

                memset(&w, 0, sizeof(w));
                w.seed = seed;
                machine_begin(&w.m, (enum restart_policy)random_of(&w, 3), random_of(&w, 3),
                              3 + random_of(&w, 3), &effects);
                begin_effects(&w);
                for (int step = 0; step < 400 && !w.forgotten; step++) {
                        unsigned what = random_of(&w, 40);

                        w.now += random_of(&w, 50);
                        if (what == 0)
                                kill_daemon(&w);
                        else if (what == 1)
                                tell(&w, EVENT_STOP, 0, 0);
                        else if (what == 2 && step > 200)
                                tell(&w, EVENT_DELETE, 0, 0);
                        else if (what < 10)
                                die(&w, random_of(&w, (unsigned)w.m.n));
                        else if (what == 10)
                                result(&w);
                        else if (what < 12) /* noise: a timer of an earlier life */
                                tell(&w, EVENT_DEADLINE, random_of(&w, (unsigned)w.m.n), 0);
                        else if (w.n > 0)
                                answer_one(&w);
                        check_world(&w);
                }
                tell(&w, EVENT_DELETE, 0, 0);
                for (int step = 0; step < 2000 && !w.forgotten; step++) {
                        if (w.n > 0)
                                answer_one(&w);
                        else
                                die(&w, random_of(&w, (unsigned)w.m.n));
                }
                cr_assert(w.forgotten, "seed %u: a delete does not end, phase %s", seed,
                          group_phase_name(w.m.phase));
        }
}

Test(machine, names_have_inverses)
{
        enum container_phase c;
        enum group_phase g;
        enum restart_policy p;

        for (unsigned i = 0; i < CONTAINER_PHASES_; i++)
                cr_assert(container_phase_from_name(container_phase_name(i), &c) == 0 && c == i);
        for (unsigned i = 0; i < GROUP_PHASES_; i++)
                cr_assert(group_phase_from_name(group_phase_name(i), &g) == 0 && g == i);
        for (unsigned i = 0; i < 3; i++)
                cr_assert(restart_policy_from_name(restart_policy_name(i), &p) == 0 && p == i);
        cr_assert_eq(restart_policy_from_name("always", &p), -EINVAL);
}
