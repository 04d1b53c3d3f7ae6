/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many byte streams ("sessions") over one byte pipe whose peer may restart at any time: what a virtio-serial
 * port needs.
 *
 * Frame, little endian, 20 bytes of header and then `length` bytes:
 *   u32 magic "HFM1" · u32 check (FNV-1a of the 12 bytes behind it) · u32 tag · u32 session · u16 length · u8
 * type · u8 zero HELLO carries {u64 own epoch, u64 the peer's epoch as known, 0 if not}; epochs are random,
 * one per start. The tag of all other frames is made from both epochs, so a frame from before a restart is
 * dropped. Bytes that are no frame make this side start anew (new epoch, all sessions lost) and look for the
 * next header byte by byte. Zero bytes between frames are filler: a start sends a frame's worth of them
 * first, which completes whatever frame its predecessor left unfinished. Each direction of a session may have
 * MUX_WINDOW bytes under way; WINDOW gives credit back, so a slow reader stops only its own session. The
 * initiating side chooses session numbers, the other accepts.
 *
 * It does no I/O: bytes come in by mux_feed(), go out by mux_output(); what happens is told through
 * callbacks, which may call mux_send(), mux_close() and mux_credit() but not mux_feed(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MUX_HEADER_SIZE 20u
#define MUX_PAYLOAD_MAX 16384u
#define MUX_WINDOW 65536u
#define MUX_SESSIONS_MAX 64u

struct mux;

struct mux_callbacks {
        /* The peer opened a session (accepting side only). A negative return refuses it. */
        int (*opened)(struct mux *m, uint32_t session, void *userdata);
        /* n bytes came; give them back by mux_credit() when they are passed on. */
        void (*data)(struct mux *m, uint32_t session, const void *data, size_t n, void *userdata);
        /* The session is over: the peer closed it, or the pipe was restarted (then what was under way is
         * lost). */
        void (*closed)(struct mux *m, uint32_t session, bool lost, void *userdata);
        /* There is credit again after mux_send() took less than it was given. */
        void (*writable)(struct mux *m, uint32_t session, void *userdata);
};

/* initiator: true on the side that opens sessions. */
int mux_new(bool initiator, const struct mux_callbacks *callbacks, void *userdata, struct mux **ret);
struct mux *mux_free(struct mux *m);

/* The pipe is new (opened, or the peer went away): forgets everything under way and greets. */
int mux_restart(struct mux *m);

/* Greets again, as long as the peer has not answered: call it about once a second until mux_ready(). */
void mux_greet(struct mux *m);

/* Bytes from the pipe. */
int mux_feed(struct mux *m, const void *data, size_t n);

/* Bytes for the pipe: a borrowed view, valid until the next call; mux_sent() removes what was written. */
size_t mux_output(const struct mux *m, const void **ret);
void mux_sent(struct mux *m, size_t n);

/* Both sides have greeted each other. */
bool mux_ready(const struct mux *m);

/* Opens a session: -ENOTCONN before mux_ready(), -EMFILE at the limit. */
int mux_open(struct mux *m, uint32_t *ret_session);

/* Sends up to n bytes; returns how many were taken, 0 without credit, -ENOTCONN when the session is not open.
 */
ssize_t mux_send(struct mux *m, uint32_t session, const void *data, size_t n);

/* How many bytes mux_send() would take. */
size_t mux_writable(const struct mux *m, uint32_t session);

/* n bytes of the session were passed on to their reader. */
void mux_credit(struct mux *m, uint32_t session, size_t n);

/* Ends the session from this side; no callback follows. */
void mux_close(struct mux *m, uint32_t session);
