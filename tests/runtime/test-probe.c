/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Probes against servers that answer, refuse, talk nonsense, or say nothing. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/group/internal.h"

/* A listening socket on a port of the kernel's choice. */
static int listen_somewhere(uint16_t *ret_port)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        cr_assert_geq(fd, 0);
        cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert_eq(listen(fd, 8), 0);
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &(socklen_t){sizeof(address)}), 0);
        *ret_port = ntohs(address.sin_port);
        return fd;
}

/* One client: checks what it asks, answers in two pieces, and keeps the connection open where there is
 * nothing to say. */
static pid_t serve(int listener, const char *answer)
{
        static const char expected[] = "GET /live?x=1 HTTP/1.1\r\nHost: 127.0.0.1:";
        pid_t pid = fork();
        char request[512] = "";
        int client;

        if (pid != 0)
                return pid;
        client = accept(listener, NULL, NULL);
        if (recv(client, request, sizeof(request) - 1, 0) <= 0 ||
            strncmp(request, expected, strlen(expected)) != 0)
                answer = "the request is wrong\n";
        if (*answer) {
                (void)send(client, answer, 4, MSG_NOSIGNAL);
                (void)usleep(20000);
                (void)send(client, answer + 4, strlen(answer + 4), MSG_NOSIGNAL);
                _exit(0);
        }
        (void)pause();
        _exit(0);
}

/* The first result of a liveness probe of that port. */
static struct event first_result(uint16_t port)
{
        struct definition_probe probe = {.path = (char *)"/live?x=1",
                                         .port = port,
                                         .period_s = 1,
                                         .timeout_s = 1,
                                         .failures = 3,
                                         .successes = 1};
        struct definition_container cd = {.name = (char *)"c", .probes = {[PROBE_LIVENESS] = &probe}};
        struct definition d = {.name = (char *)"g", .containers = &cd, .n_containers = 1};
        struct manager m = {};
        struct container c = {.definition = &cd};
        struct group g = {.manager = &m, .definition = &d, .containers = &c};
        struct event event;

        c.group = &g;
        g.machine.n = 1;
        g.machine.containers[0].phase = CONTAINER_RUNNING;
        g.address.s_addr = htonl(INADDR_LOOPBACK);
        cr_assert_geq(sd_event_new(&m.event), 0);
        probes_start(&c);
        while (m.n_queue == 0)
                cr_assert_gt(sd_event_run(m.event, UINT64_C(10000000)), 0, "no result");
        event = m.queue[0].event;
        probes_stop(&c);
        free(m.queue);
        (void)sd_event_unref(m.event);
        return event;
}

struct answer {
        char text[64];
        bool failed;
};

static struct answer answers[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", false},
        {"HTTP/1.0 302 Found\r\n\r\n", false},
        {"HTTP/1.1 399\r\n", false},
        {"HTTP/1.1 404 Not Found\r\n\r\n", true},
        {"HTTP/1.1 503 \r\n\r\n", true},
        {"HTTP/1.1 100 Continue\r\n", true},
        {"HTTP/1.1 2x0 OK\r\n", true},
        {"HTTP/1.1 20", true},
        {"SSH-2.0-nothing of yours\r\n", true},
        {"", true},
};

ParameterizedTestParameters(probe, an_answer)
{
        return cr_make_param_array(struct answer, answers, ELEMENTSOF(answers));
}

ParameterizedTest(struct answer *a, probe, an_answer, .timeout = 30)
{
        uint16_t port;
        int listener = listen_somewhere(&port);
        pid_t server = serve(listener, a->text);
        struct event event = first_result(port);

        (void)kill(server, SIGKILL);
        (void)waitpid(server, NULL, 0);
        (void)close(listener);
        cr_assert_eq(event.type, EVENT_PROBED);
        cr_assert_eq(event.probe, PROBE_LIVENESS);
        cr_assert_eq(event.failed, a->failed, "%s", a->text);
        cr_assert_eq(event.threshold, a->failed ? 3 : 1);
}

Test(probe, nobody_listens, .timeout = 30)
{
        uint16_t port;
        int listener = listen_somewhere(&port);

        (void)close(listener);
        cr_assert(first_result(port).failed);
}

/* Its result must not be taken for a later life's. */
Test(probe, a_container_that_has_ended_is_not_probed)
{
        struct definition_probe probe = {.path = (char *)"/", .port = 1, .period_s = 1, .timeout_s = 1};
        struct definition_container cd = {.name = (char *)"c", .probes = {[PROBE_READINESS] = &probe}};
        struct group g = {};
        struct container c = {.group = &g, .definition = &cd};

        g.machine.containers[0].phase = CONTAINER_CLEANING;
        probes_start(&c);
        cr_assert_null(c.probes[PROBE_READINESS]);
}
