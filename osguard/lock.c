/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "osguard/osguard.h"

static const struct {
        const char *name, *value;
} settings[] = {
        {"kernel/kexec_load_disabled", "1"},
        {"kernel/yama/ptrace_scope", "3"},
        /* Helpers that the kernel starts run as root whatever PID 1's bounding set is; none is needed. */
        {"kernel/usermodehelper/bset", "0 0"},
        {"kernel/usermodehelper/inheritable", "0 0"},
        {"kernel/core_pattern", "|/nonexistent"},
        {"kernel/kptr_restrict", "2"},
        {"kernel/dmesg_restrict", "1"},
        {"kernel/perf_event_paranoid", "3"},
        {"kernel/unprivileged_bpf_disabled", "1"},
        {"kernel/io_uring_disabled", "2"},
        {"net/core/bpf_jit_harden", "2"},
        {"vm/unprivileged_userfaultfd", "0"},
        {"dev/tty/ldisc_autoload", "0"},
        {"dev/tty/legacy_tiocsti", "0"},
        {"fs/protected_fifos", "2"},
        {"fs/protected_hardlinks", "1"},
        {"fs/protected_regular", "2"},
        {"fs/protected_symlinks", "1"},
        {"fs/suid_dumpable", "0"},
};

static int write_settings(struct error *e)
{
        int r;

        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                char path[128];

                (void)snprintf(path, sizeof(path), "/proc/sys/%s", settings[i].name);
                r = write_kernel_file(path, settings[i].value, strlen(settings[i].value), e);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The API file systems go along; the initramfs is emptied while its directories are still reachable. */
static int switch_root(struct error *e)
{
        static const char *const moved[] = {"/proc", "/sys", "/dev", "/run"};
        _cleanup_close_ int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (old < 0)
                return error_errno(e, -errno, "/");
        for (size_t i = 0; i < ELEMENTSOF(moved); i++) {
                char target[64];

                (void)snprintf(target, sizeof(target), OSGUARD_SYSROOT "%s", moved[i]);
                if (mount(moved[i], target, NULL, MS_MOVE, NULL) < 0)
                        return error_errno(e, -errno, "move %s", moved[i]);
        }
        r = directory_empty(old, e);
        if (r < 0)
                return error_prefix(e, r, "initramfs");
        if (chdir(OSGUARD_SYSROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
                return error_errno(e, -errno, "switch root");
        return 0;
}

int step_lock(struct boot *b, struct error *e)
{
        int r;

        r = event_log_append(b->log, "cap", "switch-root", strlen("switch-root"), e);
        if (r < 0)
                return r;
        r = write_settings(e);
        if (r < 0)
                return r;
        if (prctl(PR_CAPBSET_DROP, CAP_MAC_ADMIN, 0, 0, 0) < 0)
                return error_errno(e, -errno, "CAP_MAC_ADMIN");
        return switch_root(e);
}
