/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/api/follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "runtime/api/interface.h"

#define LOG_PORTION ((size_t)128 * 1024)
#define EVENTS_PORTION 64u
#define POLL_USEC 100000u
#define POLL_SOON_USEC 1000u

struct follower {
        struct followers *list;
        const struct source *source;
        sd_varlink *link;
        char *name, *container;
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
        return manager_read_log(f->list->manager, f->name, f->container, &f->position, LOG_PORTION, ret,
                                ret_over, e);
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

static int begin(struct followers *s, const struct source *source, sd_varlink *link,
                 sd_json_variant *parameters)
{
        const char *name = json_optional_string(parameters, "name"),
                   *container = json_optional_string(parameters, "container");
        sd_json_variant *follow = sd_json_variant_by_key(parameters, "follow");
        struct follower *f = calloc(1, sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        f->list = s;
        f->source = source;
        f->link = sd_varlink_ref(link);
        f->name = name ? strdup(name) : NULL;
        f->container = container ? strdup(container) : NULL;
        f->follow = follow && sd_json_variant_is_boolean(follow) && sd_json_variant_boolean(follow);
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
        if (!json_optional_string(parameters, "name"))
                return sd_varlink_error_invalid_parameter_name(link, "name");
        return begin(s, &logs, link, parameters);
}

int follow_events(struct followers *s, sd_varlink *link, sd_json_variant *parameters)
{
        return begin(s, &events, link, parameters);
}

void followers_drop(struct followers *s, const sd_varlink *link)
{
        for (struct follower *f = s->first, *next; f; f = next) {
                next = f->next;
                if (!link || f->link == link)
                        follower_free(f);
        }
}
