/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Running programs and mounting things; see attempts.h. */
#include "tests/vm/guest/attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define PATH_SIZE 512
#define SCRATCH_SIZE 256

static struct outcome outcome_format(enum verdict verdict, int error, const char *format, va_list ap)
        __attribute__((format(printf, 3, 0)));

static struct outcome outcome_format(enum verdict verdict, int error, const char *format, va_list ap)
{
        struct outcome o = {.verdict = verdict, .error = error < 0 ? -error : error};
        (void)vsnprintf(o.step, sizeof(o.step), format, ap);
        return o;
}

struct outcome attempt_worked(void)
{
        return (struct outcome){.verdict = ATTEMPT_WORKED};
}

struct outcome attempt_refused(int error, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        struct outcome o = outcome_format(ATTEMPT_REFUSED, error, format, ap);
        va_end(ap);
        return o;
}

struct outcome attempt_void(int error, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        struct outcome o = outcome_format(ATTEMPT_VOID, error, format, ap);
        va_end(ap);
        return o;
}

int copy_file(const char *from, const char *to, mode_t mode)
{
        _cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
        if (in < 0)
                return -errno;
        _cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        if (out < 0)
                return -errno;
        for (;;) {
                ssize_t n = sendfile(out, in, NULL, 1 << 20);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return fchmod(out, mode) < 0 ? -errno : 0;
        }
}

int write_text(const char *path, const char *text)
{
        return write_kernel_file(path, text, strlen(text), NULL);
}

pid_t attempt_fork(void)
{
        pid_t pid = fork();
        if (pid > 0)
                tap_child(pid);
        return pid;
}

struct outcome attempt_in_child(struct outcome (*f)(const void *arg), const void *arg)
{
        struct outcome o;
        int p[2], status;

        if (pipe2(p, O_CLOEXEC) < 0)
                return attempt_void(errno, "pipe");
        pid_t pid = attempt_fork();
        if (pid < 0)
                return attempt_void(errno, "fork");
        if (pid == 0) {
                o = f(arg);
                _exit(write_full(p[1], &o, sizeof(o)) < 0);
        }
        (void)close(p[1]);
        int r = read_full(p[0], &o, sizeof(o));
        (void)close(p[0]);
        if (waitpid(pid, &status, 0) < 0)
                return attempt_void(errno, "waitpid");
        if (r < 0)
                return WIFSIGNALED(status)
                               ? attempt_void(EFAULT, "child ended by signal %d", WTERMSIG(status))
                               : attempt_void(r, "child said nothing");
        return o;
}

/* Starts argv[0], or the descriptor fd if it is one. ret_status: the exit status, or 128 + signal. */
static int run(int fd, const char *const argv[], const char *const envp[], int *ret_status)
{
        static const char *const empty[] = {NULL};
        int p[2], status, error = 0;

        if (pipe2(p, O_CLOEXEC) < 0)
                return -errno;
        pid_t pid = attempt_fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                /* What helpers print (the dynamic linker's complaints) is not TAP. */
                int null = open("/dev/null", O_RDWR);
                if (null >= 0) {
                        (void)dup2(null, STDOUT_FILENO);
                        (void)dup2(null, STDERR_FILENO);
                }
                (void)execveat(fd >= 0 ? fd : AT_FDCWD, fd >= 0 ? "" : argv[0], (char *const *)argv,
                               (char *const *)(envp ? envp : empty), fd >= 0 ? AT_EMPTY_PATH : 0);
                error = errno;
                _exit(write_full(p[1], &error, sizeof(error)) < 0 ? 126 : 127);
        }
        (void)close(p[1]);
        int r = read_full(p[0], &error, sizeof(error));
        (void)close(p[0]);
        if (waitpid(pid, &status, 0) < 0)
                return -errno;
        if (r >= 0)
                return -error;
        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return 0;
}

static struct outcome judge_run(int fd, const char *what, const char *const argv[], const char *const envp[],
                                int expected)
{
        int status = -1, r = run(fd, argv, envp, &status);

        if (r == -ENOENT || r == -ENOTDIR)
                return attempt_void(r, "exec %s", what);
        if (r < 0)
                return attempt_refused(r, "exec %s", what);
        if (status == expected)
                return attempt_worked();
        return attempt_refused(EACCES, "%s ended with status %d, not %d", what, status, expected);
}

struct outcome try_exec_argv(const char *const argv[], const char *const envp[], int status)
{
        return judge_run(-1, argv[0], argv, envp, status);
}

struct outcome try_exec(const char *path, int status)
{
        return try_exec_argv((const char *const[]){path, NULL}, NULL, status);
}

struct outcome try_exec_copy(const char *source, const char *directory, int status)
{
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "%s/attempt-copy", directory);
        int r = copy_file(source, path, 0755);
        if (r < 0)
                return attempt_void(r, "copy %s to %s", source, path);
        struct outcome o = try_exec(path, status);
        (void)unlink(path);
        return o;
}

struct outcome try_exec_fd(const char *path, int status)
{
        _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return attempt_void(errno, "open %s", path);
        return judge_run(fd, path, (const char *const[]){path, NULL}, NULL, status);
}

struct outcome try_exec_memfd(const char *source, int status)
{
        _cleanup_close_ int in = open(source, O_RDONLY | O_CLOEXEC);
        if (in < 0)
                return attempt_void(errno, "open %s", source);
        _cleanup_close_ int fd = memfd_create("attempt", MFD_CLOEXEC);
        if (fd < 0)
                return attempt_refused(errno, "memfd_create");
        ssize_t n;
        while ((n = sendfile(fd, in, NULL, 1 << 20)) > 0)
                ;
        if (n < 0)
                return attempt_void(errno, "fill memfd");
        return judge_run(fd, "memfd", (const char *const[]){"memfd", NULL}, NULL, status);
}

static int write_script(const char *helper, const char *directory, char *ret_path)
{
        char text[PATH_SIZE];

        (void)snprintf(ret_path, PATH_SIZE, "%s/attempt-script", directory);
        int n = snprintf(text, sizeof(text), "#!%s\n", helper);
        _cleanup_close_ int fd = open(ret_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
        if (fd < 0)
                return -errno;
        int r = write_full(fd, text, (size_t)n);
        return r < 0 ? r : fchmod(fd, 0755) < 0 ? -errno : 0;
}

struct outcome try_exec_script(const char *helper, const char *directory)
{
        char path[PATH_SIZE];

        int r = write_script(helper, directory, path);
        if (r < 0)
                return attempt_void(r, "write %s", path);
        struct outcome o = try_exec(path, HELPER_RAN);
        (void)unlink(path);
        return o;
}

struct outcome try_interpret_script(const char *helper, const char *directory)
{
        char path[PATH_SIZE];

        int r = write_script(helper, directory, path);
        if (r < 0)
                return attempt_void(r, "write %s", path);
        struct outcome o = try_exec_argv((const char *const[]){helper, path, NULL}, NULL, HELPER_RAN);
        (void)unlink(path);
        return o;
}

struct outcome try_ld_so(const char *ld_so, const char *library_path, const char *dynamic)
{
        const char *const with[] = {ld_so, "--library-path", library_path, dynamic, NULL};
        const char *const without[] = {ld_so, dynamic, NULL};

        return try_exec_argv(library_path ? with : without, NULL, HELPER_RAN);
}

struct outcome try_ld_preload(const char *ld_so, const char *library_path, const char *dynamic,
                              const char *library)
{
        const char *const with[] = {ld_so, "--library-path", library_path, dynamic, NULL};
        const char *const without[] = {ld_so, dynamic, NULL};
        char preload[PATH_SIZE + 16];

        if (access(library, R_OK) < 0)
                return attempt_void(errno, "%s", library);
        (void)snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
        return try_exec_argv(library_path ? with : without, (const char *const[]){preload, NULL},
                             PRELOAD_RAN);
}

struct outcome try_mount(const char *source, const char *target, const char *type, unsigned long flags,
                         const char *options)
{
        if (mount(source, target, type, flags, options) < 0)
                return attempt_refused(errno, "mount %s as %s", source, type);
        return attempt_worked();
}

static struct outcome overlay_act(const char *merged, const char *name, enum overlay_action action)
{
        char path[PATH_SIZE], copy[PATH_SIZE];
        struct stat st;

        (void)snprintf(path, sizeof(path), "%s/%s", merged, name);
        (void)snprintf(copy, sizeof(copy), "%s/attempt-new", merged);
        if (action == OVERLAY_RUN_NEW) {
                int r = copy_file(path, copy, 0755);
                return r < 0 ? attempt_refused(r, "copy to %s", copy) : try_exec(copy, HELPER_RAN);
        }
        if (action == OVERLAY_RUN_COPIED_UP) {
                int fd = open(path, O_RDWR | O_CLOEXEC); /* opening for writing copies up */
                if (fd < 0)
                        return attempt_refused(errno, "copy up %s", path);
                (void)close(fd);
        }
        if (action == OVERLAY_SETUID) {
                if (chmod(path, 04755) < 0)
                        return attempt_refused(errno, "chmod %s", path);
                if (stat(path, &st) < 0 || !(st.st_mode & S_ISUID))
                        return attempt_refused(EPERM, "setuid bit of %s", path);
        }
        return try_exec(path, HELPER_RAN);
}

struct outcome try_overlay(const char *lower, const char *scratch, const char *extra_options,
                           const char *name, enum overlay_action action)
{
        char merged[SCRATCH_SIZE], upper[SCRATCH_SIZE], work[SCRATCH_SIZE], options[4 * PATH_SIZE];

        (void)snprintf(merged, sizeof(merged), "%s/merged", scratch);
        (void)snprintf(upper, sizeof(upper), "%s/upper", scratch);
        (void)snprintf(work, sizeof(work), "%s/work", scratch);
        /* The upper must be empty at the start of each attempt, so it is a tmpfs of its own. */
        if (mkdir(scratch, 0755) < 0 && errno != EEXIST)
                return attempt_void(errno, "mkdir %s", scratch);
        if (mount("attempt", scratch, "tmpfs", 0, "size=32m") < 0)
                return attempt_refused(errno, "mount a tmpfs on %s", scratch);
        struct outcome o;
        if (mkdir(merged, 0755) < 0 || mkdir(upper, 0755) < 0 || mkdir(work, 0755) < 0) {
                o = attempt_void(errno, "mkdir in %s", scratch);
        } else {
                (void)snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s%s%s", lower,
                               upper, work, extra_options ? "," : "", extra_options ? extra_options : "");
                o = try_mount("overlay", merged, "overlay", 0, options);
                if (o.verdict == ATTEMPT_WORKED) {
                        o = overlay_act(merged, name, action);
                        (void)umount2(merged, MNT_DETACH);
                }
        }
        (void)umount2(scratch, MNT_DETACH);
        return o;
}

/* After the root is detached, entering the own namespace again sets the process's root to what lies on top
 * now. */
static struct outcome uncover_initramfs(void)
{
        if (unshare(CLONE_NEWNS) < 0)
                return attempt_refused(errno, "unshare mount namespace");
        /* So that the machine keeps its root should the rest work; it is tried even if this is refused. */
        (void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        int namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (namespace < 0)
                return attempt_void(errno, "open own mount namespace");
        struct outcome o = attempt_worked();
        if (umount2("/", MNT_DETACH) < 0)
                o = attempt_refused(errno, "detach the root");
        else if (setns(namespace, CLONE_NEWNS) < 0)
                o = attempt_refused(errno, "enter the mount namespace again");
        (void)close(namespace);
        return o;
}

static struct outcome old_initramfs(const void *source)
{
        _cleanup_close_ int in = open(source, O_RDONLY | O_CLOEXEC);
        if (in < 0)
                return attempt_void(errno, "open %s", (const char *)source);
        struct outcome o = uncover_initramfs();
        if (o.verdict != ATTEMPT_WORKED)
                return o;
        int out = open("/attempt", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
        if (out < 0)
                return attempt_refused(errno, "write the initramfs");
        ssize_t n;
        while ((n = sendfile(out, in, NULL, 1 << 20)) > 0)
                ;
        (void)close(out);
        if (n < 0)
                return attempt_void(errno, "fill the file in the initramfs");
        o = try_exec("/attempt", HELPER_RAN);
        (void)unlink("/attempt");
        return o;
}

struct outcome try_old_initramfs(const char *source)
{
        return attempt_in_child(old_initramfs, source);
}
