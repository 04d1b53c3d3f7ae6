/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A group's record on disk, and its view in the API. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "base/file.h"
#include "runtime/group/internal.h"

#define VERSION 1u
#define STATE_SIZE_MAX (4u << 20)

static const char *const wants[] = {[WANT_RUN] = "run", [WANT_STOP] = "stop", [WANT_DELETE] = "delete"};

void group_state_directory(const struct group *g, char ret[static PATH_MAX])
{
        (void)snprintf(ret, PATH_MAX, "%s/groups/%s", g->manager->options.state, g->definition->name);
}

static int boot_id(char ret[static SD_ID128_STRING_MAX])
{
        sd_id128_t id;
        int r = sd_id128_get_boot(&id);

        if (r >= 0)
                (void)sd_id128_to_string(id, ret);
        return r;
}

/* --- writing --- */

static int previous_record(const struct ended_run *run, sd_json_variant **ret)
{
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("exitStatus", (unsigned)run->exit_status),
                              SD_JSON_BUILD_PAIR_BOOLEAN("outOfMemory", run->out_of_memory),
                              SD_JSON_BUILD_PAIR_UNSIGNED("startTime", run->started_us),
                              SD_JSON_BUILD_PAIR_UNSIGNED("finishTime", run->finished_us));
}

static int container_record(const struct container *c, sd_json_variant **ret)
{
        const struct machine_container *m = &c->group->machine.containers[c->index];
        _cleanup_json_ sd_json_variant *previous = NULL;
        int r = c->previous.finished_us > 0 ? previous_record(&c->previous, &previous) : 0;

        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("name", c->definition->name),
                SD_JSON_BUILD_PAIR_STRING("phase", container_phase_name(m->phase)),
                SD_JSON_BUILD_PAIR_BOOLEAN("hasExit", m->has_exit),
                SD_JSON_BUILD_PAIR_UNSIGNED("exitStatus", (unsigned)m->exit_status),
                SD_JSON_BUILD_PAIR_UNSIGNED("restarts", m->restarts),
                SD_JSON_BUILD_PAIR_UNSIGNED("backoff", m->backoff),
                SD_JSON_BUILD_PAIR_UNSIGNED("startedMs", m->started_ms),
                SD_JSON_BUILD_PAIR_UNSIGNED("deadlineMs", m->deadline_ms),
                SD_JSON_BUILD_PAIR_BOOLEAN("again", m->again),
                SD_JSON_BUILD_PAIR_STRING("imageDigest", c->image_digest),
                SD_JSON_BUILD_PAIR_UNSIGNED("pid", (unsigned)c->pid),
                SD_JSON_BUILD_PAIR_UNSIGNED("pidStart", c->pid_start),
                SD_JSON_BUILD_PAIR_UNSIGNED("startTime", c->started_us),
                SD_JSON_BUILD_PAIR_UNSIGNED("finishTime", c->finished_us),
                SD_JSON_BUILD_PAIR_BOOLEAN("outOfMemory", c->out_of_memory),
                SD_JSON_BUILD_PAIR_CONDITION(!!previous, "previous", SD_JSON_BUILD_VARIANT(previous)));
}

static int group_record(const struct group *g, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *containers = NULL, *definition = NULL;
        char boot[SD_ID128_STRING_MAX], address[INET_ADDRSTRLEN];
        const struct machine *m = &g->machine;
        int r;

        r = boot_id(boot);
        if (r >= 0)
                r = definition_to_json(g->definition, &definition);
        for (size_t i = 0; r >= 0 && i < m->n; i++) {
                _cleanup_json_ sd_json_variant *c = NULL;

                r = container_record(&g->containers[i], &c);
                if (r >= 0)
                        r = sd_json_variant_append_array(&containers, c);
        }
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_UNSIGNED("version", VERSION),
                SD_JSON_BUILD_PAIR_STRING("bootId", boot),
                SD_JSON_BUILD_PAIR_VARIANT("definition", definition),
                SD_JSON_BUILD_PAIR_STRING("phase", group_phase_name(m->phase)),
                SD_JSON_BUILD_PAIR_STRING("want", wants[m->want]),
                SD_JSON_BUILD_PAIR_BOOLEAN("hasRun", m->has_run),
                SD_JSON_BUILD_PAIR_BOOLEAN("failed", m->failed),
                SD_JSON_BUILD_PAIR_UNSIGNED("stopTimeoutMs", m->stop_timeout_ms),
                SD_JSON_BUILD_PAIR_ARRAY("categories", SD_JSON_BUILD_UNSIGNED(g->categories[0]),
                                         SD_JSON_BUILD_UNSIGNED(g->categories[1])),
                SD_JSON_BUILD_PAIR_STRING("address",
                                          inet_ntop(AF_INET, &g->address, address, sizeof(address))),
                SD_JSON_BUILD_PAIR_STRING("interface", g->interface),
                SD_JSON_BUILD_PAIR_UNSIGNED("created", g->created_us),
                SD_JSON_BUILD_PAIR_STRING("reason", g->reason ?: ""),
                SD_JSON_BUILD_PAIR_CONDITION(!!g->history, "events", SD_JSON_BUILD_VARIANT(g->history)),
                SD_JSON_BUILD_PAIR_VARIANT("containers", containers));
}

int group_save(struct group *g, struct error *e)
{
        _cleanup_json_ sd_json_variant *record = NULL;
        _cleanup_free_ char *text = NULL;
        char directory[PATH_MAX], path[PATH_MAX];
        int r;

        r = group_record(g, &record);
        if (r >= 0)
                r = sd_json_variant_format(record, SD_JSON_FORMAT_NEWLINE, &text);
        if (r < 0)
                return error_errno(e, r, "state of group \"%s\"", g->definition->name);
        group_state_directory(g, directory);
        if (snprintf(path, sizeof(path), "%s/logs", directory) >= (int)sizeof(path))
                return -ENAMETOOLONG;
        r = make_directories(path, 0700, e);
        if (r < 0)
                return r;
        if (snprintf(path, sizeof(path), "%s/state.json", directory) >= (int)sizeof(path))
                return -ENAMETOOLONG;
        return write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600, e);
}

/* The record last: with it there, the next start finishes what this one did not. */
int group_remove_state(struct group *g, struct error *e)
{
        char directory[PATH_MAX], path[PATH_MAX];
        int r;

        group_state_directory(g, directory);
        if (snprintf(path, sizeof(path), "%s/logs", directory) >= (int)sizeof(path))
                return -ENAMETOOLONG;
        r = remove_tree(path, e);
        return r < 0 ? r : remove_tree(directory, e);
}

/* --- reading --- */

struct loader {
        const char *name; /* for messages */
        struct error *e;
};

static int get_string(const struct loader *l, sd_json_variant *v, const char *field, const char **ret)
{
        return json_string(v, l->name, field, ret, l->e);
}

static int get_number(const struct loader *l, sd_json_variant *v, const char *field, uint64_t max,
                      uint64_t *ret)
{
        return json_unsigned(v, l->name, field, max, ret, l->e);
}

static int get_boolean(const struct loader *l, sd_json_variant *v, const char *field, bool *ret)
{
        sd_json_variant *b = sd_json_variant_by_key(v, field);

        if (!b || !sd_json_variant_is_boolean(b))
                return error_set(l->e, -EINVAL, "%s: field \"%s\": true or false expected", l->name, field);
        *ret = sd_json_variant_boolean(b);
        return 0;
}

/* Absent where no run has ended before the present one. */
static int load_previous(const struct loader *l, sd_json_variant *container, struct ended_run *run)
{
        sd_json_variant *v = sd_json_variant_by_key(container, "previous");
        uint64_t status = 0;
        int r;

        if (!v)
                return 0;
        r = get_number(l, v, "exitStatus", 255, &status);
        if (r >= 0)
                r = get_boolean(l, v, "outOfMemory", &run->out_of_memory);
        if (r >= 0)
                r = get_number(l, v, "startTime", UINT64_MAX, &run->started_us);
        if (r >= 0)
                r = get_number(l, v, "finishTime", UINT64_MAX, &run->finished_us);
        run->exit_status = (int)status;
        return r;
}

static int load_container(const struct loader *l, sd_json_variant *v, struct container *c)
{
        struct machine_container *m = &c->group->machine.containers[c->index];
        uint64_t status = 0, restarts = 0, backoff = 0, pid = 0;
        const char *name, *phase, *digest;
        int r;

        r = get_string(l, v, "name", &name);
        if (r >= 0)
                r = get_string(l, v, "phase", &phase);
        if (r >= 0)
                r = get_string(l, v, "imageDigest", &digest);
        if (r < 0)
                return r;
        if (strcmp(name, c->definition->name) != 0 || container_phase_from_name(phase, &m->phase) < 0 ||
            strlen(digest) >= sizeof(c->image_digest))
                return error_set(l->e, -EINVAL, "%s: container \"%s\" expected, found another or a bad field",
                                 l->name, c->definition->name);
        (void)strcpy(c->image_digest, digest); /* NOLINT: the length was checked */
        r = get_boolean(l, v, "hasExit", &m->has_exit);
        if (r >= 0)
                r = get_boolean(l, v, "again", &m->again);
        if (r >= 0)
                r = get_boolean(l, v, "outOfMemory", &c->out_of_memory);
        if (r >= 0)
                r = get_number(l, v, "exitStatus", 255, &status);
        if (r >= 0)
                r = get_number(l, v, "restarts", UINT32_MAX, &restarts);
        if (r >= 0)
                r = get_number(l, v, "backoff", UINT32_MAX, &backoff);
        if (r >= 0)
                r = get_number(l, v, "startedMs", UINT64_MAX, &m->started_ms);
        if (r >= 0)
                r = get_number(l, v, "deadlineMs", UINT64_MAX / 1000, &m->deadline_ms);
        if (r >= 0)
                r = get_number(l, v, "pid", INT32_MAX, &pid);
        if (r >= 0)
                r = get_number(l, v, "pidStart", UINT64_MAX, &c->pid_start);
        if (r >= 0)
                r = get_number(l, v, "startTime", UINT64_MAX, &c->started_us);
        if (r >= 0)
                r = get_number(l, v, "finishTime", UINT64_MAX, &c->finished_us);
        if (r >= 0)
                r = load_previous(l, v, &c->previous);
        m->exit_status = (int)status;
        m->restarts = (uint32_t)restarts;
        m->backoff = (uint32_t)backoff;
        c->pid = (pid_t)pid;
        return r;
}

static int load_machine(const struct loader *l, sd_json_variant *v, struct group *g)
{
        struct machine *m = &g->machine;
        const char *phase, *want;
        size_t i;
        int r;

        m->n_init = g->definition->n_init;
        m->n = g->definition->n_containers;
        m->policy = g->definition->policy;
        r = get_string(l, v, "phase", &phase);
        if (r >= 0)
                r = get_string(l, v, "want", &want);
        if (r >= 0)
                r = get_boolean(l, v, "hasRun", &m->has_run);
        if (r >= 0)
                r = get_boolean(l, v, "failed", &m->failed);
        if (r >= 0)
                r = get_number(l, v, "stopTimeoutMs", UINT64_MAX / 1000, &m->stop_timeout_ms);
        if (r < 0)
                return r;
        for (i = 0; i < ELEMENTSOF(wants) && strcmp(wants[i], want) != 0; i++)
                ;
        if (i == ELEMENTSOF(wants) || group_phase_from_name(phase, &m->phase) < 0)
                return error_set(l->e, -EINVAL, "%s: unknown phase \"%.32s\" or want \"%.32s\"", l->name,
                                 phase, want);
        m->want = (enum group_want)i;
        return 0;
}

static int load_categories(const struct loader *l, sd_json_variant *list, struct group *g)
{
        for (size_t i = 0; i < ELEMENTSOF(g->categories); i++) {
                sd_json_variant *v = sd_json_variant_by_index(list, i);

                if (sd_json_variant_elements(list) != ELEMENTSOF(g->categories) ||
                    !sd_json_variant_is_unsigned(v) || sd_json_variant_unsigned(v) >= MCS_CATEGORIES)
                        return error_set(l->e, -EINVAL,
                                         "%s: field \"categories\": two numbers below %u expected", l->name,
                                         MCS_CATEGORIES);
                g->categories[i] = (unsigned)sd_json_variant_unsigned(v);
        }
        return 0;
}

static int load_rest(const struct loader *l, sd_json_variant *v, struct group *g)
{
        sd_json_variant *categories = NULL, *containers = NULL;
        const char *address, *interface, *reason;
        int r;

        r = get_string(l, v, "address", &address);
        if (r >= 0)
                r = get_string(l, v, "interface", &interface);
        if (r >= 0)
                r = get_string(l, v, "reason", &reason);
        if (r >= 0)
                r = get_number(l, v, "created", UINT64_MAX, &g->created_us);
        if (r >= 0)
                r = json_array(v, l->name, "categories", &categories, l->e);
        if (r >= 0)
                r = json_array(v, l->name, "containers", &containers, l->e);
        if (r < 0)
                return r;
        if (inet_pton(AF_INET, address, &g->address) != 1 || strncmp(interface, "hf-", 3) != 0 ||
            strlen(interface) >= sizeof(g->interface) || sd_json_variant_elements(containers) != g->machine.n)
                return error_set(l->e, -EINVAL, "%s: a bad address, interface, or number of containers",
                                 l->name);
        (void)strcpy(g->interface, interface); /* NOLINT: the length was checked */
        r = load_categories(l, categories, g);
        if (r < 0)
                return r;
        if (reason[0]) {
                g->reason = strdup(reason);
                if (!g->reason)
                        return -ENOMEM;
        }
        for (size_t i = 0; r >= 0 && i < g->machine.n; i++)
                r = load_container(l, sd_json_variant_by_index(containers, i), &g->containers[i]);
        return r;
}

/* Records of before there were events have none. */
static int load_history(const struct loader *l, sd_json_variant *record, struct group *g)
{
        sd_json_variant *history = sd_json_variant_by_key(record, "events");
        uint64_t last = 0;
        int r = history ? history_check(history, l->name, &last, l->e) : 0;

        if (r < 0)
                return r;
        if (g->manager->event_number < last)
                g->manager->event_number = last;
        g->history = sd_json_variant_ref(history);
        return 0;
}

static int read_record(const struct manager *m, const char *name, sd_json_variant **ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        uint64_t version;
        int r;

        if (snprintf(path, sizeof(path), "%s/groups/%s/state.json", m->options.state, name) >=
            (int)sizeof(path))
                return -ENAMETOOLONG;
        r = read_file(AT_FDCWD, path, STATE_SIZE_MAX, &text, NULL, e);
        if (r >= 0)
                r = json_parse(path, text, ret, e);
        if (r >= 0)
                r = json_unsigned(*ret, path, "version", UINT64_MAX, &version, e);
        if (r >= 0 && version != VERSION)
                r = error_set(e, -EPROTONOSUPPORT, "%s: version %u expected, found %lu", path, VERSION,
                              version);
        return r;
}

int group_load(struct manager *m, const char *name, struct group **ret, bool *ret_rebooted, struct error *e)
{
        _cleanup_json_ sd_json_variant *record = NULL;
        _cleanup_(definition_free_ptr) struct definition *d = NULL;
        _cleanup_(group_free_ptr) struct group *g = NULL;
        struct loader l = {.name = "state.json", .e = e};
        sd_json_variant *definition = NULL;
        char boot[SD_ID128_STRING_MAX];
        const char *saved_boot;
        int r;

        r = read_record(m, name, &record, e);
        if (r >= 0)
                r = json_object(record, l.name, "definition", &definition, e);
        if (r >= 0)
                r = definition_from_json(definition, &d, e);
        if (r >= 0)
                r = get_string(&l, record, "bootId", &saved_boot);
        if (r >= 0)
                r = boot_id(boot);
        if (r < 0)
                return r;
        if (strcmp(d->name, name) != 0)
                return error_set(e, -EINVAL, "state.json: group \"%s\" expected, found \"%s\"", name,
                                 d->name);
        g = group_new(m, d);
        if (!g)
                return -ENOMEM;
        (void)TAKE_PTR(d);
        r = load_machine(&l, record, g);
        if (r >= 0)
                r = load_rest(&l, record, g);
        if (r >= 0)
                r = load_history(&l, record, g);
        if (r < 0)
                return r;
        *ret_rebooted = strcmp(saved_boot, boot) != 0;
        *ret = TAKE_PTR(g);
        return 0;
}

/* --- the view --- */

const char *format_time(uint64_t us, char ret[static 40])
{
        time_t seconds = (time_t)(us / 1000000);
        struct tm tm;
        size_t n;

        ret[0] = '\0';
        if (us == 0)
                return ret;
        n = strftime(ret, 40, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
        (void)snprintf(ret + n, 40 - n, ".%06luZ", (unsigned long)(us % 1000000));
        return ret;
}

static const char *end_reason(int exit_status, bool out_of_memory)
{
        if (out_of_memory)
                return "OOMKilled";
        return exit_status == 0 ? "Completed" : "Error";
}

static int previous_view(const struct ended_run *run, sd_json_variant **ret)
{
        char started[40], finished[40];

        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("state", "Terminated"),
                SD_JSON_BUILD_PAIR_INTEGER("exitCode", run->exit_status),
                SD_JSON_BUILD_PAIR_STRING("reason", end_reason(run->exit_status, run->out_of_memory)),
                SD_JSON_BUILD_PAIR_STRING("startTime", format_time(run->started_us, started)),
                SD_JSON_BUILD_PAIR_STRING("finishTime", format_time(run->finished_us, finished)));
}

static const char *container_reason(const struct container *c, const struct machine_container *m)
{
        if (m->phase == CONTAINER_BACKOFF)
                return "CrashLoopBackOff";
        if (m->phase == CONTAINER_WAITING && c->group->machine.phase == GROUP_STARTING)
                return "PodInitializing"; /* init containers still run */
        if (c->out_of_memory || (m->has_exit && m->phase >= CONTAINER_CLEANING))
                return end_reason(m->exit_status, c->out_of_memory);
        return "";
}

static int container_view(const struct container *c, sd_json_variant **ret)
{
        const struct machine_container *m = &c->group->machine.containers[c->index];
        bool running = m->phase == CONTAINER_RUNNING || m->phase == CONTAINER_STOPPING;
        const char *reason = container_reason(c, m);
        _cleanup_json_ sd_json_variant *previous = NULL;
        char started[40], finished[40];
        int r = c->previous.finished_us > 0 ? previous_view(&c->previous, &previous) : 0;

        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("name", c->definition->name),
                SD_JSON_BUILD_PAIR_STRING("image", c->definition->image),
                SD_JSON_BUILD_PAIR_STRING("imageDigest", c->image_digest),
                SD_JSON_BUILD_PAIR_STRING("state", container_state_name(m)),
                SD_JSON_BUILD_PAIR_UNSIGNED("restartCount", m->restarts),
                SD_JSON_BUILD_PAIR_BOOLEAN("ready",
                                           m->phase == CONTAINER_RUNNING &&
                                                   (m->ready || !c->definition->probes[PROBE_READINESS])),
                SD_JSON_BUILD_PAIR_CONDITION(m->has_exit, "exitCode", SD_JSON_BUILD_INTEGER(m->exit_status)),
                SD_JSON_BUILD_PAIR_CONDITION(reason[0] != '\0', "reason", SD_JSON_BUILD_STRING(reason)),
                SD_JSON_BUILD_PAIR_CONDITION(running, "pid", SD_JSON_BUILD_UNSIGNED((unsigned)c->pid)),
                SD_JSON_BUILD_PAIR_CONDITION(c->started_us > 0, "startTime",
                                             SD_JSON_BUILD_STRING(format_time(c->started_us, started))),
                SD_JSON_BUILD_PAIR_CONDITION(c->finished_us > 0, "finishTime",
                                             SD_JSON_BUILD_STRING(format_time(c->finished_us, finished))),
                SD_JSON_BUILD_PAIR_CONDITION(!!previous, "previousState", SD_JSON_BUILD_VARIANT(previous)));
}

int group_to_json(const struct group *g, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *init = NULL, *containers = NULL, *ports = NULL;
        char address[INET_ADDRSTRLEN], created[40];
        int r = sd_json_variant_new_array(&ports, NULL, 0);

        for (size_t i = 0; r >= 0 && i < g->definition->n_ports; i++)
                r = sd_json_variant_append_arrayb(&ports,
                                                  SD_JSON_BUILD_UNSIGNED(g->definition->ports[i].port));
        for (size_t i = 0; r >= 0 && i < g->machine.n; i++) {
                _cleanup_json_ sd_json_variant *c = NULL;

                r = container_view(&g->containers[i], &c);
                if (r >= 0)
                        r = sd_json_variant_append_array(i < g->machine.n_init ? &init : &containers, c);
        }
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("name", g->definition->name),
                SD_JSON_BUILD_PAIR_STRING("state", group_state_name(&g->machine)),
                SD_JSON_BUILD_PAIR_STRING("restartPolicy", restart_policy_name(g->machine.policy)),
                SD_JSON_BUILD_PAIR_STRING("created", format_time(g->created_us, created)),
                SD_JSON_BUILD_PAIR_CONDITION(
                        g->address.s_addr != 0, "address",
                        SD_JSON_BUILD_STRING(inet_ntop(AF_INET, &g->address, address, sizeof(address)))),
                SD_JSON_BUILD_PAIR_VARIANT("ports", ports),
                SD_JSON_BUILD_PAIR_CONDITION(!!g->reason, "reason", SD_JSON_BUILD_STRING(g->reason)),
                SD_JSON_BUILD_PAIR_CONDITION(!!init, "initContainers", SD_JSON_BUILD_VARIANT(init)),
                SD_JSON_BUILD_PAIR_VARIANT("containers", containers));
}
