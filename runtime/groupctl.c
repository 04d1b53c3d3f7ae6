/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* groupctl: the operator's client of groupd, and the two ends of the pipe into a machine (bridge, broker). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/args.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "runtime/api/interface.h"
#include "runtime/api/relay.h"
#include "runtime/group/definition.h"
#include "runtime/group/node.h"
#include "runtime/groupctl.h"

struct groupctl groupctl = {.machine = GROUPS_SOCKET};
static const char *port, *listen_path, *since;
static uint64_t stop_timeout = 10, tail = UINT64_MAX;
static bool previous;

static int out_of_memory(int r)
{
        log_error(r, "out of memory");
        return EXIT_COULD_NOT_TRY;
}

static int call_by_name(const char *method, const char *name, bool timeout, int (*print)(sd_json_variant *v))
{
        _cleanup_json_ sd_json_variant *parameters = NULL;
        int r;

        r = sd_json_buildo(
                &parameters, SD_JSON_BUILD_PAIR_STRING("name", name),
                SD_JSON_BUILD_PAIR_CONDITION(timeout, "timeout", SD_JSON_BUILD_UNSIGNED(stop_timeout)));
        return r < 0 ? out_of_memory(r) : groupctl_call(method, parameters, "group", print);
}

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
        return groupctl_call(GROUPS_INTERFACE ".Run", parameters, "group", print_group);
}

static int verb_list(int argc, char **argv)
{
        return groupctl_call(GROUPS_INTERFACE ".List", NULL, "groups", print_groups);
}

static int verb_show(int argc, char **argv)
{
        return call_by_name(GROUPS_INTERFACE ".Show", argv[0], false, print_group);
}

static int verb_stop(int argc, char **argv)
{
        return call_by_name(GROUPS_INTERFACE ".Stop", argv[0], true, print_group);
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
        return groupctl_call(GROUPS_INTERFACE ".Version", NULL, NULL, print_version);
}

/* "90s", "10m", "2h", "1d": that long ago; or a time of RFC 3339 in UTC. */
static int parse_since(const char *text, uint64_t *ret_us)
{
        static const char units[] = "smhd";
        static const uint64_t seconds[] = {1, 60, 3600, 86400};
        uint64_t now = (uint64_t)time(NULL), n;
        struct tm tm = {};
        const char *unit;
        char *end;

        errno = 0;
        n = strtoull(text, &end, 10);
        unit = *end ? strchr(units, *end) : NULL;
        if (unit && end > text && end[1] == '\0' && errno == 0 && text[0] >= '0' && text[0] <= '9' &&
            n <= now / seconds[unit - units]) {
                *ret_us = (now - n * seconds[unit - units]) * 1000000;
                return 0;
        }
        end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        if (!end || *end || timegm(&tm) < 0)
                return -EINVAL;
        *ret_us = (uint64_t)timegm(&tm) * 1000000;
        return 0;
}

static int verb_logs(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *parameters = NULL;
        uint64_t since_us = 0;
        int r;

        if (since && parse_since(since, &since_us) < 0) {
                log_error(
                        0,
                        "--since: a number with s, m, h or d, or YYYY-MM-DDTHH:MM:SSZ expected, found \"%s\"",
                        since);
                return EXIT_COULD_NOT_TRY;
        }

        r = sd_json_buildo(
                &parameters, SD_JSON_BUILD_PAIR_STRING("name", argv[0]),
                SD_JSON_BUILD_PAIR_CONDITION(!!groupctl.container, "container",
                                             SD_JSON_BUILD_STRING(groupctl.container)),
                SD_JSON_BUILD_PAIR_CONDITION(tail != UINT64_MAX, "tail", SD_JSON_BUILD_UNSIGNED(tail)),
                SD_JSON_BUILD_PAIR_UNSIGNED("since", since_us),
                SD_JSON_BUILD_PAIR_BOOLEAN("previous", previous),
                SD_JSON_BUILD_PAIR_BOOLEAN("follow", groupctl.follow));
        return r < 0 ? out_of_memory(r)
                     : groupctl_follow(GROUPS_INTERFACE ".Logs", parameters, "entries", print_log);
}

static int verb_stats(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *parameters = NULL;
        int r = sd_json_buildo(&parameters,
                               SD_JSON_BUILD_PAIR_CONDITION(argc > 0, "name", SD_JSON_BUILD_STRING(argv[0])));

        return r < 0 ? out_of_memory(r)
                     : groupctl_call(GROUPS_INTERFACE ".Stats", parameters, "containers", print_stats);
}

static int verb_events(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *parameters = NULL;
        int r;

        r = sd_json_buildo(&parameters,
                           SD_JSON_BUILD_PAIR_CONDITION(argc > 0, "name", SD_JSON_BUILD_STRING(argv[0])),
                           SD_JSON_BUILD_PAIR_BOOLEAN("follow", groupctl.follow));
        return r < 0 ? out_of_memory(r)
                     : groupctl_follow(GROUPS_INTERFACE ".Events", parameters, "events", print_events);
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
                       groupctl.json_mode == JSON_OFF ? JSON_PRETTY : groupctl.json_mode);
        return r < 0 ? EXIT_COULD_NOT_TRY : EXIT_SUCCESS;
}

static int verb_bridge(int argc, char **argv)
{
        struct error e = {"out of memory"};
        int r = relay_bridge(port ?: BRIDGE_PORT, groupctl.machine, &e);

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
                {"logs", "NAME", 1, 1, "What a container wrote", verb_logs},
                {"events", "[NAME]", 0, 1, "What happened to a group, or to all (--follow)", verb_events},
                {"stats", "[NAME]", 0, 1, "What the containers use that run", verb_stats},
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
                {"machine", 'M', ARG_STRING, &groupctl.machine, "SOCKET", NULL,
                 "groupd's socket, or a broker's (" GROUPS_SOCKET ")"},
                {"container", 'c', ARG_STRING, &groupctl.container, "NAME", "logs",
                 "of this container, not the first"},
                {"follow", 'f', ARG_FLAG, &groupctl.follow, NULL, "logs events",
                 "go on until the group ends"},
                {"tail", 0, ARG_UNSIGNED, &tail, "LINES", "logs", "only the last lines, then what follows"},
                {"since", 0, ARG_STRING, &since, "TIME", "logs",
                 "nothing older: 90s, 10m, 2h, 1d, or YYYY-MM-DDTHH:MM:SSZ"},
                {"previous", 0, ARG_FLAG, &previous, NULL, "logs", "only of runs before the last start"},
                {"timeout", 't', ARG_UNSIGNED, &stop_timeout, "SECONDS", "stop delete",
                 "kill after so long (10)"},
                {"port", 0, ARG_STRING, &port, "NAME|SOCKET", "bridge broker",
                 "name of the port; broker: the emulator's socket"},
                {"listen", 0, ARG_STRING, &listen_path, "SOCKET", "broker", "where clients connect"},
                {"json", 0, ARG_JSON, &groupctl.json_mode, "off|short|pretty", NULL, "print JSON"},
                {}};
        static const struct arg_program program = {"groupctl", "Runs container groups on a machine.", verbs,
                                                   options};

        log_setup(argv[0]);
        return args_run(&program, argc, argv);
}
