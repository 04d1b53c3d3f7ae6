/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/manager.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/file.h"
#include "runtime/group/internal.h"

#define GROUPS_MAX 1024u

enum waiter_type { WAIT_RUN, WAIT_ENDED, WAIT_GONE };

static uint64_t clock_of(clockid_t clock, uint64_t per_second)
{
        struct timespec ts;

        (void)clock_gettime(clock, &ts);
        return (uint64_t)ts.tv_sec * per_second + (uint64_t)ts.tv_nsec / (1000000000u / per_second);
}

uint64_t now_ms(void)
{
        return clock_of(CLOCK_BOOTTIME, 1000);
}

uint64_t now_us(void)
{
        return clock_of(CLOCK_REALTIME, 1000000);
}

void manager_say(struct manager *m, const char *format, ...)
{
        char message[1024];
        va_list ap;

        if (!m->options.log)
                return;
        va_start(ap, format);
        (void)vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        m->options.log(message);
}

/* --- groups --- */

struct group *group_new(struct manager *m, struct definition *d)
{
        struct group *g = calloc(1, sizeof(*g));

        if (!g)
                return NULL;
        g->containers = calloc(d->n_containers, sizeof(*g->containers));
        if (!g->containers) {
                free(g);
                return NULL;
        }
        g->manager = m;
        g->definition = d;
        for (size_t i = 0; i < d->n_containers; i++) {
                struct container *c = &g->containers[i];

                c->group = g;
                c->index = i;
                c->definition = &d->containers[i];
                c->pidfd = c->outputs[0].fd = c->outputs[1].fd = -EBADF;
        }
        return g;
}

struct group *group_free(struct group *g)
{
        if (!g)
                return NULL;
        for (size_t i = 0; i < g->definition->n_containers; i++)
                container_done(&g->containers[i]);
        (void)sd_event_source_disable_unref(g->timer);
        free(g->containers);
        free(g->waiters);
        free(g->reason);
        (void)sd_json_variant_unref(g->history);
        (void)definition_free(g->definition);
        free(g);
        return NULL;
}

static struct group *find(const struct manager *m, const char *name)
{
        for (size_t i = 0; i < m->n_groups; i++)
                if (strcmp(m->groups[i]->definition->name, name) == 0)
                        return m->groups[i];
        return NULL;
}

static int add(struct manager *m, struct group *g)
{
        struct group **bigger;

        bigger = (struct group **)reallocarray((void *)m->groups, m->n_groups + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        m->groups = bigger;
        m->groups[m->n_groups++] = g;
        return 0;
}

/* Takes the group and what is queued for it out of the manager. */
static void remove_group(struct manager *m, const struct group *g)
{
        size_t kept = 0;

        categories_release(m, g->categories);
        for (size_t i = 0; i < m->n_groups; i++)
                if (m->groups[i] == g)
                        m->groups[i] = m->groups[--m->n_groups];
        for (size_t i = 0; i < m->n_queue; i++)
                if (m->queue[i].group != g)
                        m->queue[kept++] = m->queue[i];
        m->n_queue = kept;
}

void group_fail(struct group *g, const struct error *e)
{
        manager_say(g->manager, "group \"%s\": %s", g->definition->name, e->message);
        if (!g->reason)
                g->reason = strdup(e->message);
}

/* --- waiting clients --- */

static int add_waiter(struct group *g, int type, manager_answer_t answer, void *userdata)
{
        struct waiter *bigger = reallocarray(g->waiters, g->n_waiters + 1, sizeof(*bigger));

        if (!bigger)
                return -ENOMEM;
        g->waiters = bigger;
        g->waiters[g->n_waiters++] = (struct waiter){.type = type, .answer = answer, .userdata = userdata};
        return 0;
}

/* 1: answer now, *ret has 0 or the error. A group that is gone answers everybody. */
static bool is_due(const struct group *g, int type, int *ret, struct error *e)
{
        const struct machine *m = &g->machine;
        bool ended = m->phase == GROUP_ENDED || m->phase == GROUP_GONE;

        *ret = 0;
        if (type == WAIT_RUN && m->has_run)
                return true;
        if (type == WAIT_RUN && ended)
                *ret = error_set(e, -ECANCELED, "%s", g->reason ?: "it was stopped before it ran");
        if (type == WAIT_GONE)
                return m->phase == GROUP_GONE;
        return ended;
}

void group_answer(struct group *g)
{
        for (size_t i = 0; i < g->n_waiters;) {
                struct waiter w = g->waiters[i];
                _cleanup_json_ sd_json_variant *view = NULL;
                struct error e;
                int r;

                if (!is_due(g, w.type, &r, &e)) {
                        i++;
                        continue;
                }
                g->waiters[i] = g->waiters[--g->n_waiters];
                if (r >= 0 && group_to_json(g, &view) < 0)
                        r = error_errno(&e, -ENOMEM, "answer");
                w.answer(w.userdata, r, &e, view);
        }
}

unsigned manager_cancel(struct manager *m, void *userdata)
{
        unsigned n = 0;

        for (size_t i = 0; i < m->n_groups; i++) {
                struct group *g = m->groups[i];

                for (size_t k = 0; k < g->n_waiters;)
                        if (g->waiters[k].userdata == userdata) {
                                g->waiters[k] = g->waiters[--g->n_waiters];
                                n++;
                        } else {
                                k++;
                        }
        }
        return n;
}

bool manager_has_selinux(const struct manager *m)
{
        return m->selinux;
}

bool manager_has_store(const struct manager *m)
{
        return m->store != NULL;
}

/* --- the queue --- */

static void enqueue(struct manager *m, const struct work *work)
{
        if (m->n_queue == m->room_queue) {
                size_t room = m->room_queue ? 2 * m->room_queue : 64;
                struct work *bigger = reallocarray(m->queue, room, sizeof(*bigger));

                if (!bigger) /* the group would stand still for ever: begin anew from the saved state */
                        abort();
                m->queue = bigger;
                m->room_queue = room;
        }
        m->queue[m->n_queue++] = *work;
        (void)sd_event_source_set_enabled(m->queue_source, SD_EVENT_ON);
}

void group_event(struct group *g, enum event_type type, size_t container, int status)
{
        struct work work = {.group = g,
                            .is_event = true,
                            .event = {.type = type, .container = container, .status = status}};

        enqueue(g->manager, &work);
}

void group_probed(struct container *c, enum probe_kind kind, bool failed, uint32_t threshold)
{
        struct work work = {.group = c->group,
                            .is_event = true,
                            .event = {.type = EVENT_PROBED,
                                      .container = c->index,
                                      .probe = kind,
                                      .failed = failed,
                                      .threshold = threshold}};

        enqueue(c->group->manager, &work);
}

static void enqueue_effects(struct group *g, const struct effects *effects)
{
        for (size_t i = 0; i < effects->n; i++) {
                struct work work = {.group = g, .effect = effects->list[i]};

                enqueue(g->manager, &work);
        }
}

/* For those who follow events: how the group went. */
static void keep_history(struct manager *m, const struct group *g)
{
        for (size_t i = 0; g->history && i < sd_json_variant_elements(g->history); i++)
                if (history_keep(&m->departed, sd_json_variant_by_index(g->history, i)) < 0)
                        manager_say(m, "group \"%s\": out of memory for its events", g->definition->name);
}

/* The last effect: the state goes last, so that a kill on the way is finished by the next start. */
static void forget(struct group *g)
{
        struct manager *m = g->manager;
        struct error e;

        if (group_remove_state(g, &e) < 0)
                manager_say(m, "%s", e.message);
        keep_history(m, g);
        remove_group(m, g);
        group_answer(g);
        (void)group_free(g);
}

/* Every failure but this one comes with a reason. */
static void explain_failure(struct group *g)
{
        const struct machine *m = &g->machine;
        struct error e;

        for (size_t i = 0; m->failed && !g->reason && i < m->n_init; i++) {
                if (!m->containers[i].has_exit || m->containers[i].exit_status == 0)
                        continue;
                (void)error_set(&e, -ECANCELED, "init container \"%s\": exit status 0 expected, found %d",
                                g->containers[i].definition->name, m->containers[i].exit_status);
                group_fail(g, &e);
        }
}

static void step(struct group *g, struct event *event)
{
        struct machine before = g->machine;
        struct effects effects;
        struct error e;

        event->now_ms = now_ms();
        machine_step(&g->machine, event, &effects);
        explain_failure(g);
        group_explain(g, &before, event);
        /* a result that changes nothing else has nothing that is saved */
        if ((event->type != EVENT_PROBED || effects.n > 0) && group_save(g, &e) < 0)
                manager_say(g->manager, "group \"%s\": %s", g->definition->name, e.message);
        enqueue_effects(g, &effects);
        if (g->machine.phase != GROUP_GONE) /* else when it really is */
                group_answer(g);
}

static int on_queue(sd_event_source *source, void *userdata)
{
        struct manager *m = userdata;
        struct work work;

        if (m->n_queue == 0)
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);
        work = m->queue[0];
        memmove(m->queue, m->queue + 1, --m->n_queue * sizeof(work));
        if (work.is_event)
                step(work.group, &work.event);
        else if (work.effect.type == EFFECT_FORGET)
                forget(work.group);
        else
                group_effect(work.group, &work.effect);
        return 0;
}

/* --- requests --- */

static int begin(struct manager *m, struct group *g, struct error *e)
{
        struct effects effects;
        uint32_t number;
        int r;

        r = categories_choose(m, g->categories, e);
        if (r < 0)
                return r;
        if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
                return error_errno(e, -EIO, "random name");
        (void)snprintf(g->interface, sizeof(g->interface), "hf-%08x", number);
        g->created_us = now_us();
        machine_begin(&g->machine, g->definition->policy, g->definition->n_init, g->definition->n_containers,
                      &effects);
        r = group_save(g, e);
        if (r < 0)
                return r;
        enqueue_effects(g, &effects);
        return 0;
}

int manager_run(struct manager *m, struct definition *d, manager_answer_t answer, void *userdata,
                struct error *e)
{
        struct group *g;
        int r;

        if (find(m, d->name))
                return error_set(e, -EEXIST, "group \"%s\" is there already", d->name);
        if (m->n_groups >= GROUPS_MAX)
                return error_set(e, -EDQUOT, "at most %u groups expected", GROUPS_MAX);
        g = group_new(m, d);
        if (!g)
                return -ENOMEM;
        r = group_check_type(g, e);
        if (r >= 0)
                r = group_find_images(g, e);
        if (r >= 0)
                r = add_waiter(g, WAIT_RUN, answer, userdata);
        if (r >= 0)
                r = add(m, g);
        if (r >= 0) {
                r = begin(m, g, e);
                if (r < 0)
                        remove_group(m, g);
        }
        if (r < 0) {
                (void)group_remove_state(g, NULL);
                g->definition = NULL; /* stays the caller's */
                for (size_t i = 0; i < d->n_containers; i++)
                        container_done(&g->containers[i]);
                free(g->containers);
                free(g->waiters);
                free(g);
        }
        return r;
}

static int request(struct manager *m, const char *name, int type, const struct event *event,
                   manager_answer_t answer, void *userdata, struct error *e)
{
        struct group *g = find(m, name);
        int r;

        if (!g)
                return error_set(e, -ENOENT, "group \"%s\": no such group", name);
        r = add_waiter(g, type, answer, userdata);
        if (r < 0)
                return r;
        if (event) {
                struct work work = {.group = g, .is_event = true, .event = *event};

                enqueue(m, &work);
        } else {
                group_answer(g);
        }
        return 0;
}

int manager_stop(struct manager *m, const char *name, uint64_t timeout_ms, manager_answer_t answer,
                 void *userdata, struct error *e)
{
        struct event event = {.type = EVENT_STOP, .timeout_ms = timeout_ms};

        return request(m, name, WAIT_ENDED, &event, answer, userdata, e);
}

int manager_delete(struct manager *m, const char *name, uint64_t timeout_ms, manager_answer_t answer,
                   void *userdata, struct error *e)
{
        struct event event = {.type = EVENT_DELETE, .timeout_ms = timeout_ms};

        return request(m, name, WAIT_GONE, &event, answer, userdata, e);
}

int manager_wait(struct manager *m, const char *name, manager_answer_t answer, void *userdata,
                 struct error *e)
{
        return request(m, name, WAIT_ENDED, NULL, answer, userdata, e);
}

int manager_list(struct manager *m, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        int r = sd_json_variant_new_array(&list, NULL, 0);

        for (size_t i = 0; r >= 0 && i < m->n_groups; i++) {
                _cleanup_json_ sd_json_variant *view = NULL;

                r = group_to_json(m->groups[i], &view);
                if (r >= 0)
                        r = sd_json_variant_append_array(&list, view);
        }
        if (r >= 0)
                *ret = TAKE_PTR(list);
        return r < 0 ? r : 0;
}

int manager_show(struct manager *m, const char *name, sd_json_variant **ret, struct error *e)
{
        const struct group *g = find(m, name);

        return g ? group_to_json(g, ret) : error_set(e, -ENOENT, "group \"%s\": no such group", name);
}

int manager_stats(struct manager *m, const char *name, sd_json_variant **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        int r = sd_json_variant_new_array(&list, NULL, 0);

        if (name && !find(m, name))
                return error_set(e, -ENOENT, "group \"%s\": no such group", name);
        for (size_t i = 0; r >= 0 && i < m->n_groups; i++)
                if (!name || strcmp(m->groups[i]->definition->name, name) == 0)
                        r = group_append_usage(m->groups[i], &list, e);
        if (r >= 0)
                *ret = TAKE_PTR(list);
        return r < 0 ? r : 0;
}

/* The container whose log is asked for, and where the log is. */
static int find_log(struct manager *m, const struct log_request *request, const struct container **ret,
                    char ret_path[static PATH_MAX], struct error *e)
{
        const char *name = request->container;
        const struct group *g = find(m, request->name);

        if (!g)
                return error_set(e, -ENOENT, "group \"%s\": no such group", request->name);
        for (size_t i = name ? 0 : g->definition->n_init; i < g->definition->n_containers; i++) {
                if (name && strcmp(g->definition->containers[i].name, name) != 0)
                        continue;
                *ret = &g->containers[i];
                log_path(g, (*ret)->definition->name, ret_path);
                return 0;
        }
        return error_set(e, -ENOENT, "group \"%s\" has no container \"%.64s\"", request->name, name);
}

int manager_seek_log(struct manager *m, const struct log_request *request, uint64_t lines,
                     struct log_position *position, struct error *e)
{
        const struct container *c;
        char path[PATH_MAX];
        int r = find_log(m, request, &c, path, e);

        if (r < 0)
                return r;
        r = log_seek_tail(path, lines, position);
        return r < 0 ? error_errno(e, r, "%s", path) : 0;
}

int manager_read_log(struct manager *m, const struct log_request *request, struct log_position *position,
                     size_t max, sd_json_variant **ret, bool *ret_over, struct error *e)
{
        struct log_filter filter = {.since_us = request->since_us};
        const struct container *c;
        enum group_phase phase;
        char path[PATH_MAX];
        int r = find_log(m, request, &c, path, e);

        if (r < 0)
                return r;
        if (request->previous)
                filter.until_us = c->started_us;
        r = log_read(path, position, &filter, max, ret);
        if (r < 0)
                return error_errno(e, r, "%s", path);
        phase = c->group->machine.phase;
        *ret_over = request->previous || phase == GROUP_ENDED || phase == GROUP_GONE;
        return 0;
}

int manager_read_events(struct manager *m, const char *name, uint64_t *position, size_t max,
                        sd_json_variant **ret, struct error *e)
{
        const struct group *g = name ? find(m, name) : NULL;
        _cleanup_free_ sd_json_variant **histories = NULL; /* borrowed */
        size_t n = 0;

        if (name && !g)
                return error_set(e, -ENOENT, "group \"%s\": no such group", name);
        histories = (sd_json_variant **)calloc(m->n_groups + 1, sizeof(*histories));
        if (!histories)
                return -ENOMEM;
        if (g) {
                histories[n++] = g->history;
        } else {
                histories[n++] = m->departed;
                for (size_t i = 0; i < m->n_groups; i++)
                        histories[n++] = m->groups[i]->history;
        }
        return history_read(histories, n, position, max, ret);
}

/* --- start --- */

/* A damaged record must not keep the machine from serving: it is set aside. What it described is removed as
 * unused. */
static void load_one(struct manager *m, const char *name, bool *rebooted)
{
        _cleanup_(group_free_ptr) struct group *g = NULL;
        char from[PATH_MAX], to[PATH_MAX];
        struct error e = {"out of memory"};

        if (group_load(m, name, &g, rebooted, &e) >= 0 && add(m, g) >= 0) {
                (void)TAKE_PTR(g);
                return;
        }
        manager_say(m, "group \"%s\" is set aside: %s", name, e.message);
        (void)snprintf(from, sizeof(from), "%s/groups/%s", m->options.state, name);
        (void)snprintf(to, sizeof(to), "%s/damaged/%s.%lu", m->options.state, name, (unsigned long)now_us());
        if (rename(from, to) < 0)
                manager_say(m, "%s could not be set aside: errno %d", from, errno);
}

static void recover(struct group *g, bool rebooted)
{
        struct container_fact facts[GROUP_CONTAINERS_MAX] = {};
        struct machine before = g->machine;
        struct effects effects;
        uint64_t now = now_ms();
        struct error e;

        for (size_t i = 0; i < g->machine.n; i++)
                facts[i] = container_look(&g->containers[i]);
        machine_recover(&g->machine, facts, rebooted, now, &effects);
        group_explain_recovery(g, &before, rebooted, now);
        if (group_save(g, &e) < 0)
                manager_say(g->manager, "group \"%s\": %s", g->definition->name, e.message);
        for (size_t i = 0; i < g->machine.n; i++)
                if (facts[i].fact == FACT_ALIVE && container_watch(&g->containers[i]) < 0)
                        manager_say(g->manager, "container \"%s\" cannot be watched",
                                    g->containers[i].definition->name);
        enqueue_effects(g, &effects);
}

/* Layers are counted for every group before those that nobody counts are taken away. */
static void hold_layers(struct group *g)
{
        enum group_phase phase = g->machine.phase;
        struct error e = {"out of memory"};

        if (phase != GROUP_STARTING && phase != GROUP_RUNNING && phase != GROUP_STOPPING)
                return;
        if (group_acquire_layers(g, &e) < 0)
                manager_say(g->manager, "group \"%s\": %s", g->definition->name, e.message);
}

static int load_all(struct manager *m, struct error *e)
{
        bool rebooted[GROUPS_MAX] = {};
        _cleanup_closedir_ DIR *dir = NULL;
        char path[PATH_MAX];
        int r;

        (void)snprintf(path, sizeof(path), "%s/damaged", m->options.state);
        r = make_directories(path, 0700, e);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), "%s/groups", m->options.state);
        r = make_directories(path, 0700, e);
        if (r < 0)
                return r;
        dir = opendir(path);
        if (!dir)
                return error_errno(e, -errno, "%s", path);
        for (struct dirent *d; m->n_groups < GROUPS_MAX && (d = readdir(dir));)
                if (definition_name_valid(d->d_name))
                        load_one(m, d->d_name, &rebooted[m->n_groups]);
        manager_remove_strays(m);
        output_take_over(m);
        for (size_t i = 0; i < m->n_groups; i++)
                hold_layers(m->groups[i]);
        for (size_t i = 0; i < m->n_groups; i++)
                recover(m->groups[i], rebooted[i]);
        return 0;
}

static int open_store(struct manager *m, struct error *e)
{
        char path[PATH_MAX];
        int r;

        r = trust_store_open(AT_FDCWD, m->options.trust, &m->trust, e);
        if (r < 0)
                return r;
        if (snprintf(path, sizeof(path), "%s/store", m->options.run) >= (int)sizeof(path))
                return error_errno(e, -ENAMETOOLONG, "%s", m->options.run);
        r = store_mount(path, m->trust, m->selinux, e);
        return r > 0 ? store_open(AT_FDCWD, path, &m->store, e) : r;
}

void manager_find_store(struct manager *m)
{
        struct error *e = &m->store_error;

        (void)error_set(e, 0, "out of memory");
        m->store_status = open_store(m, e);
        if (m->store_status >= 0)
                return;
        (void)error_prefix(e, m->store_status, "the image store could not be opened");
        manager_say(m, "%s", e->message);
}

int manager_new(sd_event *event, const struct manager_options *options, struct manager **ret, struct error *e)
{
        _cleanup_(manager_free_ptr) struct manager *m = calloc(1, sizeof(*m));
        struct error devices_error = {"out of memory"};
        struct layer_driver driver;
        char path[PATH_MAX];
        int r;

        if (!m)
                return -ENOMEM;
        m->event = sd_event_ref(event);
        m->options = *options;
        m->selinux = file_exists(AT_FDCWD, "/sys/fs/selinux/enforce") > 0;
        r = sd_event_add_defer(event, &m->queue_source, on_queue, m);
        if (r < 0)
                return error_errno(e, r, "event loop");
        r = cgroup_find(&m->cgroup, e);
        if (r < 0)
                return r;
        cgroup_end_strays();
        r = layer_devices_collect(&devices_error);
        if (r < 0)
                manager_say(m, "%s", devices_error.message);
        manager_find_store(m);
        m->layer_options = (struct layer_verity_options){.store = m->store, .selinux = m->selinux};
        driver = layer_driver_verity(&m->layer_options);
        (void)snprintf(path, sizeof(path), "%s/layers", options->run);
        r = layers_new(path, &driver, &m->layers, e);
        if (r >= 0)
                r = load_all(m, e);
        if (r < 0)
                return r;
        r = layers_collect(m->layers, e);
        if (r < 0)
                manager_say(m, "%s", e->message);
        *ret = TAKE_PTR(m);
        return 0;
}

struct manager *manager_free(struct manager *m)
{
        if (!m)
                return NULL;
        for (size_t i = 0; i < m->n_groups; i++)
                (void)group_free(m->groups[i]);
        free((void *)m->groups);
        (void)sd_json_variant_unref(m->departed);
        free(m->queue);
        (void)sd_event_source_disable_unref(m->queue_source);
        (void)layers_free(m->layers);
        (void)mcs_free(m->mcs);
        (void)store_free(m->store);
        (void)trust_store_free(m->trust);
        (void)sd_event_unref(m->event);
        free(m->cgroup);
        free(m);
        return NULL;
}
