/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* HTTP exchanges by libcurl, in which whatever the other side decides is bounded. Redirects, credentials and
 * repetition are the caller's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct http_client;

/* tls_ca: file with the certificates of authorities to trust instead of the system's, or NULL. stall_seconds:
 * a transfer that stands still for so long has failed. */
int http_client_new(const char *tls_ca, unsigned stall_seconds, struct http_client **ret, struct error *e);
struct http_client *http_client_free(struct http_client *c);
DEFINE_CLEANUP(struct http_client *, http_client_free)

/* Takes a piece of the body; an error ends the transfer. */
typedef int (*http_sink_t)(void *userdata, const void *data, size_t size, struct error *e);

struct http_request {
        const char *method;
        const char *url;
        const char *authorization, *accept, *content_type; /* NULL: none */
        /* What is sent: body, or body_fd from its beginning where body is NULL. */
        const void *body;
        int body_fd;
        uint64_t body_size;
        uint64_t from; /* first byte that is asked for */
        /* Takes the body of an answer with the status 200 or 206. NULL: it is kept in the answer. */
        http_sink_t sink;
        uint64_t (*again)(void *userdata); /* from where on, when the request is repeated; NULL: from 0 */
        void *userdata;
        size_t max;             /* of a body that is kept, in bytes */
        unsigned total_seconds; /* for the whole exchange; 0: no bound but that of a stalled transfer */
};

struct http_answer {
        long status;
        char location[4096], authenticate[4096], content_type[128], content_digest[96], subject[96],
                link[4096]; /* "" */
        char *body;         /* NUL-terminated */
        size_t size;
};
void http_answer_done(struct http_answer *a);

/* One exchange; safe in several threads. Any status is success. -ECONNRESET: the connection broke, which may
 * pass. -ETIMEDOUT: it stood still. -EMSGSIZE: more than max bytes. */
int http_exchange(struct http_client *c, const struct http_request *q, struct http_answer *ret,
                  struct error *e);
