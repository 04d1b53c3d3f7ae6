/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* groupd's server against clients that mean no good: whatever they send, it answers or hangs up, and goes on
 * serving the next one. Connections are taken from root alone, so the test has to be root. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/api/address.h"
#include "runtime/api/server.h"
#include "runtime/group/internal.h"

#define PATIENCE_S 20
#define REPLY_MAX (1u << 20)

static char directory[] = "/tmp/test-server-XXXXXX", path[64];
static pid_t server;

#define CALL(method, parameters)                                                                             \
        "{\"method\":\"io.holdfast.Groups." method "\",\"parameters\":" parameters "}"
#define MORE(method, parameters)                                                                             \
        "{\"method\":\"io.holdfast.Groups." method "\",\"more\":true,\"parameters\":" parameters "}"

static void add_group(struct manager *m)
{
        static const char text[] =
                "name: g\nproperties:\n  containers:\n"
                "  - {name: a, properties: {image: i, resources: {requests: {cpu: 1, memoryInGB: 1}}}}\n";
        static struct group *groups[1];
        struct definition *d = NULL;
        struct effects effects;

        if (definition_parse("f", text, strlen(text), &d, NULL) < 0)
                _exit(1);
        groups[0] = group_new(m, d);
        machine_begin(&groups[0]->machine, d->policy, d->n_init, d->n_containers, &effects);
        m->groups = groups;
        m->n_groups = 1;
        for (uint64_t i = 1; i <= HISTORY_EVENTS_MAX; i++) {
                struct history_event event = {
                        .number = i, .time = "t", .group = "g", .reason = "Started", .message = "m"};

                if (history_add(&groups[0]->history, &event) < 0)
                        _exit(1);
        }
}

/* A server of one group, whose state machine stands still. */
static void serve(int ready)
{
        struct manager manager = {.options = {.run = directory, .state = directory}};
        struct server *s = NULL;
        struct error e = {};

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        add_group(&manager);
        if (sd_event_new(&manager.event) < 0 || server_new(manager.event, &manager, path, &s, &e) < 0 ||
            write(ready, "", 1) != 1)
                _exit(1);
        _exit(sd_event_loop(manager.event) < 0);
}

static void begin(void)
{
        int ready[2];
        char byte;

        cr_assert_not_null(mkdtemp(directory));
        (void)snprintf(path, sizeof(path), "%s/socket", directory);
        cr_assert_eq(pipe(ready), 0);
        server = fork();
        cr_assert_geq(server, 0);
        if (server == 0)
                serve(ready[1]);
        (void)close(ready[1]);
        cr_assert_eq(read(ready[0], &byte, 1), 1, "the server does not start");
        (void)close(ready[0]);
}

static void end(void)
{
        int status;

        cr_expect_eq(waitpid(server, &status, WNOHANG), 0, "the server is dead");
        (void)kill(server, SIGKILL);
        (void)waitpid(server, &status, 0);
        cr_assert_eq(remove_tree(directory, NULL), 0);
}

TestSuite(server, .init = begin, .fini = end, .timeout = 120);

static int dial(void)
{
        const struct timeval patience = {.tv_sec = PATIENCE_S};
        int fd = unix_connect(path, 0);

        cr_assert_geq(fd, 0, "errno %d", -fd);
        cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
        cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
        return fd;
}

/* false: the server hung up. It may do so at any byte. */
static bool say(int fd, const char *data, size_t n)
{
        while (n > 0) {
                ssize_t k = send(fd, data, n, MSG_NOSIGNAL);

                if (k < 0) {
                        cr_assert(errno == EPIPE || errno == ECONNRESET, "errno %d", errno);
                        return false;
                }
                data += k;
                n -= (size_t)k;
        }
        return true;
}

/* One reply, "" where the server hung up. Neither within the patience is a failure. */
static void hear(int fd, char ret[static REPLY_MAX])
{
        size_t n = 0;

        for (; n < REPLY_MAX; n++) {
                ssize_t k = recv(fd, ret + n, 1, 0);

                cr_assert(k >= 0 || errno == ECONNRESET, "no answer: errno %d", errno);
                if (k <= 0) {
                        ret[0] = '\0';
                        return;
                }
                if (ret[n] == '\0')
                        return;
        }
        cr_assert_fail("a reply of more than %u bytes", REPLY_MAX);
}

static char reply[REPLY_MAX];

/* One message on a connection of its own. */
static void ask(const char *message, size_t n)
{
        int fd = dial();

        reply[0] = '\0';
        if (say(fd, message, n))
                hear(fd, reply);
        (void)close(fd);
}

static void expect_service(void)
{
        ask(CALL("List", "{}"), sizeof(CALL("List", "{}")));
        cr_assert_not_null(strstr(reply, "\"name\":\"g\""), "%s", reply);
}

Test(server, messages)
{
        static const struct {
                const char *message, *expected; /* expected in the reply; NULL: the connection ends */
        } cases[] = {
                {"", NULL},
                {"{", NULL},
                {"[]", NULL},
                {"\xff\xfe", NULL},
                {"{}", NULL},
                {"{\"method\":7}", NULL},
                {"{\"method\":\"List\"}", "error"},
                {"{\"method\":\"io.holdfast.Groups.Format\"}", "MethodNotFound"},
                {"{\"method\":\"io.holdfast.Groups.List\",\"more\":7}", NULL},
                {CALL("Show", "[]"), NULL},
                {CALL("Show", "{}"), "InvalidParameter"},
                {CALL("Show", "{\"name\":7}"), "InvalidParameter"},
                {CALL("Show", "{\"name\":null}"), "InvalidParameter"},
                {CALL("Show", "{\"name\":\"\"}"), "NoSuchGroup"},
                {CALL("Show", "{\"name\":\"../groups/g\"}"), "NoSuchGroup"},
                {CALL("Show", "{\"name\":\"g/\"}"), "NoSuchGroup"},
                {CALL("Show", "{\"name\":\"%n%s\"}"), "NoSuchGroup"},
                {CALL("Show", "{\"name\":\"g\\u0000\"}"), NULL},
                {CALL("Show", "{\"name\":\"g\",\"name\":\"h\"}"), "\"name\":\"g\""}, /* the first */
                {CALL("Show", "{\"name\":\"g\",\"more\":1}"), "InvalidParameter"},
                {CALL("Stop", "{\"name\":\"g\",\"timeout\":-1}"), "InvalidParameter"},
                {CALL("Stop", "{\"name\":\"g\",\"timeout\":86401}"), "InvalidParameter"},
                {CALL("Stop", "{\"name\":\"g\",\"timeout\":18446744073709551615}"), "InvalidParameter"},
                {CALL("Stop", "{\"name\":\"g\",\"timeout\":1.5}"), "InvalidParameter"},
                {CALL("Stop", "{\"name\":\"g\",\"timeout\":\"1\"}"), "InvalidParameter"},
                {CALL("Delete", "{\"name\":\"g\",\"timeout\":-9223372036854775808}"), "InvalidParameter"},
                {CALL("Logs", "{\"name\":\"g\"}"), "ExpectedMore"},
                {MORE("Logs", "{\"name\":\"g\",\"container\":\"../a\"}"), "NoSuchGroup"},
                {MORE("Logs", "{\"name\":\"g\",\"tail\":-1}"), "InvalidParameter"},
                {MORE("Logs", "{\"name\":\"g\",\"since\":9223372036854775807}"), "InvalidParameter"},
                {MORE("Logs", "{\"name\":\"g\",\"tail\":9223372036854775807}"), "\"entries\":[]"},
                {MORE("Events", "{\"name\":\"\"}"), "NoSuchGroup"},
                {MORE("Events", "{\"name\":\"g\"}"), "\"number\":1,"},
                {CALL("Stats", "{}"), "\"containers\":[]"},
                {CALL("Stats", "{\"name\":\"/\"}"), "NoSuchGroup"},
                {CALL("Run", "{\"definition\":[]}"), "InvalidParameter"},
                {CALL("Run", "{\"definition\":{}}"), "InvalidDefinition"},
                {CALL("Run", "{\"definition\":{\"name\":\"../x\"}}"), "InvalidDefinition"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ask(cases[i].message, strlen(cases[i].message) + 1);
                if (cases[i].expected)
                        cr_expect_not_null(strstr(reply, cases[i].expected), "%s: %s", cases[i].message,
                                           reply);
                else
                        cr_expect_str_empty(reply, "%s: %s", cases[i].message, reply);
        }
        expect_service();
}

/* A name of a megabyte, a depth of 100,000, and more than a message may have. */
Test(server, sizes)
{
        static const char head[] = "{\"method\":\"io.holdfast.Groups.Show\",\"parameters\":{\"name\":\"";
        const size_t sizes[] = {1u << 20, 32u << 20};

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                size_t n = sizeof(head) - 1 + sizes[i];
                char *text = malloc(n + 4);

                memcpy(text, head, sizeof(head) - 1);
                memset(text + sizeof(head) - 1, 'g', sizes[i]);
                memcpy(text + n, "\"}}", 4);
                ask(text, n + 4);
                cr_assert(reply[0] == '\0' || strstr(reply, "NoSuchGroup"), "%.200s", reply);
                memset(text, '[', 100000);
                text[100000] = '\0';
                ask(text, 100001);
                cr_assert_str_empty(reply);
                free(text);
        }
        expect_service();
}

Test(server, clients_that_vanish)
{
        static const char *const last_words[] = {
                "{\"method\":\"io.holdf", CALL("Stop", "{\"name\":\"g\"}"), CALL("Wait", "{\"name\":\"g\"}"),
                MORE("Events", "{\"follow\":true}"), MORE("Logs", "{\"name\":\"g\",\"follow\":true}")};

        for (unsigned round = 0; round < 50; round++)
                for (size_t i = 0; i < ELEMENTSOF(last_words); i++) {
                        int fd = dial();

                        (void)say(fd, last_words[i], strlen(last_words[i]) + (i > 0));
                        (void)close(fd);
                }
        expect_service();
}

/* Those who never read what they asked for do not keep others waiting. */
Test(server, slow_readers)
{
        int fds[100];

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                fds[i] = dial();
                for (unsigned k = 0; k < 20; k++)
                        (void)say(fds[i], MORE("Events", "{}"), sizeof(MORE("Events", "{}")));
        }
        expect_service();
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                (void)close(fds[i]);
        expect_service();
}

/* Beyond its bound the server takes no more; once they have left, it does. */
Test(server, a_thousand_connections)
{
        const struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
        int fds[1000];

        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = unix_connect(path, 0);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                (void)close_fd(fds[i]);
        expect_service();
}
