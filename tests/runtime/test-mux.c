/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "runtime/api/address.h"
#include "runtime/api/mux.h"
#include "runtime/api/relay.h"

/* One end, recording what it is told. */
struct side {
        struct mux *mux;
        char received[4 * MUX_WINDOW];
        size_t n_received;
        unsigned opened, closed, lost, writable;
        uint32_t session;
        bool hold; /* gives no credit back */
        bool refuse;
};

static int on_opened(struct mux *m, uint32_t session, void *userdata)
{
        struct side *s = userdata;

        s->opened++;
        s->session = session;
        return s->refuse ? -ECONNREFUSED : 0;
}

static void on_data(struct mux *m, uint32_t session, const void *data, size_t n, void *userdata)
{
        struct side *s = userdata;

        cr_assert_leq(s->n_received + n, sizeof(s->received));
        memcpy(s->received + s->n_received, data, n);
        s->n_received += n;
        if (!s->hold)
                mux_credit(m, session, n);
}

static void on_closed(struct mux *m, uint32_t session, bool lost, void *userdata)
{
        struct side *s = userdata;

        s->closed++;
        s->lost += lost;
}

static void on_writable(struct mux *m, uint32_t session, void *userdata)
{
        ((struct side *)userdata)->writable++;
}

static const struct mux_callbacks callbacks = {on_opened, on_data, on_closed, on_writable};

static struct side a, b; /* a opens sessions */

static void begin(void)
{
        cr_assert_eq(mux_new(true, &callbacks, &a, &a.mux), 0);
        cr_assert_eq(mux_new(false, &callbacks, &b, &b.mux), 0);
}

static void end(void)
{
        a.mux = mux_free(a.mux);
        b.mux = mux_free(b.mux);
}

/* Moves up to n bytes from one side to the other, in portions of `step`. */
static void carry(struct side *from, struct side *to, size_t n, size_t step)
{
        while (n > 0) {
                const void *out;
                size_t k = mux_output(from->mux, &out);
                _cleanup_free_ char *copy = NULL;

                if (k > step)
                        k = step;
                if (k > n)
                        k = n;
                if (k == 0)
                        return;
                copy = malloc(k);
                memcpy(copy, out, k);
                mux_sent(from->mux, k);
                cr_assert_eq(mux_feed(to->mux, copy, k), 0);
                n -= k;
        }
}

static void settle(size_t step)
{
        for (int i = 0; i < 50; i++) {
                carry(&a, &b, SIZE_MAX, step);
                carry(&b, &a, SIZE_MAX, step);
        }
}

TestSuite(mux, .init = begin, .fini = end);

Test(mux, bytes_arrive_whatever_the_portions)
{
        static const size_t steps[] = {1, 7, 20, 4096, 1 << 20};
        uint32_t session;

        cr_assert_eq(mux_open(a.mux, &session), -ENOTCONN);
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                settle(steps[i]);
                cr_assert(mux_ready(a.mux) && mux_ready(b.mux));
                cr_assert_eq(mux_open(a.mux, &session), 0);
                b.n_received = a.n_received = 0;
                cr_assert_eq(mux_send(a.mux, session, "question", 8), 8);
                settle(steps[i]);
                cr_assert_eq(b.opened, i + 1);
                cr_assert(b.n_received == 8 && memcmp(b.received, "question", 8) == 0);
                cr_assert_eq(mux_send(b.mux, b.session, "answer", 6), 6);
                mux_close(b.mux, b.session);
                settle(steps[i]);
                cr_assert(a.n_received == 6 && memcmp(a.received, "answer", 6) == 0);
                cr_assert_eq(a.closed, i + 1);
                cr_assert_eq(a.lost, 0);
                cr_assert_eq(mux_send(a.mux, session, "x", 1), -ENOTCONN);
        }
}

Test(mux, a_slow_reader_stops_only_itself)
{
        static char block[MUX_WINDOW];
        uint32_t slow, quick;

        settle(4096);
        cr_assert_eq(mux_open(a.mux, &slow), 0);
        cr_assert_eq(mux_open(a.mux, &quick), 0);
        b.hold = true;
        cr_assert_eq(mux_send(a.mux, slow, block, sizeof(block)), (ssize_t)sizeof(block));
        cr_assert_eq(mux_send(a.mux, slow, "x", 1), 0);
        settle(4096);
        cr_assert_eq(mux_writable(a.mux, slow), 0);
        b.hold = false;
        b.n_received = 0;
        cr_assert_eq(mux_send(a.mux, quick, "quick", 5), 5);
        settle(4096);
        cr_assert_eq(b.n_received, 5);
        mux_credit(b.mux, slow, sizeof(block));
        settle(4096);
        cr_assert_eq(a.writable, 1);
        cr_assert_eq(mux_writable(a.mux, slow), MUX_WINDOW);
}

/* The peer starts anew at any byte of a frame: the session is lost on both sides, and the next one works. */
Test(mux, restart_at_every_byte)
{
        for (size_t cut = 0; cut < 80; cut++) {
                uint32_t session;

                settle(4096);
                cr_assert_eq(mux_open(a.mux, &session), 0, "cut %zu", cut);
                settle(4096);
                cr_assert_eq(mux_send(a.mux, session, "0123456789012345678901234567890123456789", 40), 40);
                carry(&a, &b, cut, 4096); /* a part gets through, then a is another process */
                a.mux = mux_free(a.mux);
                cr_assert_eq(mux_new(true, &callbacks, &a, &a.mux), 0);
                settle(4096);
                cr_assert(mux_ready(a.mux) && mux_ready(b.mux), "cut %zu", cut);
                b.n_received = 0;
                cr_assert_eq(mux_open(a.mux, &session), 0);
                cr_assert_eq(mux_send(a.mux, session, "new", 3), 3);
                settle(4096);
                cr_assert(b.n_received == 3 && memcmp(b.received, "new", 3) == 0, "cut %zu", cut);
                mux_close(a.mux, session);
        }
}

Test(mux, noise_is_passed_over)
{
        unsigned seed = 7;

        for (int round = 0; round < 200; round++) {
                char noise[300];
                uint32_t session;
                size_t n = 1 + (size_t)(rand_r(&seed) % (int)sizeof(noise));

                for (size_t i = 0; i < n; i++)
                        noise[i] = (char)rand_r(&seed);
                if (round % 3 == 0)
                        memcpy(noise, "HFM1", n < 4 ? n : 4);
                cr_assert_eq(mux_feed(round % 2 ? a.mux : b.mux, noise, n), 0);
                for (int i = 0; i < 3; i++) {
                        mux_greet(a.mux);
                        mux_greet(b.mux);
                        settle(4096);
                }
                cr_assert(mux_ready(a.mux) && mux_ready(b.mux), "round %d", round);
                b.n_received = 0;
                cr_assert_eq(mux_open(a.mux, &session), 0);
                cr_assert_eq(mux_send(a.mux, session, "hello", 5), 5);
                settle(4096);
                cr_assert_eq(b.n_received, 5, "round %d", round);
                mux_close(a.mux, session);
        }
}

Test(mux, limits)
{
        uint32_t session;

        settle(4096);
        for (unsigned i = 0; i < MUX_SESSIONS_MAX; i++)
                cr_assert_eq(mux_open(a.mux, &session), 0);
        cr_assert_eq(mux_open(a.mux, &session), -EMFILE);
        settle(4096);
        cr_assert_eq(b.opened, MUX_SESSIONS_MAX);
        mux_close(a.mux, session);
        b.refuse = true;
        cr_assert_eq(mux_open(a.mux, &session), 0);
        settle(4096);
        cr_assert_eq(a.closed, 1, "a refused session is closed");
}

/* --- the broker, with an echo behind a bridge made of sockets --- */

static int listen_at(const char *path)
{
        int fd = unix_bind(path, 0);

        cr_assert_geq(fd, 0);
        cr_assert_eq(listen(fd, 16), 0);
        return fd;
}

static int connect_to(const char *path)
{
        for (int i = 0; i < 500; i++) {
                int fd = unix_connect(path, 0);

                if (fd >= 0)
                        return fd;
                (void)usleep(10000);
        }
        return -1;
}

/* What a machine would be: speaks the accepting side of the protocol on one connection and echoes. */
static void echo_data(struct mux *m, uint32_t session, const void *data, size_t n, void *userdata)
{
        (void)mux_send(m, session, data, n);
        mux_credit(m, session, n);
}

static void machine_process(int listener)
{
        static const struct mux_callbacks echo = {on_opened, echo_data, on_closed, on_writable};
        static struct side side;
        struct mux *m = NULL;
        int fd = accept(listener, NULL, NULL);

        if (mux_new(false, &echo, &side, &m) < 0)
                _exit(1);
        for (;;) {
                char chunk[65536];
                const void *out;
                ssize_t n;

                for (size_t k; (k = mux_output(m, &out)) > 0; mux_sent(m, (size_t)n)) {
                        n = write(fd, out, k);
                        if (n < 0)
                                _exit(0);
                }
                n = read(fd, chunk, sizeof(chunk));
                if (n <= 0 || mux_feed(m, chunk, (size_t)n) < 0)
                        _exit(0);
        }
}

static void many_clients(size_t directory_length)
{
        char top[] = "/tmp/test-relay-XXXXXX", dir[256], port[300], path[300];
        pid_t machine, broker;
        int listener, fds[20], status;

        cr_assert_not_null(mkdtemp(top));
        (void)snprintf(dir, sizeof(dir), "%s/%0*d", top, (int)directory_length, 0);
        cr_assert_eq(mkdir(dir, 0700), 0);
        (void)snprintf(port, sizeof(port), "%s/port", dir);
        (void)snprintf(path, sizeof(path), "%s/clients", dir);
        listener = listen_at(port);
        machine = fork();
        if (machine == 0)
                machine_process(listener);
        broker = fork();
        if (broker == 0)
                _exit(relay_broker(port, path, NULL) < 0);
        (void)usleep(300000);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                fds[i] = connect_to(path);
                cr_assert_geq(fds[i], 0);
        }
        for (int round = 0; round < 30; round++)
                for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                        char sent[3000], back[3000];

                        memset(sent, (int)(i + (size_t)round), sizeof(sent));
                        cr_assert_eq(write_full(fds[i], sent, sizeof(sent)), 0);
                        cr_assert_eq(read_full(fds[i], back, sizeof(back)), 0, "client %zu round %d", i,
                                     round);
                        cr_assert_eq(memcmp(sent, back, sizeof(sent)), 0);
                }
        /* The machine goes, in the middle of something: so do broker and clients. */
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                cr_assert_eq(write_full(fds[i], top, sizeof(top)), 0);
        (void)kill(machine, SIGKILL);
        (void)waitpid(machine, &status, 0);
        cr_assert_eq(waitpid(broker, &status, 0), broker);
        cr_assert_eq(status, 0, "wait status 0x%x", (unsigned)status);
        for (char byte; read(fds[0], &byte, 1) > 0;) /* what came back before, and then the end */
                ;
        cr_assert_eq(file_exists(-100, path), 0, "the socket file is gone");
        (void)unlink(port);
        (void)rmdir(dir);
        (void)rmdir(top);
}

Test(relay, many_clients_through_one_pipe, .timeout = 60)
{
        many_clients(1);
}

Test(relay, paths_longer_than_an_address, .timeout = 60)
{
        many_clients(150);
}

/* The longest path that an address has room for, the first that it has none for, names too long for either
 * way, and what is there already. */
Test(address, lengths)
{
        const size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);
        char dir[] = "/tmp/test-address-XXXXXX", path[400];

        cr_assert_not_null(mkdtemp(dir));
        for (size_t length = room - 2; length <= room + 1; length++) {
                char middle[300];
                _cleanup_close_ int fd = -EBADF, client = -EBADF;
                struct stat st;

                (void)snprintf(middle, sizeof(middle), "%s/%0*d", dir, (int)(length - sizeof(dir) - 5), 0);
                (void)mkdir(middle, 0700);
                (void)snprintf(path, sizeof(path), "%s/sock", middle);
                cr_assert_eq(strlen(path), length);
                fd = unix_bind(path, 0);
                cr_assert_geq(fd, 0);
                cr_assert_eq(stat(path, &st), 0);
                cr_assert_eq(st.st_mode & 07777, 0600);
                cr_assert_eq(unix_bind(path, 0), -EADDRINUSE);
                cr_assert_eq(unix_connect(path, 0), -ECONNREFUSED);
                cr_assert_eq(listen(fd, 1), 0);
                client = unix_connect(path, SOCK_NONBLOCK);
                cr_assert_geq(client, 0);
                (void)unlink(path);
                cr_assert_eq(unix_connect(path, 0), -ENOENT);
                (void)rmdir(middle);
        }
        (void)snprintf(path, sizeof(path), "%s/%0*d", dir, 120, 0);
        cr_assert_eq(unix_bind(path, 0), -ENAMETOOLONG);
        (void)rmdir(dir);
}
