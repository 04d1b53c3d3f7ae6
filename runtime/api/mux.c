/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/api/mux.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"

#define MAGIC 0x314d4648u /* "HFM1" */
#define HELLO_SIZE 16u
#define FRAME_MAX (MUX_HEADER_SIZE + MUX_PAYLOAD_MAX)

enum frame_type { FRAME_HELLO = 1, FRAME_OPEN, FRAME_DATA, FRAME_CLOSE, FRAME_WINDOW, FRAME_TYPES_ };

struct header {
        uint32_t magic, check, tag, session;
        uint16_t length;
        uint8_t type, zero;
} __attribute__((packed));

_Static_assert(sizeof(struct header) == MUX_HEADER_SIZE, "the header has no padding");

struct session {
        uint32_t id;             /* 0: free */
        uint32_t send_credit;    /* bytes that may still be sent */
        uint32_t receive_credit; /* bytes that the peer may still send */
        uint32_t owed;           /* passed on, not yet given back to the peer */
        bool blocked;            /* mux_send() took less than it was given */
};

struct mux {
        bool initiator;
        struct mux_callbacks callbacks;
        void *userdata;
        uint64_t epoch, peer_epoch;
        bool ready;
        uint32_t next_session;
        struct session sessions[MUX_SESSIONS_MAX];
        uint8_t in[FRAME_MAX];
        size_t n_in;
        uint8_t *out;
        size_t n_out, room_out;
        int failed; /* memory ended: reported by the next mux_feed() */
};

static uint32_t fnv1a(const void *data, size_t n)
{
        const uint8_t *p = data;
        uint32_t h = 2166136261u;

        for (size_t i = 0; i < n; i++)
                h = (h ^ p[i]) * 16777619u;
        return h;
}

/* The same on both sides, whoever is "own". */
static uint32_t tag_of(const struct mux *m)
{
        uint64_t x = m->epoch ^ m->peer_epoch;

        return (uint32_t)(x ^ (x >> 32));
}

static int new_epoch(uint64_t *ret)
{
        uint64_t epoch = 0;

        while (epoch == 0)
                if (getrandom(&epoch, sizeof(epoch), 0) != (ssize_t)sizeof(epoch))
                        return -EIO;
        *ret = epoch;
        return 0;
}

static int reserve(struct mux *m, size_t n)
{
        size_t room = m->room_out ?: 4096;
        uint8_t *bigger;

        while (room < m->n_out + n)
                room *= 2;
        if (room == m->room_out)
                return 0;
        bigger = realloc(m->out, room);
        if (!bigger)
                return -ENOMEM;
        m->out = bigger;
        m->room_out = room;
        return 0;
}

static void put_frame(struct mux *m, enum frame_type type, uint32_t session, const void *data, size_t n)
{
        struct header h = {.magic = htole32(MAGIC),
                           .tag = htole32(type == FRAME_HELLO ? 0 : tag_of(m)),
                           .session = htole32(session),
                           .length = htole16((uint16_t)n),
                           .type = (uint8_t)type};

        assert(n <= MUX_PAYLOAD_MAX);
        h.check = htole32(fnv1a(&h.tag, sizeof(h) - offsetof(struct header, tag)));
        if (m->failed >= 0)
                m->failed = reserve(m, sizeof(h) + n);
        if (m->failed < 0)
                return;
        memcpy(m->out + m->n_out, &h, sizeof(h));
        if (n > 0)
                memcpy(m->out + m->n_out + sizeof(h), data, n);
        m->n_out += sizeof(h) + n;
}

static void put_hello(struct mux *m)
{
        uint64_t body[2] = {htole64(m->epoch), htole64(m->peer_epoch)};

        put_frame(m, FRAME_HELLO, 0, body, sizeof(body));
}

static void put_filler(struct mux *m)
{
        if (m->failed >= 0)
                m->failed = reserve(m, FRAME_MAX);
        if (m->failed < 0)
                return;
        memset(m->out + m->n_out, 0, FRAME_MAX);
        m->n_out += FRAME_MAX;
}

static struct session *find(const struct mux *m, uint32_t id)
{
        for (size_t i = 0; id != 0 && i < MUX_SESSIONS_MAX; i++)
                if (m->sessions[i].id == id)
                        return (struct session *)&m->sessions[i];
        return NULL;
}

static struct session *add(struct mux *m, uint32_t id)
{
        for (size_t i = 0; i < MUX_SESSIONS_MAX; i++)
                if (m->sessions[i].id == 0) {
                        m->sessions[i] = (struct session){
                                .id = id, .send_credit = MUX_WINDOW, .receive_credit = MUX_WINDOW};
                        return &m->sessions[i];
                }
        return NULL;
}

static void lose_sessions(struct mux *m)
{
        for (size_t i = 0; i < MUX_SESSIONS_MAX; i++) {
                uint32_t id = m->sessions[i].id;

                m->sessions[i].id = 0;
                if (id != 0)
                        m->callbacks.closed(m, id, true, m->userdata);
        }
}

static void end_session(struct mux *m, struct session *s, bool lost)
{
        uint32_t id = s->id;

        s->id = 0;
        m->callbacks.closed(m, id, lost, m->userdata);
}

int mux_new(bool initiator, const struct mux_callbacks *callbacks, void *userdata, struct mux **ret)
{
        struct mux *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return -ENOMEM;
        m->initiator = initiator;
        m->callbacks = *callbacks;
        m->userdata = userdata;
        m->next_session = 1;
        r = mux_restart(m);
        if (r < 0) {
                (void)mux_free(m);
                return r;
        }
        *ret = m;
        return 0;
}

struct mux *mux_free(struct mux *m)
{
        if (m)
                free(m->out);
        free(m);
        return NULL;
}

void mux_greet(struct mux *m)
{
        if (!m->ready)
                put_hello(m);
}

int mux_restart(struct mux *m)
{
        int r;

        r = new_epoch(&m->epoch);
        if (r < 0)
                return r;
        m->peer_epoch = 0;
        m->ready = false;
        m->n_in = 0;
        m->n_out = 0;
        m->failed = 0;
        lose_sessions(m);
        put_filler(m);
        put_hello(m);
        return m->failed;
}

static void handle_hello(struct mux *m, const uint8_t *body)
{
        uint64_t theirs, ours;

        memcpy(&theirs, body, sizeof(theirs));
        memcpy(&ours, body + sizeof(theirs), sizeof(ours));
        theirs = le64toh(theirs);
        ours = le64toh(ours);
        if (theirs == 0)
                return;
        if (theirs != m->peer_epoch) {
                m->peer_epoch = theirs;
                lose_sessions(m);
        }
        /* Greets back until the peer has shown that it heard this epoch. */
        m->ready = true;
        if (ours != m->epoch)
                put_hello(m);
}

static void handle_open(struct mux *m, uint32_t id)
{
        bool accepted;

        if (m->initiator || id == 0 || find(m, id))
                return;
        accepted = add(m, id) != NULL;
        if (accepted && m->callbacks.opened(m, id, m->userdata) < 0) {
                struct session *s = find(m, id);

                if (s)
                        s->id = 0;
                accepted = false;
        }
        if (!accepted)
                put_frame(m, FRAME_CLOSE, id, NULL, 0);
}

static void handle_data(struct mux *m, uint32_t id, const uint8_t *data, size_t n)
{
        struct session *s = find(m, id);

        if (!s || n == 0)
                return;
        if (n > s->receive_credit) { /* a peer that ignores the window loses the session */
                put_frame(m, FRAME_CLOSE, id, NULL, 0);
                end_session(m, s, true);
                return;
        }
        s->receive_credit -= (uint32_t)n;
        m->callbacks.data(m, id, data, n, m->userdata);
}

static void handle_window(struct mux *m, uint32_t id, const uint8_t *body)
{
        struct session *s = find(m, id);
        uint32_t n;

        if (!s)
                return;
        memcpy(&n, body, sizeof(n));
        n = le32toh(n);
        if (n > MUX_WINDOW - s->send_credit)
                n = MUX_WINDOW - s->send_credit;
        s->send_credit += n;
        if (s->blocked && s->send_credit > 0) {
                s->blocked = false;
                m->callbacks.writable(m, id, m->userdata);
        }
}

static void handle_frame(struct mux *m, const struct header *h, const uint8_t *body)
{
        uint32_t id = le32toh(h->session);
        size_t n = le16toh(h->length);
        struct session *s;

        if (h->type == FRAME_HELLO) {
                if (n == HELLO_SIZE)
                        handle_hello(m, body);
                return;
        }
        if (!m->ready || le32toh(h->tag) != tag_of(m))
                return;
        switch (h->type) {
        case FRAME_OPEN:
                handle_open(m, id);
                break;
        case FRAME_DATA:
                handle_data(m, id, body, n);
                break;
        case FRAME_CLOSE:
                s = find(m, id);
                if (s)
                        end_session(m, s, false);
                break;
        case FRAME_WINDOW:
                if (n == sizeof(uint32_t))
                        handle_window(m, id, body);
                break;
        default:
                break;
        }
}

static bool header_valid(const struct header *h)
{
        return le32toh(h->magic) == MAGIC && h->zero == 0 && h->type >= FRAME_HELLO &&
               h->type < FRAME_TYPES_ && le16toh(h->length) <= MUX_PAYLOAD_MAX &&
               le32toh(h->check) == fnv1a(&h->tag, sizeof(*h) - offsetof(struct header, tag));
}

/* Drops bytes up to the next that can begin a header. */
static void skip(struct mux *m)
{
        static const uint8_t first = MAGIC & 0xff;
        const uint8_t *p = memchr(m->in + 1, first, m->n_in - 1);
        size_t n = p ? (size_t)(p - m->in) : m->n_in;

        memmove(m->in, m->in + n, m->n_in - n);
        m->n_in -= n;
}

static void drop_filler(struct mux *m)
{
        size_t n = 0;

        while (n < m->n_in && m->in[n] == 0)
                n++;
        memmove(m->in, m->in + n, m->n_in - n);
        m->n_in -= n;
}

/* Bytes were lost or forged: nothing under way can be trusted, so this side begins again. */
static int resynchronise(struct mux *m)
{
        size_t n_in = m->n_in;
        bool was_ready = m->ready;
        int r;

        if (was_ready) {
                r = mux_restart(m);
                if (r < 0)
                        return r;
                m->n_in = n_in;
        }
        skip(m);
        return 0;
}

/* Handles one whole frame at the head of the input: 1, 0 when more bytes are needed. */
static int take_frame(struct mux *m)
{
        struct header h;
        size_t size;
        uint8_t body[MUX_PAYLOAD_MAX];

        drop_filler(m);
        if (m->n_in < sizeof(h))
                return 0;
        memcpy(&h, m->in, sizeof(h));
        if (!header_valid(&h)) {
                int r = resynchronise(m);

                return r < 0 ? r : 1;
        }
        size = sizeof(h) + le16toh(h.length);
        if (m->n_in < size)
                return 0;
        memcpy(body, m->in + sizeof(h), size - sizeof(h));
        memmove(m->in, m->in + size, m->n_in - size);
        m->n_in -= size;
        handle_frame(m, &h, body);
        return 1;
}

int mux_feed(struct mux *m, const void *data, size_t n)
{
        const uint8_t *p = data;

        while (n > 0) {
                size_t k = sizeof(m->in) - m->n_in;
                int r;

                if (k > n)
                        k = n;
                memcpy(m->in + m->n_in, p, k);
                m->n_in += k;
                p += k;
                n -= k;
                do {
                        r = take_frame(m);
                } while (r > 0);
                if (r < 0 || m->failed < 0)
                        return r < 0 ? r : m->failed;
        }
        return 0;
}

size_t mux_output(const struct mux *m, const void **ret)
{
        *ret = m->out;
        return m->n_out;
}

void mux_sent(struct mux *m, size_t n)
{
        assert(n <= m->n_out);
        memmove(m->out, m->out + n, m->n_out - n);
        m->n_out -= n;
}

bool mux_ready(const struct mux *m)
{
        return m->ready;
}

int mux_open(struct mux *m, uint32_t *ret_session)
{
        struct session *s;

        assert(m->initiator);
        if (!m->ready)
                return -ENOTCONN;
        s = add(m, m->next_session);
        if (!s)
                return -EMFILE;
        if (++m->next_session == 0)
                m->next_session = 1;
        put_frame(m, FRAME_OPEN, s->id, NULL, 0);
        *ret_session = s->id;
        return m->failed;
}

size_t mux_writable(const struct mux *m, uint32_t session)
{
        const struct session *s = find(m, session);

        return s ? s->send_credit : 0;
}

ssize_t mux_send(struct mux *m, uint32_t session, const void *data, size_t n)
{
        struct session *s = find(m, session);
        const uint8_t *p = data;
        size_t sent = 0;

        if (!s)
                return -ENOTCONN;
        while (sent < n && s->send_credit > 0) {
                size_t k = n - sent;

                if (k > s->send_credit)
                        k = s->send_credit;
                if (k > MUX_PAYLOAD_MAX)
                        k = MUX_PAYLOAD_MAX;
                put_frame(m, FRAME_DATA, session, p + sent, k);
                s->send_credit -= (uint32_t)k;
                sent += k;
        }
        s->blocked = s->send_credit == 0;
        return m->failed < 0 ? m->failed : (ssize_t)sent;
}

/* Credit goes back in portions, so that small reads do not cost a frame each. */
void mux_credit(struct mux *m, uint32_t session, size_t n)
{
        struct session *s = find(m, session);
        uint32_t body;

        if (!s)
                return;
        assert(n <= MUX_WINDOW - s->receive_credit - s->owed);
        s->owed += (uint32_t)n;
        if (s->owed < MUX_WINDOW / 4)
                return;
        body = htole32(s->owed);
        s->receive_credit += s->owed;
        s->owed = 0;
        put_frame(m, FRAME_WINDOW, session, &body, sizeof(body));
}

void mux_close(struct mux *m, uint32_t session)
{
        struct session *s = find(m, session);

        if (!s)
                return;
        s->id = 0;
        put_frame(m, FRAME_CLOSE, session, NULL, 0);
}
