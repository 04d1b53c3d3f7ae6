/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kernel code and the switches of what enforces; see attempts.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kexec.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/vm/guest/attempts.h"

#define IPE "/sys/kernel/security/ipe/"
#define MODULE_MAX ((size_t)16 << 20)
#define POLICY_MAX ((size_t)8 << 20)

static struct outcome judge_module(long r, const char *call, const char *module, const char *name)
{
        int error = errno;

        if (r == 0) {
                (void)syscall(SYS_delete_module, name, O_NONBLOCK);
                return attempt_worked();
        }
        /* These two say that the module got past every check of who may load what. */
        if (error == EEXIST || error == ENODEV)
                return attempt_worked();
        return attempt_refused(error, "%s %s", call, module);
}

struct outcome try_finit_module(const char *module, const char *name)
{
        _cleanup_close_ int fd = open(module, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return attempt_void(errno, "open %s", module);
        return judge_module(syscall(SYS_finit_module, fd, "", 0), "finit_module", module, name);
}

struct outcome try_init_module(const char *module, const char *name)
{
        _cleanup_free_ char *data = NULL;
        size_t size;

        int r = read_file(AT_FDCWD, module, MODULE_MAX, &data, &size, NULL);
        if (r < 0)
                return attempt_void(r, "read %s", module);
        return judge_module(syscall(SYS_init_module, data, size, ""), "init_module", module, name);
}

struct outcome try_kexec_load(void)
{
        /* No segments: nothing is loaded, but every check is passed first. */
        if (syscall(SYS_kexec_load, 0UL, 0UL, NULL, KEXEC_ARCH_DEFAULT) < 0)
                return attempt_refused(errno, "kexec_load");
        return attempt_worked();
}

struct outcome try_kexec_file_load(const char *kernel)
{
        _cleanup_close_ int fd = open(kernel, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return attempt_void(errno, "open %s", kernel);
        if (syscall(SYS_kexec_file_load, fd, -1, 1UL, "", (unsigned long)KEXEC_FILE_NO_INITRAMFS) < 0)
                return attempt_refused(errno, "kexec_file_load %s", kernel);
        (void)syscall(SYS_kexec_file_load, -1, -1, 0UL, NULL, (unsigned long)KEXEC_FILE_UNLOAD);
        return attempt_worked();
}

struct outcome try_ipe_load_policy(const char *path, const char *name)
{
        _cleanup_free_ char *data = NULL;
        char loaded[256];
        size_t size;

        int r = read_file(AT_FDCWD, path, POLICY_MAX, &data, &size, NULL);
        if (r < 0)
                return attempt_void(r, "read %s", path);
        r = write_kernel_file(IPE "new_policy", data, size, NULL);
        if (r == -ENOENT)
                return attempt_void(r, IPE "new_policy");
        if (r < 0)
                return attempt_refused(r, "write new_policy");
        (void)snprintf(loaded, sizeof(loaded), IPE "policies/%s", name);
        return access(loaded, F_OK) < 0 ? attempt_void(errno, "%s", loaded) : attempt_worked();
}

static struct outcome write_policy_file(const char *name, const char *file)
{
        char path[256];

        (void)snprintf(path, sizeof(path), IPE "policies/%s/%s", name, file);
        int r = write_text(path, "1");
        if (r == -ENOENT)
                return attempt_void(r, "%s", path);
        return r < 0 ? attempt_refused(r, "write %s", path) : attempt_worked();
}

struct outcome try_ipe_activate(const char *name)
{
        return write_policy_file(name, "active");
}

struct outcome try_ipe_delete(const char *name)
{
        return write_policy_file(name, "delete");
}

struct outcome try_ipe_off(void)
{
        int r = write_text(IPE "enforce", "0");
        if (r == -ENOENT)
                return attempt_void(r, IPE "enforce");
        if (r < 0)
                return attempt_refused(r, "write enforce");
        r = write_text(IPE "enforce", "1");
        return r < 0 ? attempt_void(r, "write enforce back") : attempt_worked();
}

static int drop_capability(int capability)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2];

        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        data[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
        data[CAP_TO_INDEX(capability)].permitted &= ~CAP_TO_MASK(capability);
        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static struct outcome enforce_without_capability(const void *early)
{
        /* "1" is what it holds: the write changes nothing, only the permission is asked. */
        int r, fd = *(const bool *)early ? open(IPE "enforce", O_WRONLY | O_CLOEXEC) : -1;
        if (*(const bool *)early && fd < 0)
                return attempt_refused(errno, "open enforce");
        r = drop_capability(CAP_MAC_ADMIN);
        if (r < 0)
                return attempt_void(r, "drop CAP_MAC_ADMIN");
        if (fd < 0 && (fd = open(IPE "enforce", O_WRONLY | O_CLOEXEC)) < 0)
                return attempt_refused(errno, "open enforce");
        struct outcome o =
                write(fd, "1", 1) == 1 ? attempt_worked() : attempt_refused(errno, "write enforce");
        (void)close(fd);
        return o;
}

struct outcome try_ipe_leaked_descriptor(void)
{
        return attempt_in_child(enforce_without_capability, &(const bool){true});
}

struct outcome try_ipe_without_capability(void)
{
        return attempt_in_child(enforce_without_capability, &(const bool){false});
}

struct outcome try_ima_policy(const char *rule)
{
        int r = write_text("/sys/kernel/security/ima/policy", rule);
        return r < 0 ? attempt_refused(r, "write IMA's policy") : attempt_worked();
}

struct outcome try_selinux_off(void)
{
        int r = write_text("/sys/fs/selinux/enforce", "0");
        if (r < 0)
                return attempt_refused(r, "write /sys/fs/selinux/enforce");
        r = write_text("/sys/fs/selinux/enforce", "1");
        return r < 0 ? attempt_void(r, "write enforce back") : attempt_worked();
}

struct outcome try_selinux_load_policy(void)
{
        _cleanup_free_ char *policy = NULL;
        size_t size;

        int r = read_file(AT_FDCWD, "/sys/fs/selinux/policy", POLICY_MAX, &policy, &size, NULL);
        if (r < 0)
                return attempt_void(r, "read /sys/fs/selinux/policy");
        r = write_kernel_file("/sys/fs/selinux/load", policy, size, NULL);
        return r < 0 ? attempt_refused(r, "write /sys/fs/selinux/load") : attempt_worked();
}

struct outcome try_memory_device(void)
{
        _cleanup_close_ int fd = open("/dev/mem", O_RDWR | O_CLOEXEC);
        return fd < 0 ? attempt_refused(errno, "open /dev/mem") : attempt_worked();
}

static struct outcome user_namespace(const void *arg)
{
        (void)arg;
        return unshare(CLONE_NEWUSER) < 0 ? attempt_refused(errno, "unshare") : attempt_worked();
}

struct outcome try_user_namespace(void)
{
        return attempt_in_child(user_namespace, NULL);
}

/* The helper's answer is one line, "CapEff:\t" and the mask. */
static struct outcome judge_core_answer(const char *answer)
{
        _cleanup_free_ char *text = NULL;
        unsigned long long mask;

        for (unsigned i = 0; i < 100; i++) {
                free(text);
                text = NULL;
                if (read_file(AT_FDCWD, answer, 256, &text, NULL, NULL) == 0 && strchr(text, '\n'))
                        break;
                (void)nanosleep(&(struct timespec){.tv_nsec = 10L * 1000 * 1000}, NULL);
        }
        if (!text || sscanf(text, "CapEff: %llx", &mask) != 1)
                return attempt_refused(EACCES, "usermode helper left no %s", answer);
        return mask ? attempt_worked() : attempt_refused(EPERM, "usermode helper without capabilities");
}

static struct outcome crash_and_wait(const char *answer)
{
        pid_t pid = attempt_fork();

        if (pid < 0)
                return attempt_void(errno, "fork");
        if (pid == 0)
                abort();
        (void)waitpid(pid, NULL, 0);
        return judge_core_answer(answer);
}

struct outcome try_core_pattern(const char *program, const char *answer)
{
        static const char node[] = "/proc/sys/kernel/core_pattern";
        _cleanup_free_ char *before = NULL;
        char pattern[128];

        if (access(node, W_OK) < 0)
                return attempt_refused(errno, "write core_pattern");
        int r = read_file(AT_FDCWD, node, sizeof(pattern), &before, NULL, NULL);
        if (r < 0)
                return attempt_void(r, "read core_pattern");
        (void)unlink(answer);
        (void)snprintf(pattern, sizeof(pattern), "|%s --core %s", program, answer);
        r = write_text(node, pattern);
        if (r < 0)
                return attempt_refused(r, "write core_pattern");
        struct outcome o = crash_and_wait(answer);
        r = write_text(node, before);
        return r < 0 ? attempt_void(r, "write core_pattern back") : o;
}
