/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients that read what grows: a container's log, events. They get it in portions, each a reply with
 * "continues"; the next one goes out when the client has taken the last, so that a slow reader costs no
 * memory here. */
#pragma once

#include <systemd/sd-varlink.h>

#include "runtime/group/manager.h"

struct followers {
        sd_event *event;         /* borrowed */
        struct manager *manager; /* borrowed */
        struct follower *first;
};

/* Answers the method of this name on the link. Errors that are the client's are answered too. */
int follow_logs(struct followers *s, sd_varlink *link, sd_json_variant *parameters);
int follow_events(struct followers *s, sd_varlink *link, sd_json_variant *parameters);

/* Forgets those of this link, or, NULL, all. */
void followers_drop(struct followers *s, const sd_varlink *link);
