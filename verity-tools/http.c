/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "libcurl.h"

#define IDLE_MAX 16
#define HEADERS_MAX ((size_t)64 * 1024)
#define CONNECT_SECONDS 15L
#define SLOW 1024L /* bytes a second: less is a transfer that stands still */

/* Handles keep their connections: one that is idle is used again. */
struct http_client {
        char *tls_ca;
        char *no_proxy; /* hosts that are reached without one */
        long stall_seconds;
        pthread_mutex_t lock;
        CURL *idle[IDLE_MAX];
        size_t n_idle;
};

/* This machine, and what the user says where curl reads it. */
static char *make_no_proxy(void)
{
        const char *users = getenv("no_proxy") ?: getenv("NO_PROXY");
        char *ret = NULL;

        if (users && strcmp(users, "*") == 0)
                return strdup(users);
        return asprintf(&ret, "localhost,127.0.0.0/8,::1,%s", users ?: "") < 0 ? NULL : ret;
}

int http_client_new(const char *tls_ca, unsigned stall_seconds, struct http_client **ret, struct error *e)
{
        struct http_client *c;
        int r;

        r = libcurl_load(e);
        if (r < 0)
                return r;
        if (curl->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return error_set(e, -EIO, "libcurl cannot be used");
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        (void)pthread_mutex_init(&c->lock, NULL);
        c->tls_ca = tls_ca ? strdup(tls_ca) : NULL;
        c->no_proxy = make_no_proxy();
        c->stall_seconds = (long)stall_seconds;
        if ((tls_ca && !c->tls_ca) || !c->no_proxy) {
                http_client_free(c);
                return -ENOMEM;
        }
        *ret = c;
        return 0;
}

struct http_client *http_client_free(struct http_client *c)
{
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->n_idle; i++)
                curl->easy_cleanup(c->idle[i]);
        (void)pthread_mutex_destroy(&c->lock);
        free(c->tls_ca);
        free(c->no_proxy);
        free(c);
        curl->global_cleanup();
        return NULL;
}

static CURL *take_handle(struct http_client *c)
{
        CURL *handle = NULL;

        (void)pthread_mutex_lock(&c->lock);
        if (c->n_idle > 0)
                handle = c->idle[--c->n_idle];
        (void)pthread_mutex_unlock(&c->lock);
        return handle ?: curl->easy_init();
}

static void give_handle(struct http_client *c, CURL *handle)
{
        curl->easy_reset(handle);
        (void)pthread_mutex_lock(&c->lock);
        if (c->n_idle < IDLE_MAX) {
                c->idle[c->n_idle++] = handle;
                handle = NULL;
        }
        (void)pthread_mutex_unlock(&c->lock);
        curl->easy_cleanup(handle);
}

void http_answer_done(struct http_answer *a)
{
        free(a->body);
        *a = (struct http_answer){};
}

/* --- one exchange --- */

struct exchange {
        CURL *handle;
        const struct http_request *request;
        struct http_answer *answer;
        uint64_t sent;
        size_t headers; /* bytes of them so far */
        int result;     /* what a callback ended the transfer with */
        struct error *error;
        char cause[CURL_ERROR_SIZE];
};

static int keep(struct exchange *x, const void *data, size_t size)
{
        struct http_answer *a = x->answer;
        char *bigger;

        if (size > x->request->max - a->size)
                return error_set(x->error, -EMSGSIZE, "an answer of at most %zu bytes expected, found more",
                                 x->request->max);
        bigger = realloc(a->body, a->size + size + 1);
        if (!bigger)
                return -ENOMEM;
        a->body = bigger;
        memcpy(a->body + a->size, data, size);
        a->size += size;
        a->body[a->size] = '\0';
        return 0;
}

static size_t take_body(char *data, size_t one, size_t size, void *userdata)
{
        struct exchange *x = userdata;
        const struct http_request *q = x->request;
        long status = 0;

        (void)curl->easy_getinfo(x->handle, CURLINFO_RESPONSE_CODE, &status);
        if (q->sink && (status == 200 || status == 206))
                x->result = q->sink(q->userdata, data, size, x->error);
        else
                x->result = keep(x, data, size);
        return x->result < 0 ? CURL_WRITEFUNC_ERROR : size;
}

static size_t give_body(char *buf, size_t one, size_t n, void *userdata)
{
        struct exchange *x = userdata;
        const struct http_request *q = x->request;
        size_t size = one * n;

        if (size > q->body_size - x->sent)
                size = (size_t)(q->body_size - x->sent);
        if (q->body)
                memcpy(buf, (const char *)q->body + x->sent, size);
        else
                x->result = pread_full(q->body_fd, buf, size, x->sent);
        if (x->result < 0)
                return CURL_READFUNC_ABORT;
        x->sent += size;
        return size;
}

static int rewind_body(void *userdata, curl_off_t offset, int origin)
{
        struct exchange *x = userdata;

        if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > x->request->body_size)
                return CURL_SEEKFUNC_FAIL;
        x->sent = (uint64_t)offset;
        return CURL_SEEKFUNC_OK;
}

/* Copies the value of a header line of this name, without the blanks around it; one too long is dropped. */
static void take_header(const char *line, size_t size, const char *name, char *ret, size_t max)
{
        size_t n = strlen(name);

        if (size <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
                return;
        line += n + 1;
        size -= n + 1;
        while (size > 0 && (*line == ' ' || *line == '\t')) {
                line++;
                size--;
        }
        while (size > 0 && strchr(" \t\r\n", line[size - 1]))
                size--;
        if (size >= max || memchr(line, '\0', size))
                return;
        memcpy(ret, line, size);
        ret[size] = '\0';
}

static size_t take_headers(char *line, size_t one, size_t size, void *userdata)
{
        struct exchange *x = userdata;
        struct http_answer *a = x->answer;

        x->headers += size;
        if (x->headers > HEADERS_MAX) {
                x->result = error_set(x->error, -EMSGSIZE,
                                      "at most %zu bytes of headers expected, found more", HEADERS_MAX);
                return 0;
        }
        take_header(line, size, "Location", a->location, sizeof(a->location));
        if (a->authenticate[0] == '\0')
                take_header(line, size, "WWW-Authenticate", a->authenticate, sizeof(a->authenticate));
        take_header(line, size, "Content-Type", a->content_type, sizeof(a->content_type));
        take_header(line, size, "Docker-Content-Digest", a->content_digest, sizeof(a->content_digest));
        take_header(line, size, "OCI-Subject", a->subject, sizeof(a->subject));
        take_header(line, size, "Link", a->link, sizeof(a->link));
        return size;
}

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
        _cleanup_free_ char *line = NULL;
        struct curl_slist *longer;

        if (asprintf(&line, value ? "%s: %s" : "%s:", name, value) < 0) {
                line = NULL;
                return -ENOMEM;
        }
        longer = curl->slist_append(*list, line);
        if (!longer)
                return -ENOMEM;
        *list = longer;
        return 0;
}

/* "Expect: 100-continue" costs a second at servers that do not know it. */
static int make_headers(const struct http_request *q, struct curl_slist **ret)
{
        int r = add_header(ret, "Expect", NULL);

        if (r >= 0 && q->authorization)
                r = add_header(ret, "Authorization", q->authorization);
        if (r >= 0 && q->accept)
                r = add_header(ret, "Accept", q->accept);
        if (r >= 0 && q->content_type)
                r = add_header(ret, "Content-Type", q->content_type);
        return r;
}

static bool sends_body(const struct http_request *q)
{
        return strcmp(q->method, "PUT") == 0 || strcmp(q->method, "POST") == 0;
}

static CURLcode set_callbacks(CURL *h, struct exchange *x)
{
        CURLcode code = CURLE_OK;

        code |= curl->easy_setopt(h, CURLOPT_ERRORBUFFER, x->cause);
        code |= curl->easy_setopt(h, CURLOPT_WRITEFUNCTION, take_body);
        code |= curl->easy_setopt(h, CURLOPT_WRITEDATA, x);
        code |= curl->easy_setopt(h, CURLOPT_HEADERFUNCTION, take_headers);
        code |= curl->easy_setopt(h, CURLOPT_HEADERDATA, x);
        code |= curl->easy_setopt(h, CURLOPT_READFUNCTION, give_body);
        code |= curl->easy_setopt(h, CURLOPT_READDATA, x);
        code |= curl->easy_setopt(h, CURLOPT_SEEKFUNCTION, rewind_body);
        code |= curl->easy_setopt(h, CURLOPT_SEEKDATA, x);
        return code;
}

/* Bodies are never decoded: digests are over the bytes as they come. */
static CURLcode set_up(struct http_client *c, CURL *h, struct exchange *x, struct curl_slist *headers)
{
        const struct http_request *q = x->request;
        CURLcode code = set_callbacks(h, x);

        code |= curl->easy_setopt(h, CURLOPT_URL, q->url);
        code |= curl->easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
        code |= curl->easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
        code |= curl->easy_setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        code |= curl->easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        code |= curl->easy_setopt(h, CURLOPT_NOPROXY, c->no_proxy);
        code |= curl->easy_setopt(h, CURLOPT_USERAGENT, "verity/" HOLDFAST_VERSION);
        code |= curl->easy_setopt(h, CURLOPT_HTTPHEADER, headers);
        code |= curl->easy_setopt(h, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
        code |= curl->easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, SLOW);
        code |= curl->easy_setopt(h, CURLOPT_LOW_SPEED_TIME, c->stall_seconds);
        code |= curl->easy_setopt(h, CURLOPT_TIMEOUT, (long)q->total_seconds);
        code |= curl->easy_setopt(h, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)q->from);
        if (c->tls_ca)
                code |= curl->easy_setopt(h, CURLOPT_CAINFO, c->tls_ca);
        if (strcmp(q->method, "HEAD") == 0)
                code |= curl->easy_setopt(h, CURLOPT_NOBODY, 1L);
        if (sends_body(q)) {
                code |= curl->easy_setopt(h, CURLOPT_UPLOAD, 1L);
                code |= curl->easy_setopt(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_size);
        }
        code |= curl->easy_setopt(h, CURLOPT_CUSTOMREQUEST, q->method);
        return code;
}

/* Without the query, which may hold a secret. */
static int explain(const struct exchange *x, CURLcode code, struct error *e)
{
        const char *cause = x->cause[0] ? x->cause : curl->easy_strerror(code);
        int shown = (int)strcspn(x->request->url, "?");
        int r = -EIO;

        if (x->result < 0)
                return error_prefix(e, x->result, "%.*s", shown, x->request->url);
        switch (code) {
        case CURLE_OK:
                return 0;
        case CURLE_OPERATION_TIMEDOUT:
                r = -ETIMEDOUT;
                break;
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE:
                r = -ECONNRESET;
                break;
        case CURLE_RANGE_ERROR:
                r = -ERANGE;
                break;
        case CURLE_PEER_FAILED_VERIFICATION:
                return error_set(e, -EPROTO, "%.*s: %s (--tls-ca=FILE names another authority)", shown,
                                 x->request->url, cause);
        default:
                break;
        }
        return error_set(e, r, "%.*s: %s", shown, x->request->url, cause);
}

int http_exchange(struct http_client *c, const struct http_request *q, struct http_answer *ret,
                  struct error *e)
{
        struct exchange x = {.request = q, .answer = ret, .error = e, .handle = take_handle(c)};
        struct curl_slist *headers = NULL;
        CURLcode code;
        int r;

        if (!x.handle)
                return -ENOMEM;
        http_answer_done(ret);
        r = make_headers(q, &headers);
        if (r >= 0 && set_up(c, x.handle, &x, headers) != CURLE_OK)
                r = error_set(e, -EIO, "libcurl lacks an option that is needed");
        if (r >= 0) {
                code = curl->easy_perform(x.handle);
                (void)curl->easy_getinfo(x.handle, CURLINFO_RESPONSE_CODE, &ret->status);
                r = explain(&x, code, e);
        }
        curl->slist_free_all(headers);
        give_handle(c, x.handle);
        if (r < 0)
                http_answer_done(ret);
        return r;
}
