/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fault.h"

#include <criterion/criterion.h>
#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define HEADER 10 /* tag, size, code (TPM 2.0 Library, Part 1, 18.3) */
#define ANSWER_MAX 8192
#define HEARD_MAX (1u << 20)

struct fault_proxy {
        char upstream[96], upstream_control[104], tcti[128];
        int listener, control_listener;
        int stop[2]; /* a pipe; readable when all is to end */
        pthread_t data_thread, control_thread;
        pthread_mutex_t lock; /* over the rest */
        unsigned count, nth;
        enum fault_kind kind;
        uint32_t rc;
        uint8_t recorded[ANSWER_MAX];
        size_t recorded_size;
        uint8_t heard[HEARD_MAX];
        size_t heard_size;
};

/* --- sockets --- */

static int listen_at(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        cr_assert_geq(fd, 0);
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert_eq(listen(fd, 4), 0);
        return fd;
}

static int connect_to(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return close_fd(fd);
        return fd;
}

/* Which of the two has something, 0 or 1; -1 if all is to end. */
static int wait_for(const struct fault_proxy *p, int a, int b)
{
        struct pollfd fds[] = {{.fd = a, .events = POLLIN},
                               {.fd = b, .events = POLLIN},
                               {.fd = p->stop[0], .events = POLLIN}};

        if (poll(fds, 3, -1) < 0 || fds[2].revents)
                return -1;
        return fds[0].revents ? 0 : 1;
}

static int accept_one(const struct fault_proxy *p, int listener)
{
        return wait_for(p, listener, -1) == 0 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
}

/* --- the control channel: bytes go through as they are --- */

static bool pass(int from, int to)
{
        uint8_t bytes[4096];
        ssize_t n = read(from, bytes, sizeof(bytes));

        return n > 0 && write_full(to, bytes, (size_t)n) == 0;
}

static void *run_control(void *argument)
{
        const struct fault_proxy *p = argument;
        int client;

        while ((client = accept_one(p, p->control_listener)) >= 0) {
                int upstream = connect_to(p->upstream_control);
                bool open = upstream >= 0;

                while (open) {
                        int which = wait_for(p, client, upstream);

                        open = which >= 0 &&
                               pass(which == 0 ? client : upstream, which == 0 ? upstream : client);
                }
                (void)close_fd(upstream);
                (void)close_fd(client);
        }
        return NULL;
}

/* --- commands and answers --- */

static uint32_t get32(const uint8_t *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t value)
{
        value = htobe32(value);
        memcpy(p, &value, 4);
}

/* Reads one command or answer; its size, 0 at the end. */
static size_t read_message(const struct fault_proxy *p, int fd, uint8_t ret[static ANSWER_MAX])
{
        size_t size;

        if (wait_for(p, fd, -1) < 0 || read_full(fd, ret, HEADER) < 0)
                return 0;
        size = get32(ret + 2);
        if (size < HEADER || size > ANSWER_MAX || read_full(fd, ret + HEADER, size - HEADER) < 0)
                return 0;
        return size;
}

static size_t put_rc(uint8_t ret[static HEADER], uint32_t rc)
{
        ret[0] = 0x80;
        ret[1] = 0x01; /* TPM_ST_NO_SESSIONS */
        put32(ret + 2, HEADER);
        put32(ret + 6, rc);
        return HEADER;
}

static void exchange(const struct fault_proxy *p, int upstream, uint8_t bytes[static ANSWER_MAX],
                     size_t *size)
{
        if (write_full(upstream, bytes, *size) < 0)
                *size = 0;
        else
                *size = read_message(p, upstream, bytes);
}

/* What to do to this command. */
static enum fault_kind next(struct fault_proxy *p, uint32_t *ret_rc)
{
        enum fault_kind kind;

        (void)pthread_mutex_lock(&p->lock);
        p->count++;
        kind = p->count == p->nth ? p->kind : FAULT_NONE;
        *ret_rc = p->rc;
        (void)pthread_mutex_unlock(&p->lock);
        return kind;
}

static void hear(struct fault_proxy *p, const uint8_t *bytes, size_t size)
{
        (void)pthread_mutex_lock(&p->lock);
        if (size > HEARD_MAX - p->heard_size)
                abort();
        memcpy(p->heard + p->heard_size, bytes, size);
        p->heard_size += size;
        (void)pthread_mutex_unlock(&p->lock);
}

/* Spoils an answer; false if the connection is to end after it. */
static bool spoil(struct fault_proxy *p, enum fault_kind kind, uint32_t rc, uint8_t answer[static ANSWER_MAX],
                  size_t *size)
{
        size_t behind = *size > HEADER ? HEADER + (*size - HEADER) / 2 : 0;

        if (kind == FAULT_RC || kind == FAULT_LOST) {
                *size = put_rc(answer, rc);
        } else if (kind == FAULT_GARBLE) {
                answer[behind] ^= 1;
        } else if (kind == FAULT_TRUNCATE) {
                *size = behind > HEADER ? behind : HEADER;
                put32(answer + 2, (uint32_t)*size);
        } else if (kind == FAULT_OVERSIZE) {
                put32(answer + 2, 65536);
                return false;
        } else if (kind == FAULT_RECORD) {
                memcpy(p->recorded, answer, *size);
                p->recorded_size = *size;
        } else if (kind == FAULT_REPLAY) {
                *size = p->recorded_size;
                memcpy(answer, p->recorded, *size);
        }
        return true;
}

static bool serve_one(struct fault_proxy *p, int client, int upstream)
{
        uint8_t bytes[ANSWER_MAX];
        size_t size = read_message(p, client, bytes);
        enum fault_kind kind;
        uint32_t rc = 0;
        bool open;

        if (size == 0)
                return false;
        hear(p, bytes, size);
        kind = next(p, &rc);
        if (kind == FAULT_DROP)
                return false;
        if (kind == FAULT_HANG) {
                (void)wait_for(p, client, -1); /* until it gives up */
                return false;
        }
        if (kind != FAULT_RC && kind != FAULT_REPLAY)
                exchange(p, upstream, bytes, &size);
        if (kind == FAULT_CUT || size == 0)
                return false;
        open = spoil(p, kind, rc, bytes, &size);
        hear(p, bytes, size);
        return write_full(client, bytes, size) == 0 && open;
}

static void *run_data(void *argument)
{
        struct fault_proxy *p = argument;
        int client;

        while ((client = accept_one(p, p->listener)) >= 0) {
                int upstream = connect_to(p->upstream);

                while (upstream >= 0 && serve_one(p, client, upstream))
                        ;
                (void)close_fd(client);
                (void)close_fd(upstream);
        }
        return NULL;
}

/* --- the interface --- */

struct fault_proxy *fault_start(const struct swtpm *s)
{
        struct fault_proxy *p = calloc(1, sizeof(*p));
        char path[96], control[104];

        cr_assert(p);
        (void)snprintf(p->upstream, sizeof(p->upstream), "%s/tpm", s->directory);
        (void)snprintf(p->upstream_control, sizeof(p->upstream_control), "%s/tpm.ctrl", s->directory);
        (void)snprintf(path, sizeof(path), "%s/faulty", s->directory);
        (void)snprintf(control, sizeof(control), "%s/faulty.ctrl", s->directory);
        (void)snprintf(p->tcti, sizeof(p->tcti), "swtpm:path=%s", path);
        p->listener = listen_at(path);
        p->control_listener = listen_at(control);
        cr_assert_eq(pipe2(p->stop, O_CLOEXEC), 0);
        cr_assert_eq(pthread_mutex_init(&p->lock, NULL), 0);
        cr_assert_eq(pthread_create(&p->data_thread, NULL, run_data, p), 0);
        cr_assert_eq(pthread_create(&p->control_thread, NULL, run_control, p), 0);
        return p;
}

const char *fault_tcti(const struct fault_proxy *p)
{
        return p->tcti;
}

void fault_set(struct fault_proxy *p, unsigned nth, enum fault_kind kind, uint32_t rc)
{
        (void)pthread_mutex_lock(&p->lock);
        p->count = 0;
        p->heard_size = 0;
        p->nth = nth;
        p->kind = kind;
        p->rc = rc;
        (void)pthread_mutex_unlock(&p->lock);
}

unsigned fault_count(struct fault_proxy *p)
{
        unsigned count;

        (void)pthread_mutex_lock(&p->lock);
        count = p->count;
        (void)pthread_mutex_unlock(&p->lock);
        return count;
}

bool fault_heard(struct fault_proxy *p, const void *bytes, size_t size)
{
        bool found;

        (void)pthread_mutex_lock(&p->lock);
        found = memmem(p->heard, p->heard_size, bytes, size);
        (void)pthread_mutex_unlock(&p->lock);
        return found;
}

void fault_flush(const struct fault_proxy *p)
{
        static const uint32_t kinds[] = {0x80000000, 0x02000000, 0x03000000}; /* TPM_HT_… << 24 */
        int upstream = connect_to(p->upstream);
        uint8_t handles[ANSWER_MAX];

        cr_assert_geq(upstream, 0);
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                /* TPM2_GetCapability(TPM_CAP_HANDLES) */
                uint8_t command[ANSWER_MAX] = {0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7a, 0, 0, 0, 0x01};
                size_t size = 22;

                put32(command + 14, kinds[i]);
                put32(command + 18, 64);
                exchange(p, upstream, command, &size);
                memcpy(handles, command, sizeof(handles));
                for (uint32_t k = 0; size >= 19 && k < get32(handles + 15) && 19 + 4 * (k + 1) <= size; k++) {
                        /* TPM2_FlushContext */
                        uint8_t flush[ANSWER_MAX] = {0x80, 0x01, 0, 0, 0, 14, 0, 0, 0x01, 0x65};
                        size_t n = 14;

                        memcpy(flush + 10, handles + 19 + 4 * k, 4);
                        exchange(p, upstream, flush, &n);
                }
        }
        (void)close(upstream);
}

void fault_stop(struct fault_proxy *p)
{
        p->stop[1] = close_fd(p->stop[1]);
        (void)pthread_join(p->data_thread, NULL);
        (void)pthread_join(p->control_thread, NULL);
        (void)close_fd(p->stop[0]);
        (void)close_fd(p->listener);
        (void)close_fd(p->control_listener);
        (void)pthread_mutex_destroy(&p->lock);
        free(p);
}
