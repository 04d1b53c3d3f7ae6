/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reading from a registry and writing to it share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "http.h"
#include "registry.h"

/* A bound for the whole of a small exchange. */
#define DOCUMENT_SECONDS 120

struct registry {
        struct registry_reference reference;
        char *base; /* "https://HOST:PORT" */
        bool plain_http;
        char *credentials; /* "USER:PASSWORD", or NULL */
        struct http_client *http;
        pthread_mutex_t lock;
        atomic_bool stopped;
        void (*received)(void *userdata, size_t size);
        void *userdata;
        char *authorization; /* header that the registry took last, or NULL */
};

/* Sends a request, again where that may help. q->url is one of the registry's. */
int registry_request(struct registry *r, struct http_request *q, struct http_answer *a, struct error *e);

/* The URL of one thing of the repository, to be freed. */
int registry_url(const struct registry *r, char **ret, const char *kind, const char *name);

/* Gets a document of this digest, or of any for NULL. ret_link: the header Link of the answer, "" if it has
 * none, to be freed. May be NULL. */
int registry_get_document(struct registry *r, const char *url, const char *digest,
                          struct registry_document *ret, char **ret_link, struct error *e);

/* Whether a URL is the registry's own: others never get its credentials. */
bool registry_same_origin(const struct registry *r, const char *url);

/* The error that an answer stands for. */
int registry_unexpected(const struct http_request *q, const struct http_answer *a, struct error *e);

/* Resolves the Location that came from a URL; to be freed. -EPROTO where it leaves HTTPS, or is no URL. */
int registry_resolve(const struct registry *r, const char *from, const char *location, char **ret,
                     struct error *e);
