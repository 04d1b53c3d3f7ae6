/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A group's record: what is saved is what is loaded, and a damaged one is refused as a whole. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/group/internal.h"

static char directory[] = "/tmp/test-state-XXXXXX", path[128];
static struct manager manager;

static const char definition_text[] =
        "name: g\nproperties:\n  restartPolicy: OnFailure\n"
        "  securityContext: {seLinuxOptions: {type: web_t}}\n  containers:\n"
        "  - {name: a, properties: {image: i, resources: {requests: {cpu: 0.3, memoryInGB: 0.1}}}}\n"
        "  - {name: b, properties: {image: j, resources: {requests: {cpu: 1, memoryInGB: 1}}}}\n";

static struct group *make_group(void)
{
        struct definition *d = NULL;
        struct group *g;

        cr_assert_eq(definition_parse("f", definition_text, strlen(definition_text), &d, NULL), 0);
        g = group_new(&manager, d);
        g->machine = (struct machine){.n = 2,
                                      .policy = RESTART_ON_FAILURE,
                                      .phase = GROUP_STOPPING,
                                      .want = WANT_DELETE,
                                      .has_run = true,
                                      .stop_timeout_ms = 1234};
        g->machine.containers[0] = (struct machine_container){.phase = CONTAINER_STOPPING,
                                                              .has_exit = true,
                                                              .exit_status = 137,
                                                              .restarts = 5,
                                                              .backoff = 2,
                                                              .started_ms = 77,
                                                              .deadline_ms = 88};
        g->machine.containers[1] = (struct machine_container){.phase = CONTAINER_CLEANING, .again = true};
        g->categories[0] = 3;
        g->categories[1] = 1023;
        g->address.s_addr = htonl(0x0a0002fe);
        (void)strcpy(g->interface, "hf-00c0ffee");
        g->created_us = 1700000000000001;
        g->reason = strdup("because \"it\" is so");
        g->containers[0].pid = 4321;
        g->containers[0].pid_start = 987654321;
        (void)strcpy(g->containers[0].image_digest, "sha256:00");
        g->containers[0].started_us = 11;
        g->containers[1].out_of_memory = true;
        g->containers[0].previous = (struct ended_run){
                .exit_status = 9, .out_of_memory = true, .started_us = 1000000, .finished_us = 2000000};
        return g;
}

static void begin(void)
{
        cr_assert_not_null(mkdtemp(directory));
        manager.options = (struct manager_options){.run = directory, .state = directory};
        (void)snprintf(path, sizeof(path), "%s/groups/g/state.json", directory);
}

static void end(void)
{
        cr_assert_eq(remove_tree(directory, NULL), 0);
}

TestSuite(state, .init = begin, .fini = end);

static char *save(void)
{
        _cleanup_(group_free_ptr) struct group *g = make_group();
        struct error e = {};
        char *text = NULL;

        cr_assert_eq(group_save(g, &e), 0, "%s", e.message);
        cr_assert_eq(read_file(AT_FDCWD, path, 1 << 20, &text, NULL, &e), 0);
        return text;
}

Test(state, saved_and_loaded)
{
        _cleanup_free_ char *text = save(), *again = NULL;
        _cleanup_(group_free_ptr) struct group *g = NULL;
        struct error e = {};
        bool rebooted = true;

        cr_assert_eq(group_load(&manager, "g", &g, &rebooted, &e), 0, "%s", e.message);
        cr_assert(!rebooted);
        cr_assert_str_eq(g->definition->selinux_type, "web_t");
        cr_assert_eq(g->machine.want, WANT_DELETE);
        cr_assert_eq(g->machine.containers[0].deadline_ms, 88);
        cr_assert(g->machine.containers[1].again);
        cr_assert_eq(g->containers[0].pid, 4321);
        cr_assert_eq(g->containers[0].previous.exit_status, 9);
        cr_assert_eq(g->containers[1].previous.finished_us, 0);
        cr_assert_eq(group_save(g, &e), 0);
        cr_assert_eq(read_file(AT_FDCWD, path, 1 << 20, &again, NULL, &e), 0);
        cr_assert_str_eq(text, again);
        cr_assert_eq(group_remove_state(g, &e), 0, "%s", e.message);
        cr_assert_eq(file_exists(AT_FDCWD, path), 0);
}

/* Init containers are shown apart, and the others say what they wait for. */
Test(state, init_containers_in_the_view)
{
        static const char text[] =
                "name: g\nproperties:\n  initContainers: [{name: a, properties: {image: i}}]\n  containers:\n"
                "  - {name: b, properties: {image: i, resources: {requests: {cpu: 1, memoryInGB: 1}}}}\n";
        _cleanup_(group_free_ptr) struct group *g = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        struct definition *d = NULL;
        sd_json_variant *init, *container;
        struct effects effects;

        cr_assert_eq(definition_parse("f", text, strlen(text), &d, NULL), 0);
        g = group_new(&manager, d);
        machine_begin(&g->machine, RESTART_ALWAYS, d->n_init, d->n_containers, &effects);
        machine_step(&g->machine, &(struct event){.type = EVENT_PREPARED}, &effects);
        cr_assert_geq(group_to_json(g, &v), 0);
        init = sd_json_variant_by_index(sd_json_variant_by_key(v, "initContainers"), 0);
        container = sd_json_variant_by_index(sd_json_variant_by_key(v, "containers"), 0);
        cr_assert_str_eq(sd_json_variant_string(sd_json_variant_by_key(init, "name")), "a");
        cr_assert_str_eq(sd_json_variant_string(sd_json_variant_by_key(container, "name")), "b");
        cr_assert_str_eq(sd_json_variant_string(sd_json_variant_by_key(container, "state")), "Waiting");
        cr_assert_str_eq(sd_json_variant_string(sd_json_variant_by_key(container, "reason")),
                         "PodInitializing");
        cr_assert_null(sd_json_variant_by_key(init, "reason"));
}

Test(state, the_run_before_in_the_view)
{
        _cleanup_(group_free_ptr) struct group *g = make_group();
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *list, *previous;

        cr_assert_geq(group_to_json(g, &v), 0);
        list = sd_json_variant_by_key(v, "containers");
        previous = sd_json_variant_by_key(sd_json_variant_by_index(list, 0), "previousState");
        cr_assert_geq(sd_json_variant_format(previous, 0, &text), 0);
        cr_assert_str_eq(text,
                         "{\"state\":\"Terminated\",\"exitCode\":9,\"reason\":\"OOMKilled\",\"startTime\":"
                         "\"1970-01-01T00:00:01.000000Z\",\"finishTime\":\"1970-01-01T00:00:02.000000Z\"}");
        cr_assert_null(sd_json_variant_by_key(sd_json_variant_by_index(list, 1), "previousState"));
}

/* A group does not start with less protection than it names. */
Test(state, a_type_without_selinux)
{
        _cleanup_(group_free_ptr) struct group *g = make_group();
        struct error e = {};

        cr_assert_eq(group_check_type(g, &e), -EINVAL);
        cr_assert_str_eq(e.message, "properties.securityContext.seLinuxOptions.type: a machine with SELinux "
                                    "expected, found none");
}

/* No store disk is one thing, one that was refused another: its reason is the answer to every run. */
Test(state, why_there_is_no_store)
{
        _cleanup_(group_free_ptr) struct group *g = make_group();
        struct error e = {};

        cr_assert_eq(group_find_images(g, &e), -ENOENT);
        cr_assert_str_eq(e.message, "image \"i\": this machine has no image store");
        manager.store_status = error_set(&manager.store_error, -EKEYREJECTED, "signature refused");
        cr_assert_eq(group_find_images(g, &e), -EKEYREJECTED);
        cr_assert_str_eq(e.message, "image \"i\": signature refused");
}

Test(state, a_store_that_cannot_be_opened)
{
        _cleanup_(group_free_ptr) struct group *g = make_group();
        struct error e = {};

        manager.options.trust = "/nonexistent";
        manager_find_store(&manager);
        cr_assert_null(manager.store);
        cr_assert_lt(manager.store_status, 0);
        cr_assert_eq(group_find_images(g, &e), manager.store_status);
        cr_assert_not_null(strstr(e.message, "image \"i\": the image store could not be opened: "), "%s",
                           e.message);
        cr_assert_not_null(strstr(e.message, "/nonexistent"), "%s", e.message);
}

struct damage {
        char from[64], to[64];
};

static struct damage damages[] = {
        {"\"version\":1", "\"version\":2"},
        {"\"version\":1", "\"version\":-1"},
        {"\"name\":\"g\"", "\"name\":\"h\""},
        {"\"name\":\"g\"", "\"name\":\"../g\""},
        {"\"phase\":\"stopping\",\"want\"", "\"phase\":\"stopped\",\"want\""},
        {"\"want\":\"delete\"", "\"want\":\"\""},
        {"\"want\":\"delete\"", "\"want\":3"},
        {"\"hasRun\":true", "\"hasRun\":1"},
        {"\"hasRun\":true,", ""},
        {"\"categories\":[3,1023]", "\"categories\":[3]"},
        {"\"categories\":[3,1023]", "\"categories\":[3,1024]"},
        {"\"categories\":[3,1023]", "\"categories\":[\"3\",9]"},
        {"\"address\":\"10.0.2.254\"", "\"address\":\"10.0.2\""},
        {"\"interface\":\"hf-00c0ffee\"", "\"interface\":\"hf-00c0ffee-and-more\""},
        {"\"interface\":\"hf-00c0ffee\"", "\"interface\":\"eth0\""},
        {"\"exitStatus\":137", "\"exitStatus\":256"},
        {"\"exitStatus\":137", "\"exitStatus\":-1"},
        {"\"pid\":4321", "\"pid\":99999999999"},
        {"\"pid\":4321", "\"pid\":-4321"},
        {"\"phase\":\"cleaning\"", "\"phase\":\"dancing\""},
        {"\"name\":\"b\",\"phase\"", "\"name\":\"a\",\"phase\""},
        {"\"imageDigest\":\"\"", "\"imageDigest\":7"},
        {"\"previous\":{\"exitStatus\":9", "\"previous\":{\"exitStatus\":-9"},
        {"\"bootId\":\"", "\"bootIt\":\""},
        {"{\"version\"", "[\"version\""},
};

ParameterizedTestParameters(state, damaged)
{
        return cr_make_param_array(struct damage, damages, ELEMENTSOF(damages));
}

ParameterizedTest(struct damage *d, state, damaged)
{
        _cleanup_free_ char *text = save(), *damaged = NULL;
        _cleanup_(group_free_ptr) struct group *g = NULL;
        struct error e = {};
        const char *at = strstr(text, d->from);
        bool rebooted;

        cr_assert_not_null(at, "%s is not in %s", d->from, text);
        cr_assert_geq(asprintf(&damaged, "%.*s%s%s", (int)(at - text), text, d->to, at + strlen(d->from)), 0);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, damaged, strlen(damaged), 0600, &e), 0);
        cr_assert_lt(group_load(&manager, "g", &g, &rebooted, &e), 0, "accepted: %s", d->to);
        cr_assert_null(g);
}

/* Cut off at any byte, as by a disk that lost its end. */
Test(state, truncated)
{
        _cleanup_free_ char *text = save();

        for (size_t n = 0; n < strlen(text) - 2; n += 7) {
                struct group *g = NULL;
                bool rebooted;

                cr_assert_eq(write_file_atomic(AT_FDCWD, path, text, n, 0600, NULL), 0);
                cr_assert_lt(group_load(&manager, "g", &g, &rebooted, NULL), 0);
                cr_assert_null(g);
        }
}

Test(state, of_another_boot)
{
        _cleanup_free_ char *text = save();
        _cleanup_(group_free_ptr) struct group *g = NULL;
        char *id = strstr(text, "\"bootId\":\"") + strlen("\"bootId\":\"");
        bool rebooted = false;

        id[0] = id[0] == '0' ? '1' : '0';
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
        cr_assert_eq(group_load(&manager, "g", &g, &rebooted, NULL), 0);
        cr_assert(rebooted);
}

Test(state, categories_are_unique)
{
        struct group *groups[3];
        unsigned pair[2];

        manager.groups = groups;
        for (manager.n_groups = 0; manager.n_groups < 3; manager.n_groups++) {
                groups[manager.n_groups] = make_group();
                cr_assert_eq(categories_choose(&manager, pair, NULL), 0);
                cr_assert_lt(pair[0], pair[1]);
                for (size_t i = 0; i < manager.n_groups; i++)
                        cr_assert(groups[i]->categories[0] != pair[0] || groups[i]->categories[1] != pair[1]);
                memcpy(groups[manager.n_groups]->categories, pair, sizeof(pair));
        }
        /* What the records hold is not given again after a restart. */
        manager.mcs = mcs_free(manager.mcs);
        cr_assert_eq(categories_choose(&manager, pair, NULL), 0);
        for (size_t i = 0; i < 3; i++)
                cr_assert(groups[i]->categories[0] != pair[0] || groups[i]->categories[1] != pair[1]);
        manager.mcs = mcs_free(manager.mcs);
        for (size_t i = 0; i < 3; i++)
                (void)group_free(groups[i]);
}
