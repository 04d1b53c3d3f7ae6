/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The effects on one container: its root, its bundle, the executor's steps, signals, and taking it all down.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/group/internal.h"
#include "runtime/group/spec.h"
#include "runtime/group/user.h"
#include "runtime/init/record.h"

/* How often a starting container is looked at. */
#define INIT_POLL_USEC 2000u

#define FILE_CONTEXT "system_u:object_r:container_file_t:s0:c%u,c%u"

void container_directory(const struct container *c, const char *name, char ret[static PATH_MAX])
{
        (void)snprintf(ret, PATH_MAX, "%s/containers/%s/%s%s%s", c->group->manager->options.run,
                       c->group->definition->name, c->definition->name, name ? "/" : "", name ?: "");
}

/* The executor's name for it: unique, because no name of ours has a dot. */
static void executor_id(const struct container *c, char ret[static 160])
{
        (void)snprintf(ret, 160, "%s.%s", c->group->definition->name, c->definition->name);
}

/* --- the root file system --- */

static int mount_layers(struct container *c, const char *scratch, const char *rootfs, const char *context,
                        struct error *e)
{
        const struct store_image *image = c->image;
        char upper[PATH_MAX], work[PATH_MAX];
        const char *lowers[STORE_LAYERS_MAX];
        int r = 0;

        if (snprintf(upper, sizeof(upper), "%s/upper", scratch) >= (int)sizeof(upper) ||
            snprintf(work, sizeof(work), "%s/work", scratch) >= (int)sizeof(work))
                return -ENAMETOOLONG;
        /* The root directory's mode is the upper's, whatever our umask is. */
        if (mkdir(upper, 0755) < 0 || chmod(upper, 0755) < 0 || mkdir(work, 0700) < 0)
                return error_errno(e, -errno, "%s", scratch);
        for (size_t i = 0; r >= 0 && i < image->n_layers;
             i++) /* the group holds them: this only asks where they are */
                r = layers_path(c->group->manager->layers, image->layers[i].digest,
                                &lowers[image->n_layers - 1 - i], e);
        if (r >= 0)
                r = mount_overlay(rootfs, lowers, image->n_layers, upper, work, context, e);
        return r;
}

static int make_root(struct container *c, struct error *e)
{
        struct group *g = c->group;
        char scratch[PATH_MAX], rootfs[PATH_MAX], context[80];
        bool selinux = g->manager->selinux;
        int r;

        container_directory(c, "scratch", scratch);
        container_directory(c, "rootfs", rootfs);
        (void)snprintf(context, sizeof(context), FILE_CONTEXT, g->categories[0], g->categories[1]);
        r = make_directories(scratch, 0700, e);
        if (r >= 0)
                r = make_directories(rootfs, 0700, e);
        if (r >= 0)
                r = mount_scratch(scratch, c->definition->memory_limit, 0755, selinux ? context : NULL, e);
        if (r >= 0)
                r = mount_layers(c, scratch, rootfs, selinux ? context : NULL, e);
        return r;
}

static int write_names(const struct container *c, int rootfs, struct error *e)
{
        const char *name = c->group->definition->name;
        char address[INET_ADDRSTRLEN], hosts[256], hostname[80];
        int r;

        (void)inet_ntop(AF_INET, &c->group->address, address, sizeof(address));
        (void)snprintf(hosts, sizeof(hosts), "127.0.0.1 localhost\n%s %s\n", address, name);
        (void)snprintf(hostname, sizeof(hostname), "%s\n", name);
        r = rootfs_write(rootfs, "/etc", "hosts", hosts, e);
        if (r >= 0)
                r = rootfs_write(rootfs, "/etc", "hostname", hostname, e);
        return r;
}

/* --- the bundle --- */

/* Who prepares a group serves nobody, unless the group names a type for all of its containers. */
static const char *container_type(const struct container *c)
{
        const struct definition *d = c->group->definition;

        return d->selinux_type ?: c->index < d->n_init ? "init_container_t" : NULL;
}

static int write_spec(struct container *c, uint32_t uid, uint32_t gid, struct error *e)
{
        const struct group *g = c->group;
        char rootfs[PATH_MAX], netns[PATH_MAX], cgroup[PATH_MAX], categories[32], path[PATH_MAX],
                volumes[PATH_MAX];
        struct spec_input in = {.container = c->definition,
                                .hostname = g->definition->name,
                                .entrypoint = c->image->entrypoint,
                                .cmd = c->image->cmd,
                                .env = c->image->env,
                                .workdir = c->image->workdir,
                                .uid = uid,
                                .gid = gid,
                                .rootfs = rootfs,
                                .volumes = volumes,
                                .init = g->manager->options.init,
                                .netns = netns,
                                .cgroup = cgroup,
                                .categories = g->manager->selinux ? categories : NULL,
                                .type = container_type(c)};
        _cleanup_json_ sd_json_variant *spec = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        container_directory(c, "rootfs", rootfs);
        container_directory(c, "config.json", path);
        volumes_directory(g->manager, g->definition->name, volumes);
        cgroup_of_container(c, cgroup);
        (void)snprintf(netns, sizeof(netns), "%s/netns/%s", g->manager->options.run, g->definition->name);
        (void)snprintf(categories, sizeof(categories), "c%u,c%u", g->categories[0], g->categories[1]);
        r = spec_build(&in, &spec, e);
        if (r >= 0)
                r = sd_json_variant_format(spec, 0, &text);
        if (r < 0)
                return r;
        return write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600, e);
}

static int make_bundle(struct container *c, struct error *e)
{
        _cleanup_close_ int root = -EBADF;
        char rootfs[PATH_MAX];
        uint32_t uid, gid;
        int r;

        container_directory(c, "rootfs", rootfs);
        root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return error_errno(e, -errno, "%s", rootfs);
        r = user_resolve(root, c->image->user, &uid, &gid, e);
        if (r >= 0)
                r = write_names(c, root, e);
        if (r >= 0)
                r = write_spec(c, uid, gid, e);
        return r;
}

/* --- its process --- */

/* Field 22 of /proc/PID/stat, behind a name that may hold anything: a PID with its start time is one process
 * for ever. */
static int read_start_time(pid_t pid, uint64_t *ret)
{
        _cleanup_free_ char *text = NULL;
        char path[64];
        const char *p;
        int r;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        r = read_file(AT_FDCWD, path, 4096, &text, NULL, NULL);
        if (r < 0)
                return r;
        p = strrchr(text, ')');
        for (int field = 3; p && field <= 22; field++)
                p = strchr(p + 1, ' ');
        if (!p)
                return -EBADMSG;
        *ret = strtoull(p + 1, NULL, 10);
        return 0;
}

static int exit_status(const struct container *c);
static void await_init(struct container *c);

static int on_pid(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct container *c = userdata;
        char cgroup[PATH_MAX];

        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
        c->finished_us = now_us();
        cgroup_of_container(c, cgroup);
        c->out_of_memory = cgroup_ran_out_of_memory(cgroup);
        c->exit_pending = true;
        if (c->operation) {
                operation_hurry(c->operation);
                return 0;
        }
        if (c->await_until_ms != 0) /* how its start went comes first */
                await_init(c);
        group_event(c->group, EVENT_EXITED, c->index, exit_status(c));
        return 0;
}

int container_watch(struct container *c)
{
        return sd_event_add_io(c->group->manager->event, &c->pid_source, c->pidfd, EPOLLIN, on_pid, c);
}

/* Sends the end of the container that was held back while the executor was busy with it. */
static void deliver_exit(struct container *c)
{
        if (c->exit_pending)
                group_event(c->group, EVENT_EXITED, c->index, exit_status(c));
}

static int read_record(const struct container *c, struct exit_record *ret)
{
        _cleanup_close_ int fd = -EBADF;
        char path[PATH_MAX];
        int r;

        container_directory(c, "exit", path);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        r = pread_full(fd, ret, sizeof(*ret), 0);
        if (r < 0)
                return r;
        return exit_record_valid(ret) ? 0 : -EBADMSG;
}

/* Where there is no record of its end, its init was killed: by the kernel, or by us at the deadline. */
static int exit_status(const struct container *c)
{
        struct exit_record record;

        if (read_record(c, &record) < 0 || record.kind == EXIT_KIND_STARTED)
                return 128 + SIGKILL;
        return exit_record_status(&record);
}

static bool is_same_process(const struct container *c)
{
        uint64_t start;

        return c->pid > 0 && read_start_time(c->pid, &start) >= 0 && start == c->pid_start;
}

/* The program as the group file or the image names it; an image is not looked up for that. */
static const char *program_of(const struct container *c)
{
        const struct store_image *image = c->image;

        if (c->definition->command)
                return c->definition->command[0];
        if (!image)
                return "of its image";
        return image->entrypoint[0] ?: image->cmd[0];
}

static int not_executed(const struct container *c, const struct exit_record *record, struct error *e)
{
        return error_errno(e, -(int)record->value, "container \"%s\": program \"%s\" could not be executed",
                           c->definition->name, program_of(c));
}

struct container_fact container_look(struct container *c)
{
        struct exit_record record;

        if (read_record(c, &record) < 0)
                return (struct container_fact){.fact = FACT_NOTHING, .status = 128 + SIGKILL};
        if (record.kind == EXIT_KIND_STARTED && is_same_process(c)) {
                c->pidfd = pidfd_open(c->pid, 0);
                if (c->pidfd >= 0)
                        return (struct container_fact){.fact = FACT_ALIVE};
        }
        if (c->finished_us == 0) /* nobody was there to see it */
                c->finished_us = record.realtime_ns / 1000;
        if (record.kind == EXIT_KIND_NOT_EXECUTED) {
                struct error e;

                (void)not_executed(c, &record, &e);
                group_fail(c->group, &e);
                return (struct container_fact){.fact = FACT_NOT_EXECUTED, .status = exit_status(c)};
        }
        return (struct container_fact){.fact = FACT_EXITED, .status = exit_status(c)};
}

/* --- effects --- */

static void fail_create(struct container *c, int r, const struct error *e)
{
        group_fail(c->group, e);
        group_event(c->group, EVENT_CREATE_FAILED, c->index, 0);
}

static int take_process(struct container *c, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        int r;

        container_directory(c, "pid", path);
        r = read_file(AT_FDCWD, path, 32, &text, NULL, e);
        if (r < 0)
                return r;
        c->pid = (pid_t)strtol(text, NULL, 10);
        c->pidfd = c->pid > 0 ? pidfd_open(c->pid, 0) : -EBADF;
        if (c->pidfd < 0)
                return error_errno(e, -errno, "%s: process %d", path, c->pid);
        r = read_start_time(c->pid, &c->pid_start);
        if (r >= 0)
                r = container_watch(c);
        return r < 0 ? error_errno(e, r, "%s: process %d", path, c->pid) : 0;
}

static void on_created(struct container *c, int r, const struct error *failure)
{
        struct error e;

        if (r >= 0)
                r = take_process(c, &e);
        else
                e = *failure;
        if (r < 0)
                fail_create(c, r, &e);
        else
                group_event(c->group, EVENT_CREATED, c->index, 0);
        deliver_exit(c);
}

static int begin_create(struct container *c, struct error *e)
{
        char bundle[PATH_MAX], pid[PATH_MAX], record[PATH_MAX], bundle_option[PATH_MAX + 16],
                pid_option[PATH_MAX + 16], id[160];
        const char *arguments[] = {
                "create", bundle_option, pid_option, "--preserve-fds=1", "--no-new-keyring", id, NULL};
        int stdio[3] = {-1, -1, -1}, r;
        _cleanup_close_ int record_fd = -EBADF;
        struct operation_options options = {.stdio = stdio, .keep_fd = -EBADF};

        container_directory(c, NULL, bundle);
        container_directory(c, "pid", pid);
        container_directory(c, "exit", record);
        executor_id(c, id);
        (void)snprintf(bundle_option, sizeof(bundle_option), "--bundle=%s", bundle);
        (void)snprintf(pid_option, sizeof(pid_option), "--pid-file=%s", pid);
        record_fd = open(record, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (record_fd < 0)
                return error_errno(e, -errno, "%s", record);
        options.keep_fd = record_fd;
        r = output_open(c, stdio + 1, e);
        if (r >= 0)
                r = executor_begin(c, arguments, &options, on_created, e);
        (void)close_fd(stdio[1]);
        (void)close_fd(stdio[2]);
        return r;
}

void container_create(struct container *c)
{
        struct error e = {"out of memory"};
        int r;

        if (c->finished_us != 0)
                c->previous =
                        (struct ended_run){.exit_status = c->group->machine.containers[c->index].exit_status,
                                           .out_of_memory = c->out_of_memory,
                                           .started_us = c->started_us,
                                           .finished_us = c->finished_us};
        c->pid = 0;
        c->exit_pending = c->out_of_memory = false;
        c->await_until_ms = 0;
        c->started_us = c->finished_us = 0;
        r = group_find_images(c->group, &e);
        if (r >= 0)
                r = make_root(c, &e);
        if (r >= 0)
                r = make_bundle(c, &e);
        if (r >= 0)
                r = begin_create(c, &e);
        if (r < 0) {
                (void)error_prefix(&e, r, "container \"%s\"", c->definition->name);
                fail_create(c, r, &e);
        }
}

/* status: what its init ended with, 0 where it gave none. */
static void start_failed(struct container *c, int status, const struct error *e)
{
        c->await_until_ms = 0;
        group_fail(c->group, e);
        group_event(c->group, EVENT_START_FAILED, c->index, status);
}

static int on_await(sd_event_source *source, uint64_t usec, void *userdata)
{
        await_init(userdata);
        return 0;
}

/* Looks again a little later, while there is hope. */
static int await_more(struct container *c, struct error *e)
{
        if (c->exit_pending)
                return error_set(e, -ECHILD, "container \"%s\": its init ended before the program ran",
                                 c->definition->name);
        if (now_ms() >= c->await_until_ms)
                return error_set(e, -ETIMEDOUT, "container \"%s\": its init did not start the program",
                                 c->definition->name);
        return sd_event_add_time_relative(c->group->manager->event, &c->timer, CLOCK_BOOTTIME, INIT_POLL_USEC,
                                          INIT_POLL_USEC, on_await, c);
}

/* The executor is done when the process is let go. Until its init says that the program runs, a signal to it
 * would be lost, and the program may turn out not to be there. */
static void await_init(struct container *c)
{
        struct error e = {"out of memory"};
        struct exit_record record;

        c->timer = sd_event_source_disable_unref(c->timer);
        if (read_record(c, &record) < 0) {
                if (await_more(c, &e) < 0)
                        start_failed(c, 0, &e);
        } else if (record.kind == EXIT_KIND_NOT_EXECUTED) {
                (void)not_executed(c, &record, &e);
                start_failed(c, exit_record_status(&record), &e);
        } else {
                c->await_until_ms = 0;
                group_event(c->group, EVENT_STARTED, c->index, 0);
        }
}

static void on_started(struct container *c, int r, const struct error *e)
{
        if (r < 0) {
                start_failed(c, 0, e);
        } else {
                c->started_us = now_us();
                c->await_until_ms = now_ms() + EXECUTOR_TIMEOUT_MS;
                await_init(c);
        }
        deliver_exit(c);
}

void container_start(struct container *c)
{
        char id[160];
        const char *arguments[] = {"start", id, NULL};
        struct operation_options options = {.keep_fd = -EBADF};
        struct error e = {"out of memory"};
        int r;

        executor_id(c, id);
        r = executor_begin(c, arguments, &options, on_started, &e);
        if (r < 0)
                on_started(c, r, &e);
}

void container_terminate(struct container *c)
{
        probes_stop(c);
        if (c->pidfd >= 0)
                (void)pidfd_send_signal(c->pidfd, SIGTERM, NULL, 0);
}

void container_kill(struct container *c)
{
        char cgroup[PATH_MAX];

        cgroup_of_container(c, cgroup);
        cgroup_kill(cgroup);
        if (c->pidfd >= 0)
                (void)pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
}

/* What can be undone is, whatever fails: the group must be able to go. Failures are told, and found by the
 * next start. */
static void take_down(struct container *c)
{
        static const char *const mounts[] = {"rootfs", "scratch"};
        char path[PATH_MAX];
        struct error e;

        c->pid_source = sd_event_source_disable_unref(c->pid_source);
        c->pidfd = close_fd(c->pidfd);
        output_close(c);
        for (size_t i = 0; i < ELEMENTSOF(mounts); i++) {
                container_directory(c, mounts[i], path);
                if (unmount_directory(path, &e) < 0)
                        manager_say(c->group->manager, "%s", e.message);
        }
        container_directory(c, NULL, path);
        if (remove_tree(path, &e) < 0)
                manager_say(c->group->manager, "%s", e.message);
        cgroup_of_container(c, path);
        (void)cgroup_remove(path); /* the executor did; an empty one may be left where it failed */
        c->pid = 0;
}

/* The answer of the executor says nothing: it may never have known the container. */
static void on_deleted(struct container *c, int r, const struct error *e)
{
        take_down(c);
        group_event(c->group, EVENT_CLEANED, c->index, 0);
}

void container_clean(struct container *c)
{
        char id[160], cgroup[PATH_MAX], directory[PATH_MAX];
        const char *arguments[] = {"delete", "--force", id, NULL};
        struct operation_options options = {.keep_fd = -EBADF};
        struct error e;

        probes_stop(c);
        container_directory(c, NULL, directory);
        cgroup_of_container(c, cgroup);
        cgroup_kill(cgroup);
        executor_id(c, id);
        c->exit_pending = false;
        c->timer = sd_event_source_disable_unref(c->timer);
        if (file_exists(AT_FDCWD, directory) == 0 ||
            executor_begin(c, arguments, &options, on_deleted, &e) < 0)
                on_deleted(c, 0, NULL);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct container *c = userdata;

        group_event(c->group, EVENT_DEADLINE, c->index, 0);
        return 0;
}

void container_arm(struct container *c, uint64_t deadline_ms)
{
        struct manager *m = c->group->manager;

        c->timer = sd_event_source_disable_unref(c->timer);
        if (sd_event_add_time(m->event, &c->timer, CLOCK_BOOTTIME, deadline_ms * 1000, 1000, on_deadline, c) <
            0)
                manager_say(m, "container \"%s\": out of memory for a timer", c->definition->name);
}

void container_done(struct container *c)
{
        operation_drop(c->operation);
        probes_stop(c);
        (void)sd_event_source_disable_unref(c->pid_source);
        (void)sd_event_source_disable_unref(c->timer);
        for (int stream = 0; stream < 2; stream++) {
                (void)sd_event_source_disable_unref(c->outputs[stream].source);
                (void)close_fd(c->outputs[stream].fd);
                free(c->outputs[stream].line);
        }
        (void)close_fd(c->pidfd);
        (void)store_image_free(c->image);
}
