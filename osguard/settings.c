/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "osguard/osguard.h"

static const struct {
        const char *name, *value;
} settings[] = {
        {"kernel/kexec_load_disabled", "1"},
        /* All modules are there; a request for another is answered at once. */
        {"kernel/modprobe", "\n"},
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
        /* For huge pages the kernel would keep up to a tenth of a small machine free. How early it starts to
         * reclaim still grows with the memory. */
        {"vm/min_free_kbytes", "16384"},
        {"dev/tty/ldisc_autoload", "0"},
        {"dev/tty/legacy_tiocsti", "0"},
        {"fs/protected_fifos", "2"},
        {"fs/protected_hardlinks", "1"},
        {"fs/protected_regular", "2"},
        {"fs/protected_symlinks", "1"},
        {"fs/suid_dumpable", "0"},
};

/* Before SELinux, because some take capabilities that no domain of its policy has. */
int step_settings(struct boot *b, struct error *e)
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
