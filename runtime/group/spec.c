/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/group/seccomp.h"

#define PIDS_MAX 1024
#define FILES_MAX 65536
#define CPU_PERIOD 100000u
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What a service that starts as root and drops to a user needs; everything else of root's is gone. */
static const char *const capabilities[] = {"CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FOWNER",
                                           "CAP_FSETID", "CAP_KILL",         "CAP_NET_BIND_SERVICE",
                                           "CAP_SETGID", "CAP_SETUID",       NULL};

static const char *const masked_paths[] = {"/proc/acpi",
                                           "/proc/asound",
                                           "/proc/interrupts",
                                           "/proc/kcore",
                                           "/proc/keys",
                                           "/proc/latency_stats",
                                           "/proc/sched_debug",
                                           "/proc/scsi",
                                           "/proc/timer_list",
                                           "/proc/timer_stats",
                                           "/sys/devices/virtual/powercap",
                                           "/sys/firmware",
                                           "/sys/fs/selinux",
                                           "/sys/kernel/security",
                                           NULL};

static const char *const readonly_paths[] = {"/proc/bus",           "/proc/fs", "/proc/irq", "/proc/sys",
                                             "/proc/sysrq-trigger", NULL};

static int append_strings(sd_json_variant **list, char *const *strings)
{
        int r = 0;

        for (char *const *p = strings; r >= 0 && *p; p++)
                r = sd_json_variant_append_arrayb(list, SD_JSON_BUILD_STRING(*p));
        return r;
}

/* `command` of the group file takes the place of both lists of the image, as in Azure. */
static int build_args(const struct spec_input *in, sd_json_variant **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *args = NULL;
        char fd[16];
        int r;

        if (!in->container->command && !in->entrypoint[0] && !in->cmd[0])
                return error_set(e, -EINVAL,
                                 "container \"%s\": a command expected in the group file or in image \"%s\", "
                                 "found none",
                                 in->container->name, in->container->image);
        (void)snprintf(fd, sizeof(fd), "%d", SPEC_RECORD_FD);
        r = sd_json_variant_append_arrayb(&args, SD_JSON_BUILD_STRING(SPEC_INIT_PATH));
        if (r >= 0)
                r = sd_json_variant_append_arrayb(&args, SD_JSON_BUILD_STRING(fd));
        if (r >= 0 && in->container->command)
                r = append_strings(&args, in->container->command);
        if (r >= 0 && !in->container->command)
                r = append_strings(&args, in->entrypoint);
        if (r >= 0 && !in->container->command)
                r = append_strings(&args, in->cmd);
        if (r >= 0)
                *ret = TAKE_PTR(args);
        return r;
}

static bool is_overridden(const struct definition_container *c, const char *assignment)
{
        size_t n = strcspn(assignment, "=");

        for (size_t i = 0; i < c->n_environment; i++)
                if (strlen(c->environment[i].name) == n &&
                    strncmp(c->environment[i].name, assignment, n) == 0)
                        return true;
        return false;
}

static int build_env(const struct spec_input *in, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *env = NULL;
        bool has_path = is_overridden(in->container, DEFAULT_PATH);
        int r = 0;

        for (char *const *p = in->env; r >= 0 && *p; p++) {
                if (is_overridden(in->container, *p))
                        continue;
                has_path = has_path || strncmp(*p, "PATH=", 5) == 0;
                r = sd_json_variant_append_arrayb(&env, SD_JSON_BUILD_STRING(*p));
        }
        for (size_t i = 0; r >= 0 && i < in->container->n_environment; i++) {
                const struct definition_variable *v = &in->container->environment[i];
                _cleanup_free_ char *assignment = NULL;

                if (asprintf(&assignment, "%s=%s", v->name, v->value) < 0)
                        return -ENOMEM;
                r = sd_json_variant_append_arrayb(&env, SD_JSON_BUILD_STRING(assignment));
        }
        if (r >= 0 && !has_path)
                r = sd_json_variant_append_arrayb(&env, SD_JSON_BUILD_STRING(DEFAULT_PATH));
        if (r >= 0)
                *ret = TAKE_PTR(env);
        return r;
}

static int build_process(const struct spec_input *in, const char *label, sd_json_variant **ret,
                         struct error *e)
{
        _cleanup_json_ sd_json_variant *args = NULL, *env = NULL;
        char **caps = (char **)capabilities;
        int r;

        r = build_args(in, &args, e);
        if (r >= 0)
                r = build_env(in, &env);
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_BOOLEAN("terminal", false),
                SD_JSON_BUILD_PAIR_OBJECT("user", SD_JSON_BUILD_PAIR_UNSIGNED("uid", in->uid),
                                          SD_JSON_BUILD_PAIR_UNSIGNED("gid", in->gid),
                                          SD_JSON_BUILD_PAIR_UNSIGNED("umask", 0022)),
                SD_JSON_BUILD_PAIR_VARIANT("args", args), SD_JSON_BUILD_PAIR_VARIANT("env", env),
                SD_JSON_BUILD_PAIR_STRING("cwd", in->workdir[0] ? in->workdir : "/"),
                SD_JSON_BUILD_PAIR_OBJECT("capabilities", SD_JSON_BUILD_PAIR_STRV("bounding", caps),
                                          SD_JSON_BUILD_PAIR_STRV("effective", caps),
                                          SD_JSON_BUILD_PAIR_STRV("permitted", caps)),
                SD_JSON_BUILD_PAIR_ARRAY(
                        "rlimits",
                        SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("type", "RLIMIT_NOFILE"),
                                             SD_JSON_BUILD_PAIR_UNSIGNED("soft", FILES_MAX),
                                             SD_JSON_BUILD_PAIR_UNSIGNED("hard", FILES_MAX)),
                        SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("type", "RLIMIT_CORE"),
                                             SD_JSON_BUILD_PAIR_UNSIGNED("soft", 0),
                                             SD_JSON_BUILD_PAIR_UNSIGNED("hard", 0))),
                SD_JSON_BUILD_PAIR_BOOLEAN("noNewPrivileges", true),
                /* groupd protects itself from the OOM killer; that must not be inherited */
                SD_JSON_BUILD_PAIR_INTEGER("oomScoreAdj", 0),
                SD_JSON_BUILD_PAIR_CONDITION(!!label, "selinuxLabel", SD_JSON_BUILD_STRING(label)));
}

struct mount_entry {
        const char *destination, *type, *source;
        const char *options[8];
};

/* Nothing that can be written to can be executed from. */
static const struct mount_entry mounts[] = {
        {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
        {"/dev", "tmpfs", "tmpfs", {"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"}},
        {"/dev/pts",
         "devpts",
         "devpts",
         {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
        {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
        {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
        {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}},
};

/* Volumes: data that containers of the group share, never code. */
static int append_volumes(const struct spec_input *in, sd_json_variant **list)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < in->container->n_mounts; i++) {
                const struct definition_mount *m = &in->container->mounts[i];
                _cleanup_free_ char *source = NULL;

                if (asprintf(&source, "%s/%s", in->volumes, m->volume) < 0)
                        return -ENOMEM;
                r = sd_json_variant_append_arraybo(
                        list, SD_JSON_BUILD_PAIR_STRING("destination", m->path),
                        SD_JSON_BUILD_PAIR_STRING("type", "bind"),
                        SD_JSON_BUILD_PAIR_STRING("source", source),
                        SD_JSON_BUILD_PAIR_ARRAY("options", SD_JSON_BUILD_STRING("bind"),
                                                 SD_JSON_BUILD_STRING(m->read_only ? "ro" : "rw"),
                                                 SD_JSON_BUILD_STRING("nosuid"),
                                                 SD_JSON_BUILD_STRING("nodev"),
                                                 SD_JSON_BUILD_STRING("noexec")));
        }
        return r;
}

static int build_mounts(const struct spec_input *in, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(mounts); i++)
                r = sd_json_variant_append_arraybo(
                        &list, SD_JSON_BUILD_PAIR_STRING("destination", mounts[i].destination),
                        SD_JSON_BUILD_PAIR_STRING("type", mounts[i].type),
                        SD_JSON_BUILD_PAIR_STRING("source", mounts[i].source),
                        SD_JSON_BUILD_PAIR_STRV("options", (char **)mounts[i].options));
        if (r >= 0)
                r = append_volumes(in, &list);
        if (r >= 0)
                r = sd_json_variant_append_arraybo(
                        &list, SD_JSON_BUILD_PAIR_STRING("destination", SPEC_INIT_PATH),
                        SD_JSON_BUILD_PAIR_STRING("type", "bind"),
                        SD_JSON_BUILD_PAIR_STRING("source", in->init),
                        SD_JSON_BUILD_PAIR_ARRAY("options", SD_JSON_BUILD_STRING("bind"),
                                                 SD_JSON_BUILD_STRING("ro"), SD_JSON_BUILD_STRING("nosuid"),
                                                 SD_JSON_BUILD_STRING("nodev")));
        if (r >= 0)
                *ret = TAKE_PTR(list);
        return r;
}

static int build_resources(const struct definition_container *c, sd_json_variant **ret)
{
        uint64_t quota = c->cpu_limit * (CPU_PERIOD / 1000), shares = c->cpu_request * 1024 / 1000;

        return sd_json_buildo(
                ret,
                SD_JSON_BUILD_PAIR_ARRAY("devices",
                                         SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_BOOLEAN("allow", false),
                                                              SD_JSON_BUILD_PAIR_STRING("access", "rwm"))),
                SD_JSON_BUILD_PAIR_OBJECT("memory", SD_JSON_BUILD_PAIR_UNSIGNED("limit", c->memory_limit)),
                SD_JSON_BUILD_PAIR_OBJECT("cpu",
                                          SD_JSON_BUILD_PAIR_UNSIGNED("shares", shares < 2 ? 2 : shares),
                                          SD_JSON_BUILD_PAIR_UNSIGNED("quota", quota),
                                          SD_JSON_BUILD_PAIR_UNSIGNED("period", CPU_PERIOD)),
                SD_JSON_BUILD_PAIR_OBJECT("pids", SD_JSON_BUILD_PAIR_UNSIGNED("limit", PIDS_MAX)),
                SD_JSON_BUILD_PAIR_OBJECT("unified", SD_JSON_BUILD_PAIR_STRING("memory.oom.group", "1")));
}

static int build_linux(const struct spec_input *in, const char *label, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *resources = NULL, *seccomp = NULL;
        int r;

        r = build_resources(in->container, &resources);
        if (r >= 0)
                r = seccomp_to_json(&seccomp);
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret,
                SD_JSON_BUILD_PAIR_ARRAY("namespaces",
                                         SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("type", "pid")),
                                         SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("type", "mount")),
                                         SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("type", "ipc")),
                                         SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("type", "uts")),
                                         SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("type", "cgroup")),
                                         SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("type", "network"),
                                                              SD_JSON_BUILD_PAIR_STRING("path", in->netns))),
                SD_JSON_BUILD_PAIR_STRING("cgroupsPath", in->cgroup),
                SD_JSON_BUILD_PAIR_VARIANT("resources", resources),
                SD_JSON_BUILD_PAIR_VARIANT("seccomp", seccomp),
                SD_JSON_BUILD_PAIR_STRV("maskedPaths", (char **)masked_paths),
                SD_JSON_BUILD_PAIR_STRV("readonlyPaths", (char **)readonly_paths),
                SD_JSON_BUILD_PAIR_CONDITION(!!label, "mountLabel", SD_JSON_BUILD_STRING(label)));
}

int spec_build(const struct spec_input *in, sd_json_variant **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *process = NULL, *mount_list = NULL, *linux_part = NULL;
        _cleanup_free_ char *process_label = NULL, *mount_label = NULL;
        int r;

        if (in->categories &&
            (asprintf(&process_label, "system_u:system_r:%s:s0:%s", in->type ?: "container_t",
                      in->categories) < 0 ||
             asprintf(&mount_label, "system_u:object_r:container_data_t:s0:%s", in->categories) < 0))
                return -ENOMEM;
        r = build_process(in, process_label, &process, e);
        if (r >= 0)
                r = build_mounts(in, &mount_list);
        if (r >= 0)
                r = build_linux(in, mount_label, &linux_part);
        if (r < 0)
                return r;
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("ociVersion", "1.0.2"),
                              SD_JSON_BUILD_PAIR_OBJECT("root", SD_JSON_BUILD_PAIR_STRING("path", in->rootfs),
                                                        SD_JSON_BUILD_PAIR_BOOLEAN("readonly", false)),
                              SD_JSON_BUILD_PAIR_STRING("hostname", in->hostname),
                              SD_JSON_BUILD_PAIR_VARIANT("process", process),
                              SD_JSON_BUILD_PAIR_VARIANT("mounts", mount_list),
                              SD_JSON_BUILD_PAIR_VARIANT("linux", linux_part));
}
