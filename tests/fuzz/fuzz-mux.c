/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whatever comes through the pipe: the other side of a machine's port is not trusted. The input is a list of
 * frames to come; checksum and tag are put right here, which the fuzzer could not guess, unless a bit asks
 * for noise. */
#include "fuzz.h"

#include <endian.h>
#include <string.h>

#include "runtime/api/mux.h"

static uint64_t own_epoch; /* of the mux under test, from its last greeting */

static int opened(struct mux *m, uint32_t session, void *userdata)
{
        return session % 5 == 0 ? -1 : 0;
}

static void received(struct mux *m, uint32_t session, const void *data, size_t n, void *userdata)
{
        PROMISE(n <= MUX_PAYLOAD_MAX);
        (void)mux_send(m, session, data, n);
        if (session % 3 != 0)
                mux_credit(m, session, n);
        if (n % 7 == 6)
                mux_close(m, session);
}

static void closed(struct mux *m, uint32_t session, bool lost, void *userdata)
{
        PROMISE(mux_writable(m, session) == 0);
}

static void writable(struct mux *m, uint32_t session, void *userdata)
{
        PROMISE(mux_writable(m, session) > 0);
        (void)mux_send(m, session, "x", 1);
}

static void put32(uint8_t *p, uint32_t v)
{
        v = htole32(v);
        memcpy(p, &v, sizeof(v));
}

static void finish_header(uint8_t *h)
{
        uint32_t check = 2166136261u;

        for (size_t i = 8; i < MUX_HEADER_SIZE; i++)
                check = (check ^ h[i]) * 16777619u;
        put32(h, 0x314d4648u);
        put32(h + 4, check);
}

/* Reads what the mux wants to send, as the other side would, to learn its epoch. */
static void take_output(struct mux *m)
{
        const void *out;
        size_t n = mux_output(m, &out);
        const uint8_t *p = out;

        for (size_t i = 0; i + MUX_HEADER_SIZE + 8 <= n; i++)
                if (memcmp(p + i, "HFM1", 4) == 0 && p[i + 18] == 1)
                        memcpy(&own_epoch, p + i + MUX_HEADER_SIZE, sizeof(own_epoch));
        mux_sent(m, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct mux_callbacks callbacks = {opened, received, closed, writable};
        static uint8_t frame[MUX_HEADER_SIZE + 4 * 256];
        struct mux *m = NULL;

        if (size < 1 || mux_new(data[0] & 1, &callbacks, NULL, &m) < 0)
                return 0;
        for (size_t at = 1; at + 4 <= size; at += 4) {
                uint8_t type = data[at] & 7, flags = data[at] >> 3;
                size_t n = type == 1 ? 16 : type == 5 ? 4 : 4u * data[at + 2];
                uint64_t epoch = 1 + (flags & 1), x;
                uint32_t session = 0;

                take_output(m);
                memset(frame, data[at + 3], sizeof(frame));
                memcpy(&x, &own_epoch, sizeof(x));
                x = le64toh(x) ^ epoch;
                put32(frame + 8, type == 1 ? 0 : (uint32_t)(x ^ (x >> 32)));
                put32(frame + 12, data[at + 1] % 70);
                frame[16] = (uint8_t)n;
                frame[17] = (uint8_t)(n >> 8);
                frame[18] = type;
                frame[19] = 0;
                if (type == 1)
                        memcpy(frame + MUX_HEADER_SIZE, &(uint64_t){htole64(epoch)}, 8);
                finish_header(frame);
                if (flags & 8)
                        frame[data[at + 1] % MUX_HEADER_SIZE] ^= data[at + 2];
                if (mux_feed(m, frame, MUX_HEADER_SIZE + n) < 0)
                        break;
                if ((data[0] & 1) && (flags & 16))
                        (void)mux_open(m, &session);
        }
        (void)mux_free(m);
        return 0;
}
