/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What happened to a group: a bounded list of events as the API shows them ({"number","time","group",
 * "container"?,"type","reason","message"}), the newest last. It is kept in the group's record, so that it
 * outlives the daemon. Reasons are Azure's and Kubernetes' names where they have one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

#define HISTORY_EVENTS_MAX 128u

struct history_event {
        uint64_t number;       /* grows; of one daemon's groups together */
        const char *time;      /* RFC 3339 */
        const char *group;     /* its name */
        const char *container; /* NULL: the whole group */
        bool warning;
        const char *reason, *message;
};

/* Appends to the list (NULL: an empty one); beyond HISTORY_EVENTS_MAX the oldest is dropped. */
int history_add(sd_json_variant **history, const struct history_event *event);

/* The same with an event of another list. */
int history_keep(sd_json_variant **history, sd_json_variant *event);

/* Judges a list that was read from a record: -EINVAL. *ret_last: the last number, 0 for an empty list. */
int history_check(sd_json_variant *history, const char *name, uint64_t *ret_last, struct error *e);

/* At most max events above number *position of n lists (NULL: empty), ordered by number; moves the position.
 */
int history_read(sd_json_variant *const *histories, size_t n, uint64_t *position, size_t max,
                 sd_json_variant **ret);
