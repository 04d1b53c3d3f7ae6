/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/socket.h>

/* Left out on purpose: mounts and namespaces (mount, the new mount API, pivot_root, unshare, setns), other
 * processes' memory (ptrace, process_vm_*, kcmp, pidfd_getfd, process_madvise), code and policy (bpf,
 * *_module, kexec_*, perf_event_open, seccomp's listeners are filtered by no_new_privs), keyrings (add_key,
 * keyctl, request_key), clocks, quota, swap, reboot, io_uring_*, userfaultfd, vmsplice, raw I/O (iopl,
 * ioperm), handles (open_by_handle_at, name_to_handle_at), NUMA policy of others (move_pages, migrate_pages),
 * and what nothing uses any more. */
const char *const seccomp_allowed[] = {
        /* files */
        "access", "chdir", "chmod", "chown", "close", "close_range", "copy_file_range", "creat", "dup",
        "dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat",
        "fchmodat2", "fchown", "fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock",
        "fremovexattr", "fsetxattr", "fstat", "fstatfs", "fsync", "ftruncate", "futimesat", "getcwd",
        "getdents", "getdents64", "getxattr", "ioctl", "lchown", "lgetxattr", "link", "linkat", "listxattr",
        "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "mkdir", "mkdirat", "mknod", "mknodat",
        "newfstatat", "open", "openat", "openat2", "pread64", "preadv", "preadv2", "pwrite64", "pwritev",
        "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "removexattr", "rename",
        "renameat", "renameat2", "rmdir", "sendfile", "setxattr", "splice", "stat", "statfs", "statx",
        "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "tee", "truncate", "umask", "unlink",
        "unlinkat", "utime", "utimensat", "utimes", "write", "writev",
        /* waiting and events */
        "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd",
        "eventfd2", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "poll", "ppoll",
        "pselect6", "select", "signalfd", "signalfd4", "timerfd_create", "timerfd_gettime", "timerfd_settime",
        /* asynchronous I/O of the old kind */
        "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit",
        /* memory */
        "brk", "madvise", "membarrier", "memfd_create", "mincore", "mlock", "mlock2", "mlockall", "mmap",
        "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free",
        "pkey_mprotect", "cachestat", "get_mempolicy", "mbind", "set_mempolicy",
        /* processes and threads */
        "arch_prctl", "capget", "capset", "execve", "execveat", "exit", "exit_group", "fork", "futex",
        "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "get_robust_list", "get_thread_area",
        "getcpu", "getegid", "geteuid", "getgid", "getgroups", "getpgid", "getpgrp", "getpid", "getppid",
        "getpriority", "getresgid", "getresuid", "getrlimit", "getrusage", "getsid", "gettid", "getuid",
        "ioprio_get", "ioprio_set", "kill", "landlock_add_rule", "landlock_create_ruleset",
        "landlock_restrict_self", "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "prctl",
        "prlimit64", "restart_syscall", "rseq", "sched_get_priority_max", "sched_get_priority_min",
        "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
        "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield",
        "seccomp", "set_robust_list", "set_thread_area", "set_tid_address", "setfsgid", "setfsuid", "setgid",
        "setgroups", "setitimer", "getitimer", "setpgid", "setpriority", "setregid", "setresgid", "setresuid",
        "setreuid", "setrlimit", "setsid", "setuid", "tgkill", "tkill", "vfork", "wait4", "waitid",
        /* signals and time */
        "alarm", "clock_getres", "clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep",
        "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
        "rt_sigtimedwait", "rt_tgsigqueueinfo", "sigaltstack", "time", "timer_create", "timer_delete",
        "timer_getoverrun", "timer_gettime", "timer_settime", "times",
        /* network */
        "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen",
        "recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
        "socketpair",
        /* System V and POSIX communication, inside the container's own namespace */
        "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink", "msgctl",
        "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop", "shmat", "shmctl", "shmdt",
        "shmget",
        /* the system */
        "chroot", "getrandom", "sysinfo", "uname", NULL};

#define NAMESPACE_FLAGS                                                                                      \
        ((uint64_t)(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |               \
                    CLONE_NEWNET | CLONE_NEWCGROUP))

static int append_rule(sd_json_variant **rules, const char *name, unsigned argument, uint64_t value,
                       uint64_t mask)
{
        if (mask)
                return sd_json_variant_append_arraybo(
                        rules, SD_JSON_BUILD_PAIR_ARRAY("names", SD_JSON_BUILD_STRING(name)),
                        SD_JSON_BUILD_PAIR_STRING("action", "SCMP_ACT_ALLOW"),
                        SD_JSON_BUILD_PAIR_ARRAY(
                                "args",
                                SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_UNSIGNED("index", argument),
                                                     SD_JSON_BUILD_PAIR_UNSIGNED("value", mask),
                                                     SD_JSON_BUILD_PAIR_UNSIGNED("valueTwo", value),
                                                     SD_JSON_BUILD_PAIR_STRING("op", "SCMP_CMP_MASKED_EQ"))));
        return sd_json_variant_append_arraybo(
                rules, SD_JSON_BUILD_PAIR_ARRAY("names", SD_JSON_BUILD_STRING(name)),
                SD_JSON_BUILD_PAIR_STRING("action", "SCMP_ACT_ALLOW"),
                SD_JSON_BUILD_PAIR_ARRAY(
                        "args", SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_UNSIGNED("index", argument),
                                                     SD_JSON_BUILD_PAIR_UNSIGNED("value", value),
                                                     SD_JSON_BUILD_PAIR_STRING("op", "SCMP_CMP_EQ"))));
}

static int append_conditions(sd_json_variant **rules)
{
        static const uint64_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
        static const uint64_t personalities[] = {PER_LINUX, ADDR_NO_RANDOMIZE, 0xffffffff /* asks */};
        int r;

        r = append_rule(rules, "clone", 0, 0, NAMESPACE_FLAGS);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(families); i++)
                r = append_rule(rules, "socket", 0, families[i], 0);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(personalities); i++)
                r = append_rule(rules, "personality", 0, personalities[i], 0);
        if (r < 0)
                return r;
        return sd_json_variant_append_arraybo(
                rules, SD_JSON_BUILD_PAIR_ARRAY("names", SD_JSON_BUILD_STRING("clone3")),
                SD_JSON_BUILD_PAIR_STRING("action", "SCMP_ACT_ERRNO"),
                SD_JSON_BUILD_PAIR_UNSIGNED("errnoRet", ENOSYS));
}

int seccomp_to_json(sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *rules = NULL;
        int r;

        r = sd_json_variant_append_arraybo(&rules, SD_JSON_BUILD_PAIR_STRV("names", (char **)seccomp_allowed),
                                           SD_JSON_BUILD_PAIR_STRING("action", "SCMP_ACT_ALLOW"));
        if (r >= 0)
                r = append_conditions(&rules);
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("defaultAction", "SCMP_ACT_ERRNO"),
                SD_JSON_BUILD_PAIR_UNSIGNED("defaultErrnoRet", EPERM),
                SD_JSON_BUILD_PAIR_ARRAY("architectures", SD_JSON_BUILD_STRING("SCMP_ARCH_X86_64")),
                SD_JSON_BUILD_PAIR_VARIANT("syscalls", rules));
}
