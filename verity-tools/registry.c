/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests to a registry: redirects, credentials, repetition. */
#include "registry.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "libcurl.h"
#include "registry-internal.h"

#define REDIRECTS_MAX 5
#define ATTEMPTS 4
#define BACK_OFF_MS 250
#define STALL_SECONDS 60
#define TOKEN_MAX ((size_t)16 * 1024)
#define TOKEN_ANSWER_MAX ((size_t)64 * 1024)

static inline void url_free(CURLU **p)
{
        curl->url_cleanup(*p);
}

static inline void text_free(char **p)
{
        curl->free(*p);
}

/* --- URLs --- */

static bool is_loopback(const char *host)
{
        return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
               (strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0');
}

/* Scheme and host of a URL; plain HTTP is for this machine, or where the user said so. */
static int check_url(const struct registry *r, CURLU *url, const char *text, bool from_tls, struct error *e)
{
        _cleanup_(text_free) char *scheme = NULL, *host = NULL;

        if (curl->url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
            curl->url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
                return error_set(e, -EPROTO, "%.200s: a URL with a host expected", text);
        if (strcmp(scheme, "https") == 0)
                return 0;
        if (strcmp(scheme, "http") != 0 || from_tls || (!r->plain_http && !is_loopback(host)))
                return error_set(e, -EPROTO, "%.*s: HTTPS expected, found %s", (int)strcspn(text, "?"), text,
                                 scheme);
        return 0;
}

int registry_resolve(const struct registry *r, const char *from, const char *location, char **ret,
                     struct error *e)
{
        _cleanup_(url_free) CURLU *url = curl->url();
        bool from_tls = strncmp(from, "https:", 6) == 0;
        char *text = NULL;
        int k;

        if (!url)
                return -ENOMEM;
        if (curl->url_set(url, CURLUPART_URL, from, 0) != CURLUE_OK ||
            curl->url_set(url, CURLUPART_URL, location, 0) != CURLUE_OK ||
            curl->url_set(url, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK ||
            curl->url_get(url, CURLUPART_URL, &text, 0) != CURLUE_OK)
                return error_set(e, -EPROTO, "%s: a URL expected in Location, found \"%.200s\"", r->base,
                                 location);
        k = check_url(r, url, text, from_tls, e);
        *ret = k < 0 ? NULL : strdup(text);
        curl->free(text);
        if (k < 0)
                return error_prefix(e, k, "redirected");
        return *ret ? 0 : -ENOMEM;
}

/* r->base ends behind the authority, so what follows it there is a path and nothing else. */
bool registry_same_origin(const struct registry *r, const char *url)
{
        size_t n = strlen(r->base);

        return strncmp(url, r->base, n) == 0 && url[n] == '/';
}

/* --- credentials --- */

static int basic(const struct registry *r, char **ret)
{
        size_t n = strlen(r->credentials);
        _cleanup_free_ unsigned char *text = malloc(4 * (n / 3 + 1) + 1);

        if (!text)
                return -ENOMEM;
        (void)EVP_EncodeBlock(text, (const unsigned char *)r->credentials, (int)n);
        if (asprintf(ret, "Basic %s", text) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int token_url(const struct registry *r, const struct registry_challenge *c, char **ret,
                     struct error *e)
{
        _cleanup_(url_free) CURLU *url = curl->url();
        char service[300], scope[1100], *text = NULL;
        int k;

        if (!url)
                return -ENOMEM;
        (void)snprintf(service, sizeof(service), "service=%s", c->service);
        (void)snprintf(scope, sizeof(scope), "scope=%s", c->scope);
        if (curl->url_set(url, CURLUPART_URL, c->realm, 0) != CURLUE_OK ||
            (c->service[0] && curl->url_set(url, CURLUPART_QUERY, service,
                                            CURLU_APPENDQUERY | CURLU_URLENCODE) != CURLUE_OK) ||
            (c->scope[0] &&
             curl->url_set(url, CURLUPART_QUERY, scope, CURLU_APPENDQUERY | CURLU_URLENCODE) != CURLUE_OK) ||
            curl->url_get(url, CURLUPART_URL, &text, 0) != CURLUE_OK)
                return error_set(e, -EPROTO, "%s: the URL of a token server expected, found \"%.200s\"",
                                 r->base, c->realm);
        k = check_url(r, url, text, strncmp(r->base, "https:", 6) == 0, e);
        *ret = k < 0 ? NULL : strdup(text);
        curl->free(text);
        return k < 0 || *ret ? k : -ENOMEM;
}

/* "token" or "access_token": characters that a header can carry. */
static int parse_token(const char *text, char **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *token;
        const char *s;
        int k;

        k = json_parse("token", text, &v, e);
        if (k < 0)
                return k;
        token = sd_json_variant_by_key(v, "token") ?: sd_json_variant_by_key(v, "access_token");
        if (!token || !sd_json_variant_is_string(token))
                return error_set(e, -EPROTO, "a token expected, found none");
        s = sd_json_variant_string(token);
        if (s[0] == '\0' || strlen(s) > TOKEN_MAX ||
            s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=")] != '\0')
                return error_set(e, -EPROTO, "a token of 1 to %zu characters expected, found another",
                                 TOKEN_MAX);
        if (asprintf(ret, "Bearer %s", s) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int get_token(struct registry *r, const struct registry_challenge *c, char **ret, struct error *e)
{
        _cleanup_(http_answer_done) struct http_answer a = {};
        _cleanup_free_ char *url = NULL, *authorization = NULL;
        struct http_request q = {
                .method = "GET",
                .max = TOKEN_ANSWER_MAX,
                .total_seconds = DOCUMENT_SECONDS,
        };
        int k;

        k = token_url(r, c, &url, e);
        if (k >= 0 && r->credentials)
                k = basic(r, &authorization);
        if (k < 0)
                return k;
        q.url = url;
        q.authorization = authorization;
        k = http_exchange(r->http, &q, &a, e);
        if (k < 0)
                return k;
        if (a.status != 200)
                return error_set(e, -EACCES, "%s: a token expected from %.*s, found HTTP status %ld%s",
                                 r->base, (int)strcspn(url, "?"), url, a.status,
                                 r->credentials ? "" : " (no credentials: see --authfile=FILE)");
        k = parse_token(a.body ?: "", ret, e);
        return k < 0 ? error_prefix(e, k, "%.*s", (int)strcspn(url, "?"), url) : 0;
}

/* Answers a challenge; later requests go with what comes of it. */
static int authorise(struct registry *r, const char *header, struct error *e)
{
        struct registry_challenge c = {};
        char *authorization = NULL;
        int k;

        k = registry_challenge_parse(header, &c, e);
        if (k < 0)
                return error_prefix(e, k, "%s", r->base);
        if (c.bearer)
                k = get_token(r, &c, &authorization, e);
        else if (r->credentials)
                k = basic(r, &authorization);
        else
                k = error_set(e, -EACCES, "%s: credentials for %s/%s expected, found none (--authfile=FILE)",
                              r->base, r->reference.host, r->reference.repository);
        if (k < 0)
                return k;
        (void)pthread_mutex_lock(&r->lock);
        free(r->authorization);
        r->authorization = authorization;
        (void)pthread_mutex_unlock(&r->lock);
        return 0;
}

static int copy_authorization(struct registry *r, char **ret)
{
        int k = 0;

        (void)pthread_mutex_lock(&r->lock);
        *ret = r->authorization ? strdup(r->authorization) : NULL;
        if (r->authorization && !*ret)
                k = -ENOMEM;
        (void)pthread_mutex_unlock(&r->lock);
        return k;
}

/* --- requests --- */

static bool is_redirect(long status)
{
        return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static int send_once(struct registry *r, struct http_request *q, struct http_answer *a, struct error *e)
{
        _cleanup_free_ char *authorization = NULL;
        int k = registry_same_origin(r, q->url) ? copy_authorization(r, &authorization) : 0;

        if (k < 0)
                return k;
        q->authorization = authorization;
        k = http_exchange(r->http, q, a, e);
        q->authorization = NULL;
        return k;
}

/* Sends, answers one challenge, and follows redirects of what only reads. */
static int follow(struct registry *r, const struct http_request *request, struct http_answer *a,
                  struct error *e)
{
        bool reads = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0,
             challenged = false;
        _cleanup_free_ char *url = NULL;
        struct http_request q = *request;

        for (unsigned hops = 0;;) {
                char *next = NULL;
                int k = send_once(r, &q, a, e);

                if (k < 0)
                        return k;
                if (a->status == 401 && !challenged && a->authenticate[0] && registry_same_origin(r, q.url)) {
                        challenged = true;
                        k = authorise(r, a->authenticate, e);
                        if (k < 0)
                                return k;
                        continue;
                }
                if (!reads || !is_redirect(a->status) || a->location[0] == '\0')
                        return 0;
                if (++hops > REDIRECTS_MAX)
                        return error_set(e, -ELOOP, "%s: at most %d redirects expected, found more",
                                         request->url, REDIRECTS_MAX);
                k = registry_resolve(r, q.url, a->location, &next, e);
                if (k < 0)
                        return k;
                free(url);
                q.url = url = next;
        }
}

/* Codes of a registry's error document, which say more than the status; only plain text of it. */
static void explain(const struct http_answer *a, char ret[static 128])
{
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *code = NULL, *errors;

        ret[0] = '\0';
        if (!a->body || json_parse("answer", a->body, &v, NULL) < 0 || !sd_json_variant_is_object(v))
                return;
        errors = sd_json_variant_by_key(v, "errors");
        if (errors && sd_json_variant_is_array(errors) && sd_json_variant_elements(errors) > 0)
                code = sd_json_variant_by_index(errors, 0);
        if (code && sd_json_variant_is_object(code))
                code = sd_json_variant_by_key(code, "code");
        if (code && sd_json_variant_is_string(code) &&
            strspn(sd_json_variant_string(code), "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") ==
                    strlen(sd_json_variant_string(code)))
                (void)snprintf(ret, 128, " (%.100s)", sd_json_variant_string(code));
}

int registry_unexpected(const struct http_request *q, const struct http_answer *a, struct error *e)
{
        char code[128];
        int r = a->status == 404 ? -ENOENT : a->status == 401 || a->status == 403 ? -EACCES : -EREMOTEIO;

        explain(a, code);
        return error_set(e, r, "%s %.*s: found HTTP status %ld%s%s", q->method, (int)strcspn(q->url, "?"),
                         q->url, a->status, code,
                         r == -EACCES ? ": the credentials (--authfile=FILE) are not good for this" : "");
}

static bool may_pass(int result, long status)
{
        return result == -ECONNRESET || (result >= 0 && (status == 429 || (status >= 500 && status != 501)));
}

int registry_request(struct registry *r, struct http_request *q, struct http_answer *a, struct error *e)
{
        int k;

        if (q->max == 0)
                q->max = OCI_INDEX_MAX;
        for (unsigned attempt = 0;; attempt++) {
                struct timespec pause = {.tv_nsec = (BACK_OFF_MS * 1000000L) << attempt};

                k = follow(r, q, a, e);
                if (attempt + 1 == ATTEMPTS || !may_pass(k, a->status))
                        return k;
                if (q->again)
                        q->from = q->again(q->userdata);
                (void)nanosleep(&pause, NULL);
        }
}

int registry_url(const struct registry *r, char **ret, const char *kind, const char *name)
{
        if (asprintf(ret, "%s/v2/%s/%s/%s", r->base, r->reference.repository, kind, name) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* --- opening --- */

void registry_stop(struct registry *r)
{
        atomic_store(&r->stopped, true);
}

void registry_watch(struct registry *r, void (*received)(void *userdata, size_t size), void *userdata)
{
        r->received = received;
        r->userdata = userdata;
}

int registry_open(const struct registry_reference *reference, const struct registry_options *o,
                  struct registry **ret, struct error *e)
{
        _cleanup_(registry_free_ptr) struct registry *r = calloc(1, sizeof(*r));
        bool hub = strcmp(reference->host, "docker.io") == 0;
        char bare[256];
        int k;

        if (!r)
                return -ENOMEM;
        (void)pthread_mutex_init(&r->lock, NULL);
        r->reference = *reference;
        r->plain_http = o->plain_http;
        (void)snprintf(bare, sizeof(bare), "%.*s",
                       (int)(reference->host[0] == '[' ? strcspn(reference->host, "]") + 1
                                                       : strcspn(reference->host, ":")),
                       reference->host);
        if (asprintf(&r->base, "%s://%s",
                     o->plain_http || (is_loopback(bare) && !o->tls_ca) ? "http" : "https",
                     hub ? "registry-1.docker.io" : reference->host) < 0) {
                r->base = NULL;
                return -ENOMEM;
        }
        k = registry_credentials_find(o->authfile, reference->host, reference->repository, &r->credentials,
                                      e);
        if (k >= 0)
                k = http_client_new(o->tls_ca, o->stall_seconds ?: STALL_SECONDS, &r->http, e);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

struct registry *registry_free(struct registry *r)
{
        if (!r)
                return NULL;
        http_client_free(r->http);
        (void)pthread_mutex_destroy(&r->lock);
        if (r->credentials)
                explicit_bzero(r->credentials, strlen(r->credentials));
        free(r->credentials);
        free(r->authorization);
        free(r->base);
        free(r);
        return NULL;
}
