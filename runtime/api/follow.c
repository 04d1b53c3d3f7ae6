/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/api/follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "runtime/api/interface.h"

#define LOG_PORTION ((size_t)128 * 1024)
#define EVENTS_PORTION 64u
#define SINCE_MAX_US (UINT64_C(253402300800) * 1000000) /* the year 10000 */
#define POLL_USEC 100000u
#define POLL_SOON_USEC 1000u

struct follower {
        struct followers *list;
        const struct source *source;
        sd_varlink *link;
        char *name, *container;
        struct log_request log; /* refers to them */
        uint64_t tail;          /* lines, UINT64_MAX: all; until the position is there */
        bool follow;
        bool found;                   /* what is followed was there */
        struct log_position position; /* of logs */
        uint64_t number;              /* of events: the last one that was sent */
        sd_event_source *timer;
        struct follower *next;
};

struct source {
        const char *field; /* of the replies */
        int (*read)(struct follower *f, sd_json_variant **ret, bool *ret_over, struct error *e);
};

static int read_log(struct follower *f, sd_json_variant **ret, bool *ret_over, struct error *e)
{
        int r = 0;

        if (f->tail != UINT64_MAX)
                r = manager_seek_log(f->list->manager, &f->log, f->tail, &f->position, e);
        f->tail = UINT64_MAX;
        return r < 0 ? r
                     : manager_read_log(f->list->manager, &f->log, &f->position, LOG_PORTION, ret, ret_over,
                                        e);
}

static int read_events(struct follower *f, sd_json_variant **ret, bool *ret_over, struct error *e)
{
        return manager_read_events(f->list->manager, f->name, &f->number, EVENTS_PORTION, ret, e);
}

static const struct source logs = {"entries", read_log}, events = {"events", read_events};

static void follower_free(struct follower *f)
{
        struct follower **p = &f->list->first;

        while (*p != f)
                p = &(*p)->next;
        *p = f->next;
        (void)sd_event_source_disable_unref(f->timer);
        (void)sd_varlink_unref(f->link);
        free(f->name);
        free(f->container);
        free(f);
}

static void push(struct follower *f)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        struct error e = {"out of memory"};
        bool over = false;
        int r;

        if (sd_varlink_get_events(f->link) & EPOLLOUT)
                return;
        r = f->source->read(f, &list, &over, &e);
        if (r == -ENOENT && f->found) { /* deleted while it was followed: that is the end, not an error */
                (void)sd_varlink_replybo(f->link, SD_JSON_BUILD_PAIR_EMPTY_ARRAY(f->source->field));
                follower_free(f);
                return;
        }
        if (r < 0) {
                (void)sd_varlink_errorbo(f->link,
                                         r == -ENOENT ? GROUPS_ERROR_NO_SUCH_GROUP : GROUPS_ERROR_FAILED,
                                         SD_JSON_BUILD_PAIR_STRING("message", e.message));
                follower_free(f);
                return;
        }
        f->found = true;
        if (sd_json_variant_elements(list) > 0) {
                (void)sd_varlink_notifybo(f->link, SD_JSON_BUILD_PAIR_VARIANT(f->source->field, list));
        } else if (!f->follow || over) {
                (void)sd_varlink_replybo(f->link, SD_JSON_BUILD_PAIR_VARIANT(f->source->field, list));
                follower_free(f);
        }
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct follower *f = userdata;

        /* the first portions of a long log go out without a pause */
        (void)sd_event_source_set_time_relative(
                source, sd_varlink_get_events(f->link) & EPOLLOUT ? POLL_SOON_USEC : POLL_USEC);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        push(f);
        return 0;
}

static bool is_true(sd_json_variant *parameters, const char *field)
{
        sd_json_variant *v = sd_json_variant_by_key(parameters, field);

        return v && sd_json_variant_is_boolean(v) && sd_json_variant_boolean(v);
}

/* An optional number that must not be negative: -EINVAL. Absent or null: *ret stays. */
static int read_number(sd_json_variant *parameters, const char *field, uint64_t *ret)
{
        sd_json_variant *v = sd_json_variant_by_key(parameters, field);

        if (!v || sd_json_variant_is_null(v))
                return 0;
        if (!sd_json_variant_is_unsigned(v) || sd_json_variant_unsigned(v) > INT64_MAX)
                return -EINVAL;
        *ret = sd_json_variant_unsigned(v);
        return 0;
}

static int begin(struct followers *s, const struct source *source, sd_varlink *link,
                 sd_json_variant *parameters, uint64_t tail, uint64_t since_us)
{
        const char *name = json_optional_string(parameters, "name"),
                   *container = json_optional_string(parameters, "container");
        struct follower *f = calloc(1, sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        f->list = s;
        f->source = source;
        f->link = sd_varlink_ref(link);
        f->name = name ? strdup(name) : NULL;
        f->container = container ? strdup(container) : NULL;
        f->tail = tail;
        f->follow = is_true(parameters, "follow");
        f->log = (struct log_request){.name = f->name,
                                      .container = f->container,
                                      .since_us = since_us,
                                      .previous = is_true(parameters, "previous")};
        f->next = s->first;
        s->first = f;
        r = (f->name || !name) && (f->container || !container) ? 0 : -ENOMEM;
        if (r >= 0)
                r = sd_event_add_time_relative(s->event, &f->timer, CLOCK_MONOTONIC, 0, POLL_SOON_USEC,
                                               on_timer, f);
        if (r < 0)
                follower_free(f);
        return r;
}

int follow_logs(struct followers *s, sd_varlink *link, sd_json_variant *parameters)
{
        uint64_t tail = UINT64_MAX, since_us = 0;

        if (!json_optional_string(parameters, "name"))
                return sd_varlink_error_invalid_parameter_name(link, "name");
        if (read_number(parameters, "tail", &tail) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "tail");
        if (read_number(parameters, "since", &since_us) < 0 || since_us > SINCE_MAX_US)
                return sd_varlink_error_invalid_parameter_name(link, "since");
        return begin(s, &logs, link, parameters, tail, since_us);
}

int follow_events(struct followers *s, sd_varlink *link, sd_json_variant *parameters)
{
        return begin(s, &events, link, parameters, UINT64_MAX, 0);
}

void followers_drop(struct followers *s, const sd_varlink *link)
{
        for (struct follower *f = s->first, *next; f; f = next) {
                next = f->next;
                if (!link || f->link == link)
                        follower_free(f);
        }
}
