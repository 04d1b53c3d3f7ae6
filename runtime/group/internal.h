/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to runtime/group/: the manager's and the groups' insides. */
#pragma once

#include <limits.h>
#include <netinet/in.h>
#include <sys/types.h>

#include "runtime/group/history.h"
#include "runtime/group/machine.h"
#include "runtime/group/manager.h"
#include "runtime/layer/layer.h"
#include "selinux/mcs.h"

/* SELinux: c0 to c1023. */

/* How long a group waits for the uplink to have an address, and how often it looks. */
#define UPLINK_WAIT_MS 15000u
#define UPLINK_POLL_MS 200u

/* The same for the devices of its layers when it goes. */
#define RELEASE_WAIT_MS 2000u
#define RELEASE_POLL_USEC 5000u

/* The executor has this long for each of its steps. */
#define EXECUTOR_TIMEOUT_MS 60000u

/* The same once the container is gone. */
#define EXECUTOR_GRACE_MS 1000u

struct operation;

/* groupd's end of a container's stdout or stderr. */
struct output {
        int fd;
        sd_event_source *source;
        struct log_line *line;
};

struct probe;

/* A run that has ended. */
struct ended_run {
        int exit_status;
        bool out_of_memory;
        uint64_t started_us, finished_us; /* CLOCK_REALTIME; finished 0: there is none */
};

struct container {
        struct group *group;
        size_t index;
        const struct definition_container *definition;
        struct store_image *image; /* NULL after a restart until it is needed */
        char image_digest[72];
        pid_t pid;          /* 0: none */
        uint64_t pid_start; /* /proc/PID/stat, field 22 */
        int pidfd;
        sd_event_source *pid_source, *timer;
        struct output outputs[2];
        struct probe *probes[PROBES_]; /* NULL: not at work */
        struct operation *operation;   /* the executor is busy with it */
        bool exit_pending;             /* it ended while the executor was busy */
        bool out_of_memory;
        uint64_t await_until_ms;          /* while its init is waited for */
        uint64_t started_us, finished_us; /* CLOCK_REALTIME, 0: not yet */
        struct ended_run previous;        /* the one before this */
};

struct waiter {
        int type;
        manager_answer_t answer;
        void *userdata;
};

struct group {
        struct manager *manager;
        struct definition *definition;
        struct machine machine;
        struct container *containers; /* as many as the definition has */
        unsigned categories[2];       /* MCS */
        struct in_addr address;       /* 0.0.0.0: none yet */
        char interface[16];           /* the host's end */
        bool holds_layers;
        uint64_t created_us;
        char *reason;             /* why it could not be started */
        sd_json_variant *history; /* history.h; NULL: nothing yet */
        uint64_t uplink_deadline_ms, release_deadline_ms;
        sd_event_source *timer;
        struct waiter *waiters;
        size_t n_waiters;
};

struct work {
        struct group *group;
        bool is_event;
        struct event event;
        struct effect effect;
};

struct manager {
        sd_event *event;
        struct manager_options options;
        bool selinux;
        struct mcs *mcs; /* made when the first group needs it */
        struct trust_store *trust;
        struct store *store; /* NULL: no store disk, or it could not be opened */
        int store_status;    /* 0, or the negative errno that opening it failed with; store_error says why */
        struct error store_error;
        struct layer_verity_options layer_options;
        struct layers *layers;
        char *cgroup; /* the subtree that is ours, below /sys/fs/cgroup, no slash at its end */
        struct group **groups;
        size_t n_groups;
        sd_json_variant *departed; /* the last events of groups that are gone, while the daemon lives */
        uint64_t event_number;     /* the last that was given */
        struct work *queue;
        size_t n_queue, room_queue;
        sd_event_source *queue_source;
};

/* manager.c */
void manager_say(struct manager *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Mounts and opens the store disk. What runs must be served without one too, so the reason why there is none
 * is kept for whoever asks for an image. */
void manager_find_store(struct manager *m);
void group_event(struct group *g, enum event_type type, size_t container, int status);
void group_probed(struct container *c, enum probe_kind kind, bool failed, uint32_t threshold);
void group_answer(struct group *g);
void group_fail(struct group *g, const struct error *e);
uint64_t now_ms(void); /* CLOCK_BOOTTIME */
uint64_t now_us(void); /* CLOCK_REALTIME */
struct group *group_new(struct manager *m, struct definition *d);
struct group *group_free(struct group *g);
DEFINE_CLEANUP(struct group *, group_free)

/* effects.c: begins the effect; its end comes as an event. */
void group_effect(struct group *g, const struct effect *effect);

/* prepare.c */
void group_prepare(struct group *g);
void group_release(struct group *g);
int group_find_images(struct group *g, struct error *e);
int group_acquire_layers(struct group *g, struct error *e);

/* volume.c: the volumes of a group below RUN/volumes/GROUP. To remove what is not there is no error. */
void volumes_directory(const struct manager *m, const char *group, char ret[static PATH_MAX]);
int volumes_make(const struct group *g, struct error *e);
void volumes_remove(struct manager *m, const char *group);

/* container.c */
void container_create(struct container *c);
void container_start(struct container *c);
void container_terminate(struct container *c);
void container_kill(struct container *c);
void container_clean(struct container *c);
void container_arm(struct container *c, uint64_t deadline_ms);
void container_directory(const struct container *c, const char *name, char ret[static PATH_MAX]);
int container_watch(struct container *c);
struct container_fact container_look(struct container *c);
void container_done(struct container *c);

/* probe.c: probes a running container by its definition, each result an event, until it is stopped. */
void probes_start(struct container *c);
void probes_stop(struct container *c);

/* output.c */
int output_open(struct container *c, int ret_write_ends[static 2], struct error *e);
int output_watch(struct container *c, int stream);
void output_close(struct container *c);
void output_take_over(struct manager *m);
void log_path(const struct group *g, const char *container, char ret[static PATH_MAX]);

/* executor.c: begins `crun VERB …`; `done` comes later with 0 or -errno, unless the operation is dropped. */
struct operation_options {
        const int *stdio; /* three descriptors, or NULL */
        int keep_fd;      /* becomes SPEC_RECORD_FD, or -EBADF */
};
typedef void (*operation_done_t)(struct container *c, int r, const struct error *e);
int executor_begin(struct container *c, const char *const *arguments, const struct operation_options *options,
                   operation_done_t done, struct error *e);
void operation_drop(struct operation *o);
void operation_hurry(struct operation *o);

/* cgroup.c */
int cgroup_find(char **ret, struct error *e);
void cgroup_end_strays(void);
int cgroup_make_group(const struct group *g, struct error *e);
int cgroup_remove(const char *cgroup);
void cgroup_kill(const char *cgroup);
bool cgroup_ran_out_of_memory(const char *cgroup);
void cgroup_of_group(const struct group *g, char ret[static PATH_MAX]);
void cgroup_of_container(const struct container *c, char ret[static PATH_MAX]);
void cgroup_directory(const struct container *c, char ret[static PATH_MAX]); /* the same in the file system */

/* usage.c: what the cgroup at this directory uses. -ENOENT, -ENODEV: there is none; -EBADMSG */
struct usage {
        uint64_t cpu_us;             /* of processor time, since its start */
        uint64_t memory, memory_max; /* bytes; UINT64_MAX: no limit */
        uint64_t processes;
};
int usage_read(const char *directory, struct usage *ret);

/* Appends an object for each container that runs, as the API shows it. */
int group_append_usage(const struct group *g, sd_json_variant **list, struct error *e);

/* explain.c: what the last step, or a start of the daemon, changed since `before`, in the group's history. */
void group_explain(struct group *g, const struct machine *before, const struct event *event);
void group_explain_recovery(struct group *g, const struct machine *before, bool rebooted, uint64_t now);

/* state.c */
/* RFC 3339, "" for 0. */
const char *format_time(uint64_t us, char ret[static 40]);
int group_save(struct group *g, struct error *e);
int group_load(struct manager *m, const char *name, struct group **ret, bool *ret_rebooted, struct error *e);
void group_state_directory(const struct group *g, char ret[static PATH_MAX]);
int group_remove_state(struct group *g, struct error *e);
int group_to_json(const struct group *g, sd_json_variant **ret);

/* mcs.c: a pair of SELinux categories that no group, process or mount has, and its end. -ENOSPC */
int categories_choose(struct manager *m, unsigned ret[static 2], struct error *e);
void categories_release(struct manager *m, const unsigned pair[static 2]);

/* domain.c: whether the loaded policy has the SELinux type that the group names, for containers. -EINVAL */
int group_check_type(const struct group *g, struct error *e);

/* strays.c: ends what runs and belongs to no group of the manager. */
void manager_remove_strays(struct manager *m);

/* tree.c: removes a directory with all that is in it, no file system but its own. */
int remove_tree(const char *path, struct error *e);
