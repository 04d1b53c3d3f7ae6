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
#include "osguard/osguard.h"

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
        if (chdir(OSGUARD_SYSROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
            chdir("/") < 0)
                return error_errno(e, -errno, "switch root");
        return 0;
}

int step_lock(struct boot *b, struct error *e)
{
        int r;

        r = event_log_append(b->log, "cap", "switch-root", strlen("switch-root"), e);
        if (r < 0)
                return r;
        /* The TSS opens its device without close-on-exec. */
        b->log = event_log_free(b->log);
        b->machine_log = event_log_free(b->machine_log);
        b->tpm = tpm_free(b->tpm);
        if (prctl(PR_CAPBSET_DROP, CAP_MAC_ADMIN, 0, 0, 0) < 0)
                return error_errno(e, -errno, "CAP_MAC_ADMIN");
        return switch_root(e);
}
