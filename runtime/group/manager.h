/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The groups of a machine. It runs in one thread on an sd-event loop; every effect of the state machine
 * (machine.h) is begun from a queue, one at a time, so that clients are served in between.
 *
 * State lies in STATE/groups/NAME/state.json and is replaced before effects begin; logs lie beside it. What
 * belongs to running containers lies in RUN: containers/GROUP/CONTAINER/ (bundle, exit record), netns/GROUP,
 * layers/HEX, store/. A new manager takes over what its predecessor left. */
#pragma once

#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/json.h"
#include "runtime/group/definition.h"
#include "runtime/group/log.h"

struct manager;
struct group;

struct manager_options {
        const char *run;                  /* /run/holdfast */
        const char *state;                /* /var/lib/holdfast */
        const char *trust;                /* /etc/holdfast/trust */
        const char *ipe;                  /* /sys/kernel/security/ipe */
        const char *init;                 /* container-init on the host */
        const char *executor;             /* crun */
        void (*log)(const char *message); /* for what no request is the reason of; may be NULL */
};

/* Mounts the store and takes over what is there. Descriptors that systemd kept are consumed. */
int manager_new(sd_event *event, const struct manager_options *options, struct manager **ret,
                struct error *e);

/* Containers go on. */
struct manager *manager_free(struct manager *m);
DEFINE_CLEANUP(struct manager *, manager_free)

/* The answer to a request: 0 and the group as it is then, or a negative errno and the message. */
typedef void (*manager_answer_t)(void *userdata, int r, const struct error *e, sd_json_variant *group);

/* Requests. A negative return means that there will be no answer; otherwise it comes, unless it is cancelled.
 * Run is answered when every container was started, or the group was undone because one could not be:
 * -EEXIST: there is such a group; -ENOENT: an image is not in the store; -EBADMSG, -EKEYREJECTED, -ENOKEY:
 * it, or the whole store, is not to be trusted, or IPE would not let it run; -EINVAL: the machine has no such
 * SELinux type; -ECANCELED: an init container failed for good, and the group's record stays. Takes d over on
 * success. Stop and wait are answered when the group has ended, delete when nothing is left. -ENOENT: no such
 * group. */
int manager_run(struct manager *m, struct definition *d, manager_answer_t answer, void *userdata,
                struct error *e);
int manager_stop(struct manager *m, const char *name, uint64_t timeout_ms, manager_answer_t answer,
                 void *userdata, struct error *e);
int manager_delete(struct manager *m, const char *name, uint64_t timeout_ms, manager_answer_t answer,
                   void *userdata, struct error *e);
int manager_wait(struct manager *m, const char *name, manager_answer_t answer, void *userdata,
                 struct error *e);

/* No answer is wanted any more by requests with this userdata; returns how many there were. */
unsigned manager_cancel(struct manager *m, void *userdata);

bool manager_has_selinux(const struct manager *m);
bool manager_has_store(const struct manager *m);

/* The groups, or one, as the API shows them. */
int manager_list(struct manager *m, sd_json_variant **ret);
int manager_show(struct manager *m, const char *name, sd_json_variant **ret, struct error *e);

/* What the containers of one group or, name NULL, of all use. -ENOENT: no such group. */
int manager_stats(struct manager *m, const char *name, sd_json_variant **ret, struct error *e);

/* A container's log (log.h). container NULL: the first that is no init container. */
struct log_request {
        const char *name, *container;
        uint64_t since_us; /* no older lines */
        bool previous;     /* none of the run that is the last, or goes on */
};

/* Moves the position before its last lines. -ENOENT: no such group or container. */
int manager_seek_log(struct manager *m, const struct log_request *request, uint64_t lines,
                     struct log_position *position, struct error *e);

/* More of it. *ret_over: its group has ended, nothing more will come. */
int manager_read_log(struct manager *m, const struct log_request *request, struct log_position *position,
                     size_t max, sd_json_variant **ret, bool *ret_over, struct error *e);

/* At most max events above number *position (history.h), of one group or, name NULL, of all and of those that
 * are gone since the daemon's start; moves the position. An empty array: there are no more yet. */
int manager_read_events(struct manager *m, const char *name, uint64_t *position, size_t max,
                        sd_json_variant **ret, struct error *e);
