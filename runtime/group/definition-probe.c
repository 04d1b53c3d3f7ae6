/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Probes in the group file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/group/definition-parts.h"

#define SECONDS_MAX 86400
#define COUNT_MAX 1000
#define HTTP_PATH_MAX 2048

static int read_number(struct reader *r, const struct node *n, uint64_t min, uint64_t max, unsigned *ret)
{
        uint64_t value = 0;
        int k;

        k = reader_decimal(r, n, 0, &value);
        if (k >= 0 && (value < min || value > max))
                return reader_fail(r, n, "%lu to %lu expected, found %.32s", min, max, n->text);
        *ret = (unsigned)value;
        return k;
}

static int read_delay(struct reader *r, const struct node *n, void *target)
{
        return read_number(r, n, 0, SECONDS_MAX, &((struct definition_probe *)target)->delay_s);
}

static int read_period(struct reader *r, const struct node *n, void *target)
{
        return read_number(r, n, 1, SECONDS_MAX, &((struct definition_probe *)target)->period_s);
}

static int read_timeout(struct reader *r, const struct node *n, void *target)
{
        return read_number(r, n, 1, SECONDS_MAX, &((struct definition_probe *)target)->timeout_s);
}

static int read_failures(struct reader *r, const struct node *n, void *target)
{
        return read_number(r, n, 1, COUNT_MAX, &((struct definition_probe *)target)->failures);
}

static int read_successes(struct reader *r, const struct node *n, void *target)
{
        return read_number(r, n, 1, COUNT_MAX, &((struct definition_probe *)target)->successes);
}

static int read_path(struct reader *r, const struct node *n, void *target)
{
        struct definition_probe *probe = target;
        int k;

        k = reader_string(r, n, &probe->path);
        if (k < 0)
                return k;
        if (probe->path[0] != '/' || strlen(probe->path) > HTTP_PATH_MAX)
                return reader_fail(r, n, "a path from \"/\" of at most %d bytes expected, found \"%.64s\"",
                                   HTTP_PATH_MAX, n->text);
        for (const char *p = probe->path; *p; p++)
                if (*p <= ' ' || *p >= 0x7f)
                        return reader_fail(
                                r, n, "a path in printable ASCII without spaces expected, found \"%.64s\"",
                                n->text);
        return 0;
}

static int read_port(struct reader *r, const struct node *n, void *target)
{
        unsigned port = 0;
        int k;

        k = read_number(r, n, 1, 65535, &port);
        ((struct definition_probe *)target)->port = (uint16_t)port;
        return k;
}

static int read_scheme(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (strcasecmp(n->text, "https") == 0)
                return reader_fail(r, n, "not supported yet: https");
        return strcasecmp(n->text, "http") == 0
                       ? 0
                       : reader_fail(r, n, "http expected, found \"%.32s\"", n->text);
}

static int read_http_get(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field fields[] = {
                {"port", read_port, true}, {"path", read_path, false}, {"scheme", read_scheme, false}, {}};
        static const char *const later[] = {"httpHeaders", NULL};
        struct definition_probe *probe = target;
        int k;

        k = reader_map(r, n, fields, later, target);
        if (k < 0 || probe->path)
                return k;
        probe->path = strdup("/");
        return probe->path ? 0 : -ENOMEM;
}

static int read_probe(struct reader *r, const struct node *n, struct definition_probe **ret)
{
        static const struct reader_field fields[] = {{"httpGet", read_http_get, true},
                                                     {"initialDelaySeconds", read_delay, false},
                                                     {"periodSeconds", read_period, false},
                                                     {"timeoutSeconds", read_timeout, false},
                                                     {"failureThreshold", read_failures, false},
                                                     {"successThreshold", read_successes, false},
                                                     {}};
        static const char *const later[] = {"exec", NULL};

        *ret = calloc(1, sizeof(**ret));
        if (!*ret)
                return -ENOMEM;
        **ret = (struct definition_probe){.period_s = 10, .timeout_s = 1, .failures = 3, .successes = 1};
        return reader_map(r, n, fields, later, *ret);
}

int definition_read_liveness(struct reader *r, const struct node *n, void *target)
{
        struct definition_container *c = target;
        int k;

        k = read_probe(r, n, &c->probes[PROBE_LIVENESS]);
        if (k >= 0 && c->probes[PROBE_LIVENESS]->successes != 1)
                return reader_fail(r, n, "successThreshold 1 expected, found %u: one success is life",
                                   c->probes[PROBE_LIVENESS]->successes);
        return k;
}

int definition_read_readiness(struct reader *r, const struct node *n, void *target)
{
        return read_probe(r, n, &((struct definition_container *)target)->probes[PROBE_READINESS]);
}

int definition_probe_to_json(const struct definition_probe *p, sd_json_variant **ret)
{
        return sd_json_buildo(ret,
                              SD_JSON_BUILD_PAIR_OBJECT("httpGet", SD_JSON_BUILD_PAIR_STRING("path", p->path),
                                                        SD_JSON_BUILD_PAIR_UNSIGNED("port", p->port),
                                                        SD_JSON_BUILD_PAIR_STRING("scheme", "http")),
                              SD_JSON_BUILD_PAIR_UNSIGNED("initialDelaySeconds", p->delay_s),
                              SD_JSON_BUILD_PAIR_UNSIGNED("periodSeconds", p->period_s),
                              SD_JSON_BUILD_PAIR_UNSIGNED("timeoutSeconds", p->timeout_s),
                              SD_JSON_BUILD_PAIR_UNSIGNED("failureThreshold", p->failures),
                              SD_JSON_BUILD_PAIR_UNSIGNED("successThreshold", p->successes));
}

struct definition_probe *definition_free_probe(struct definition_probe *p)
{
        if (!p)
                return NULL;
        free(p->path);
        free(p);
        return NULL;
}
