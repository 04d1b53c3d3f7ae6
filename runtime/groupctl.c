/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* groupctl: the operator's client of groupd, and the two ends of the pipe into a machine (bridge, broker). */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-varlink.h>

#include "base/args.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/table.h"
#include "runtime/api/address.h"
#include "runtime/api/interface.h"
#include "runtime/api/relay.h"
#include "runtime/group/definition.h"
#include "runtime/group/node.h"

static const char *machine = GROUPS_SOCKET;
static const char *container, *port, *listen_path;
static enum json_mode json_mode;
static bool follow;
static uint64_t stop_timeout = 10;

/* --- calls --- */

static sd_varlink *connect_machine(void)
{
        sd_varlink *link = NULL;
        int fd = unix_connect(machine, 0), r;

        r = fd < 0 ? fd : sd_varlink_connect_fd(&link, fd);
        if (r < 0) {
                log_error(r, "%s: groupd expected there: %s", machine, strerror(-r));
                return NULL;
        }
        (void)sd_varlink_set_relative_timeout(link, UINT64_MAX); /* a group takes the time it takes */
        return link;
}

/* Says why groupd said no: 1; or that it could not answer: 2. */
static int refused(const char *id, sd_json_variant *reply)
{
        sd_json_variant *message = reply ? sd_json_variant_by_key(reply, "message") : NULL;

        if (strcmp(id, SD_VARLINK_ERROR_DISCONNECTED) == 0) {
                log_error(0, "%s: groupd, or the machine, closed the connection", machine);
                return EXIT_COULD_NOT_TRY;
        }
        log_error(0, "%s",
                  message && sd_json_variant_is_string(message) ? sd_json_variant_string(message) : id);
        return strncmp(id, GROUPS_INTERFACE ".", strlen(GROUPS_INTERFACE ".")) == 0 ? EXIT_ANSWER_IS_NO
                                                                                    : EXIT_COULD_NOT_TRY;
}

/* Calls a method and gives the reply's one field to `print`. */
static int call(const char *method, sd_json_variant *parameters, const char *field,
                int (*print)(sd_json_variant *v))
{
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = connect_machine();
        sd_json_variant *reply = NULL, *v;
        const char *id = NULL;
        int r;

        if (!link)
                return EXIT_COULD_NOT_TRY;
        r = sd_varlink_call(link, method, parameters, &reply, &id);
        if (r < 0) {
                log_error(r, "%s: %s", machine, strerror(-r));
                return EXIT_COULD_NOT_TRY;
        }
        if (id)
                return refused(id, reply);
        v = field ? sd_json_variant_by_key(reply, field) : reply;
        if (!v) {
                log_error(0, "%s: field \"%s\" expected in the reply, not found", machine, field);
                return EXIT_COULD_NOT_TRY;
        }
        r = json_mode == JSON_OFF ? print(v) : json_print(v, json_mode);
        return r < 0 ? EXIT_COULD_NOT_TRY : EXIT_SUCCESS;
}

static int call_by_name(const char *method, const char *name, bool timeout, int (*print)(sd_json_variant *v))
{
        _cleanup_json_ sd_json_variant *parameters = NULL;
        int r;

        r = sd_json_buildo(
                &parameters, SD_JSON_BUILD_PAIR_STRING("name", name),
                SD_JSON_BUILD_PAIR_CONDITION(timeout, "timeout", SD_JSON_BUILD_UNSIGNED(stop_timeout)));
        if (r < 0) {
                log_error(r, "out of memory");
                return EXIT_COULD_NOT_TRY;
        }
        return call(method, parameters, "group", print);
}

/* --- printing --- */

static const char *text_of(sd_json_variant *v, const char *field)
{
        return json_optional_string(v, field) ?: "-";
}

static const char *number_of(sd_json_variant *v, const char *field, char ret[static 24])
{
        sd_json_variant *f = sd_json_variant_by_key(v, field);

        (void)strcpy(ret, "-"); /* NOLINT: it fits */
        if (f && sd_json_variant_is_integer(f))
                (void)snprintf(ret, 24, "%ld", (long)sd_json_variant_integer(f));
        return ret;
}

static int print_groups(sd_json_variant *groups)
{
        static const char *const headings[] = {"NAME", "STATE", "ADDRESS", "CONTAINERS", "CREATED"};
        struct table *t = table_new(headings, ELEMENTSOF(headings));
        int r = t ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < sd_json_variant_elements(groups); i++) {
                sd_json_variant *g = sd_json_variant_by_index(groups, i);
                sd_json_variant *containers = sd_json_variant_by_key(g, "containers");
                size_t running = 0, n = containers ? sd_json_variant_elements(containers) : 0;
                char count[48];

                for (size_t k = 0; k < n; k++)
                        running += strcmp(text_of(sd_json_variant_by_index(containers, k), "state"),
                                          "Running") == 0;
                (void)snprintf(count, sizeof(count), "%zu/%zu", running, n);
                const char *const cells[] = {text_of(g, "name"), text_of(g, "state"), text_of(g, "address"),
                                             count, text_of(g, "created")};
                r = table_add(t, cells, ELEMENTSOF(cells));
        }
        if (r >= 0)
                r = table_print(t);
        (void)table_free(t);
        return r;
}

static int print_containers(sd_json_variant *containers)
{
        static const char *const headings[] = {"CONTAINER", "IMAGE",    "STATE",  "EXIT",
                                               "REASON",    "RESTARTS", "STARTED"};
        struct table *t = table_new(headings, ELEMENTSOF(headings));
        int r = t ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < sd_json_variant_elements(containers); i++) {
                sd_json_variant *c = sd_json_variant_by_index(containers, i);
                char status[24], restarts[24];
                const char *const cells[] = {text_of(c, "name"),     text_of(c, "image"),
                                             text_of(c, "state"),    number_of(c, "exitCode", status),
                                             text_of(c, "reason"),   number_of(c, "restartCount", restarts),
                                             text_of(c, "startTime")};

                r = table_add(t, cells, ELEMENTSOF(cells));
        }
        if (r >= 0)
                r = table_print(t);
        (void)table_free(t);
        return r;
}

static int print_group(sd_json_variant *g)
{
        sd_json_variant *init = sd_json_variant_by_key(g, "initContainers"),
                        *containers = sd_json_variant_by_key(g, "containers");
        int r = 0;

        printf("Group %s: %s, address %s, restart policy %s, created %s\n", text_of(g, "name"),
               text_of(g, "state"), text_of(g, "address"), text_of(g, "restartPolicy"),
               text_of(g, "created"));
        if (sd_json_variant_by_key(g, "reason"))
                printf("Reason: %s\n", text_of(g, "reason"));
        if (init)
                r = print_containers(init);
        return r >= 0 && containers ? print_containers(containers) : r;
}

static int print_version(sd_json_variant *v)
{
        sd_json_variant *selinux = sd_json_variant_by_key(v, "selinux"),
                        *store = sd_json_variant_by_key(v, "store");

        printf("groupctl %s, groupd %s, SELinux %s, image store %s\n", HOLDFAST_VERSION,
               text_of(v, "version"), selinux && sd_json_variant_boolean(selinux) ? "on" : "off",
               store && sd_json_variant_boolean(store) ? "mounted" : "absent");
        return 0;
}

/* --- verbs --- */

/* The file is judged here, where line and column are known; groupd judges again what it gets. */
static int read_definition(const char *path, sd_json_variant **ret, struct error *e)
{
        _cleanup_(definition_free_ptr) struct definition *d = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = read_file(AT_FDCWD, strcmp(path, "-") == 0 ? "/dev/stdin" : path, NODE_TEXT_MAX, &text, &size, e);
        if (r >= 0)
                r = definition_parse(path, text, size, &d, e);
        if (r >= 0)
                r = definition_to_json(d, &v);
        if (r >= 0)
                r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_VARIANT("definition", v));
        return r;
}

static int verb_run(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *parameters = NULL;
        struct error e = {"out of memory"};
        int r;

        r = read_definition(argv[0], &parameters, &e);
        if (r < 0) {
                (void)log_failure(r, &e);
                return EXIT_COULD_NOT_TRY;
        }
        return call(GROUPS_INTERFACE ".Run", parameters, "group", print_group);
}

static int verb_list(int argc, char **argv)
{
        return call(GROUPS_INTERFACE ".List", NULL, "groups", print_groups);
}

static int verb_show(int argc, char **argv)
{
        return call_by_name(GROUPS_INTERFACE ".Show", argv[0], false, print_group);
}

static int verb_stop(int argc, char **argv)
{
        return call_by_name(GROUPS_INTERFACE ".Stop", argv[0], true, print_group);
}

static int print_deleted(sd_json_variant *g)
{
        printf("Group %s is deleted\n", text_of(g, "name"));
        return 0;
}

static int verb_delete(int argc, char **argv)
{
        return call_by_name(GROUPS_INTERFACE ".Delete", argv[0], true, print_deleted);
}

static int verb_wait(int argc, char **argv)
{
        return call_by_name(GROUPS_INTERFACE ".Wait", argv[0], false, print_group);
}

static int verb_version(int argc, char **argv)
{
        return call(GROUPS_INTERFACE ".Version", NULL, NULL, print_version);
}

struct log_reader {
        bool done;
        int status;
};

static int print_entries(sd_json_variant *entries)
{
        for (size_t i = 0; entries && i < sd_json_variant_elements(entries); i++) {
                sd_json_variant *entry = sd_json_variant_by_index(entries, i);
                bool to_stderr = strcmp(text_of(entry, "stream"), "stderr") == 0;

                if (json_mode != JSON_OFF) {
                        int r = json_print(entry, json_mode);

                        if (r < 0)
                                return r;
                } else {
                        (void)fprintf(to_stderr ? stderr : stdout, "%s\n", text_of(entry, "text"));
                }
        }
        return fflush(stdout) == 0 ? 0 : -errno;
}

static int on_log_reply(sd_varlink *link, sd_json_variant *reply, const char *id,
                        sd_varlink_reply_flags_t flags, void *userdata)
{
        struct log_reader *reader = userdata;

        if (id) {
                reader->status = refused(id, reply);
                reader->done = true;
                return 0;
        }
        if (print_entries(sd_json_variant_by_key(reply, "entries")) < 0) {
                reader->status = EXIT_COULD_NOT_TRY;
                reader->done = true;
        }
        if (!(flags & SD_VARLINK_REPLY_CONTINUES))
                reader->done = true;
        return 0;
}

static int verb_logs(int argc, char **argv)
{
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = connect_machine();
        struct log_reader reader = {.status = EXIT_SUCCESS};
        int r;

        if (!link)
                return EXIT_COULD_NOT_TRY;
        (void)sd_varlink_set_userdata(link, &reader);
        r = sd_varlink_bind_reply(link, on_log_reply);
        if (r >= 0)
                r = sd_varlink_observebo(link, GROUPS_INTERFACE ".Logs",
                                         SD_JSON_BUILD_PAIR_STRING("name", argv[0]),
                                         SD_JSON_BUILD_PAIR_CONDITION(!!container, "container",
                                                                      SD_JSON_BUILD_STRING(container)),
                                         SD_JSON_BUILD_PAIR_BOOLEAN("follow", follow));
        while (r >= 0 && !reader.done) {
                r = sd_varlink_process(link);
                if (r == 0)
                        r = sd_varlink_wait(link, UINT64_MAX);
        }
        if (r < 0 && !reader.done) {
                log_error(r, "%s: %s", machine, strerror(-r));
                return EXIT_COULD_NOT_TRY;
        }
        return reader.status;
}

static int verb_check(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *parameters = NULL;
        struct error e = {"out of memory"};
        int r;

        r = read_definition(argv[0], &parameters, &e);
        if (r < 0) {
                (void)log_failure(r, &e);
                return r == -EINVAL || r == -EFBIG ? EXIT_ANSWER_IS_NO : EXIT_COULD_NOT_TRY;
        }
        r = json_print(sd_json_variant_by_key(parameters, "definition"),
                       json_mode == JSON_OFF ? JSON_PRETTY : json_mode);
        return r < 0 ? EXIT_COULD_NOT_TRY : EXIT_SUCCESS;
}

static int verb_bridge(int argc, char **argv)
{
        struct error e = {"out of memory"};
        int r = relay_bridge(port ?: BRIDGE_PORT, machine, &e);

        return r < 0 ? (log_failure(r, &e), EXIT_COULD_NOT_TRY) : EXIT_SUCCESS;
}

static int verb_broker(int argc, char **argv)
{
        struct error e = {"out of memory"};
        int r;

        if (!port || !listen_path) {
                log_error(0, "broker: --port and --listen expected");
                return EXIT_COULD_NOT_TRY;
        }
        r = relay_broker(port, listen_path, &e);
        return r < 0 ? (log_failure(r, &e), EXIT_COULD_NOT_TRY) : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        static const struct arg_verb verbs[] = {
                {"run", "FILE", 1, 1,
                 "Start the group that the file (YAML or JSON, \"-\": standard input) describes", verb_run},
                {"check", "FILE", 1, 1, "Judge a group file and print what it says in full", verb_check},
                {"list", "", 0, 0, "All groups", verb_list},
                {"show", "NAME", 1, 1, "One group with its containers", verb_show},
                {"logs", "NAME", 1, 1, "What a container wrote (--container, --follow)", verb_logs},
                {"stop", "NAME", 1, 1, "End a group's containers, keep its record and logs (--timeout)",
                 verb_stop},
                {"delete", "NAME", 1, 1, "End a group and remove all of it (--timeout)", verb_delete},
                {"wait", "NAME", 1, 1, "Wait until a group has ended", verb_wait},
                {"version", "", 0, 0, "The versions here and there", verb_version},
                {"bridge", "", 0, 0, "In a machine: serve the operator's virtio-serial port (--port)",
                 verb_bridge},
                {"broker", "", 0, 0, "On the build machine: share such a port (--port, --listen)",
                 verb_broker},
                {}};
        static const struct arg_option options[] = {
                {"machine", 'M', ARG_STRING, &machine, "SOCKET", NULL,
                 "groupd's socket, or a broker's (" GROUPS_SOCKET ")"},
                {"container", 'c', ARG_STRING, &container, "NAME", "logs",
                 "of this container, not the first"},
                {"follow", 'f', ARG_FLAG, &follow, NULL, "logs", "go on until the group ends"},
                {"timeout", 't', ARG_UNSIGNED, &stop_timeout, "SECONDS", "stop delete",
                 "kill after so long (10)"},
                {"port", 0, ARG_STRING, &port, "NAME|SOCKET", "bridge broker",
                 "name of the port; broker: the emulator's socket"},
                {"listen", 0, ARG_STRING, &listen_path, "SOCKET", "broker", "where clients connect"},
                {"json", 0, ARG_JSON, &json_mode, "off|short|pretty", NULL, "print JSON"},
                {}};
        static const struct arg_program program = {"groupctl", "Runs container groups on a machine.", verbs,
                                                   options};

        log_setup(argv[0]);
        return args_run(&program, argc, argv);
}
