/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: each change is explained, the list is bounded, and a record's list is judged when it is read. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/group/internal.h"

static struct manager manager;

static const char *field(sd_json_variant *list, size_t i, const char *name)
{
        return json_optional_string(sd_json_variant_by_index(list, i), name);
}

static void add(sd_json_variant **list, uint64_t number)
{
        struct history_event event = {
                .number = number, .time = "t", .group = "g", .reason = "Started", .message = "m"};

        cr_assert_eq(history_add(list, &event), 0);
}

Test(history, bounded_and_in_order)
{
        _cleanup_json_ sd_json_variant *list = NULL, *other = NULL, *found = NULL, *rest = NULL;
        uint64_t position = 0, last;

        for (uint64_t i = 1; i <= 2 * HISTORY_EVENTS_MAX; i++)
                add(i % 2 ? &list : &other, i);
        add(&list, 1000);
        cr_assert_eq(sd_json_variant_elements(list), HISTORY_EVENTS_MAX);
        cr_assert_eq(history_check(list, "f", &last, NULL), 0);
        cr_assert_eq(last, 1000);
        sd_json_variant *const both[] = {list, NULL, other};
        cr_assert_eq(history_read(both, 3, &position, 10, &found), 0);
        cr_assert_eq(sd_json_variant_elements(found), 10);
        cr_assert_eq(position, 11, "the oldest, number 1, was dropped");
        cr_assert_eq(history_read(both, 3, &position, SIZE_MAX, &rest), 0);
        cr_assert_eq(sd_json_variant_elements(rest), 2 * HISTORY_EVENTS_MAX - 10);
        cr_assert_eq(position, 1000);
        rest = sd_json_variant_unref(rest);
        cr_assert_eq(history_read(both, 3, &position, SIZE_MAX, &rest), 0);
        cr_assert_eq(sd_json_variant_elements(rest), 0);
}

Test(history, a_damaged_list)
{
        static const char *const texts[] = {
                "{}",
                "[1]",
                "[{}]",
                "[{\"number\":-1,\"time\":\"t\",\"group\":\"g\",\"type\":\"Normal\",\"reason\":\"r\","
                "\"message\":\"m\"}]",
                "[{\"number\":0,\"time\":\"t\",\"group\":\"g\",\"type\":\"Normal\",\"reason\":\"r\","
                "\"message\":\"m\"}]",
                "[{\"number\":1,\"time\":7,\"group\":\"g\",\"type\":\"Normal\",\"reason\":\"r\",\"message\":"
                "\"m\"}]",
                "[{\"number\":1,\"time\":\"t\",\"group\":\"g\",\"container\":3,\"type\":\"Normal\","
                "\"reason\":\"r\","
                "\"message\":\"m\"}]",
        };
        uint64_t last;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_json_ sd_json_variant *list = NULL;
                struct error e;

                cr_assert_eq(json_parse("f", texts[i], &list, &e), 0, "%s", e.message);
                cr_assert_eq(history_check(list, "f", &last, &e), -EINVAL, "%s", texts[i]);
        }
}

static void step(struct group *g, enum event_type type, int status, uint64_t now)
{
        struct machine before = g->machine;
        struct event event = {.type = type, .status = status, .now_ms = now, .timeout_ms = 3000};
        struct effects effects;

        machine_step(&g->machine, &event, &effects);
        group_explain(g, &before, &event);
}

static struct group *make_group(void)
{
        static const char text[] =
                "name: g\nproperties:\n  containers:\n"
                "  - {name: a, properties: {image: i, resources: {requests: {cpu: 1, memoryInGB: 1}}}}\n";
        struct definition *d = NULL;
        struct effects effects;
        struct group *g;

        cr_assert_eq(definition_parse("f", text, strlen(text), &d, NULL), 0);
        g = group_new(&manager, d);
        machine_begin(&g->machine, d->policy, d->n_init, d->n_containers, &effects);
        return g;
}

static void expect(sd_json_variant *list, const char *const *reasons, size_t n)
{
        for (size_t i = 0; i < n && i < sd_json_variant_elements(list); i++)
                cr_assert_str_eq(field(list, i, "reason"), reasons[i], "event %zu", i);
        cr_assert_eq(sd_json_variant_elements(list), n);
}

Test(history, a_life_is_explained)
{
        static const char *const reasons[] = {"Pulled",  "Created", "Started",  "Running", "Error",
                                              "Created", "Started", "Error",    "BackOff", "Created",
                                              "Started", "Killing", "Stopping", "Killing", "Error",
                                              "Stopped", "Deleted"};
        _cleanup_(group_free_ptr) struct group *g = make_group();

        step(g, EVENT_PREPARED, 0, 1);
        for (uint64_t now = 10; now <= 20; now += 10) {
                step(g, EVENT_CREATED, 0, now);
                step(g, EVENT_STARTED, 0, now + 1);
                step(g, EVENT_EXITED, 3, now + 2);
                step(g, EVENT_CLEANED, 0, now + 3);
                if (now == 10)
                        step(g, EVENT_DEADLINE, 0, now + 4);
        }
        step(g, EVENT_DEADLINE, 0, 60000);
        step(g, EVENT_CREATED, 0, 60001);
        step(g, EVENT_STARTED, 0, 60002);
        step(g, EVENT_STOP, 0, 60003);
        step(g, EVENT_DEADLINE, 0, 60004); /* early: no news */
        step(g, EVENT_DEADLINE, 0, 64000);
        step(g, EVENT_EXITED, 137, 64001);
        step(g, EVENT_CLEANED, 0, 64002);
        step(g, EVENT_RELEASED, 0, 64003);
        step(g, EVENT_DELETE, 0, 64004);
        expect(g->history, reasons, ELEMENTSOF(reasons));
        cr_assert_str_eq(field(g->history, 4, "message"), "exit status 3");
        cr_assert_str_eq(field(g->history, 4, "type"), "Warning");
        cr_assert_str_eq(field(g->history, 4, "container"), "a");
        cr_assert_null(field(g->history, 3, "container"));
        cr_assert_str_eq(field(g->history, 8, "message"), "starts again in 10 s");
        cr_assert_str_eq(field(g->history, 11, "message"), "asked to end; killed in 3 s");
}

Test(history, a_failed_start_has_its_reason)
{
        static const char *const reasons[] = {"Pulled", "Failed", "Stopping"};
        _cleanup_(group_free_ptr) struct group *g = make_group();
        struct error e;

        step(g, EVENT_PREPARED, 0, 1);
        (void)error_set(&e, -EIO, "no such program");
        group_fail(g, &e);
        step(g, EVENT_CREATE_FAILED, 0, 2);
        expect(g->history, reasons, ELEMENTSOF(reasons));
        cr_assert_str_eq(field(g->history, 1, "message"), "no such program");
}

static void probe(struct group *g, enum probe_kind kind, bool failed, uint64_t now)
{
        struct machine before = g->machine;
        struct event event = {
                .type = EVENT_PROBED, .probe = kind, .failed = failed, .threshold = 2, .now_ms = now};
        struct effects effects;

        machine_step(&g->machine, &event, &effects);
        group_explain(g, &before, &event);
}

Test(history, probes_that_change_something)
{
        static const char *const reasons[] = {"Pulled", "Created",   "Started",   "Running",
                                              "Ready",  "Unhealthy", "Unhealthy", "Killing"};
        _cleanup_(group_free_ptr) struct group *g = make_group();

        step(g, EVENT_PREPARED, 0, 1);
        step(g, EVENT_CREATED, 0, 2);
        step(g, EVENT_STARTED, 0, 3);
        for (uint64_t now = 10; now < 14; now++)
                probe(g, PROBE_READINESS, false, now);
        for (uint64_t now = 20; now < 22; now++)
                probe(g, PROBE_READINESS, true, now);
        for (uint64_t now = 30; now < 32; now++)
                probe(g, PROBE_LIVENESS, true, now);
        expect(g->history, reasons, ELEMENTSOF(reasons));
}

/* What ended while nobody watched is told when the next daemon finds it. */
Test(history, a_recovery)
{
        static const char *const reasons[] = {"Pulled",  "Created",   "Started",
                                              "Running", "Recovered", "Error"};
        _cleanup_(group_free_ptr) struct group *g = make_group();
        struct container_fact fact = {.fact = FACT_EXITED, .status = 9};
        struct machine before;
        struct effects effects;

        step(g, EVENT_PREPARED, 0, 1);
        step(g, EVENT_CREATED, 0, 2);
        step(g, EVENT_STARTED, 0, 3);
        before = g->machine;
        machine_recover(&g->machine, &fact, false, 50, &effects);
        group_explain_recovery(g, &before, false, 50);
        expect(g->history, reasons, ELEMENTSOF(reasons));
}
