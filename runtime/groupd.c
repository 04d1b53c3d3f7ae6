/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* groupd: the daemon that runs container groups. A service with a delegated cgroup; Varlink on its socket; no
 * D-Bus. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/args.h"
#include "base/file.h"
#include "base/log.h"
#include "runtime/api/interface.h"
#include "runtime/api/server.h"
#include "runtime/group/manager.h"

static const char *socket_path = GROUPS_SOCKET;

static void say(const char *message)
{
        log_warning("%s", message);
}

static int block_signals(void)
{
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

static int serve(sd_event *event, struct error *e)
{
        static const struct manager_options options = {.run = "/run/holdfast",
                                                       .state = "/var/lib/holdfast",
                                                       .trust = "/etc/holdfast/trust",
                                                       .ipe = "/sys/kernel/security/ipe",
                                                       .init = "/usr/lib/holdfast/container-init",
                                                       .executor = "/usr/bin/crun",
                                                       .log = say};
        _cleanup_(manager_free_ptr) struct manager *manager = NULL;
        _cleanup_(server_free_ptr) struct server *server = NULL;
        int r;

        r = make_directories(options.run, 0755, e);
        if (r >= 0)
                r = make_directories(options.state, 0700, e);
        if (r >= 0)
                r = manager_new(event, &options, &manager, e);
        if (r >= 0)
                r = server_new(event, manager, socket_path, &server, e);
        if (r < 0)
                return r;
        (void)sd_notify(0, "READY=1");
        r = sd_event_loop(event);
        (void)sd_notify(0, "STOPPING=1");
        return r < 0 ? error_errno(e, r, "event loop") : 0;
}

static int run(int argc, char **argv)
{
        sd_event *event = NULL;
        struct error e = {"out of memory"};
        int r;

        r = block_signals();
        if (r >= 0)
                r = sd_event_new(&event);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = serve(event, &e);
        (void)sd_event_unref(event);
        if (r < 0)
                (void)log_failure(r, &e);
        return r < 0 ? EXIT_COULD_NOT_TRY : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        static const struct arg_verb verbs[] = {{"", "", 0, 0, "Serve", run}, {}};
        static const struct arg_option options[] = {{"socket", 0, ARG_STRING, &socket_path, "PATH", NULL,
                                                     "Listen here instead of " GROUPS_SOCKET},
                                                    {}};
        static const struct arg_program program = {"groupd", "Runs container groups from signed layers.",
                                                   verbs, options};

        log_setup(argv[0]);
        return args_run(&program, argc, argv);
}
