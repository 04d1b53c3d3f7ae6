/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "osguard/osguard.h"

#define IMA_POLICY "/sys/kernel/security/ima/policy"
#define NO (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* Whatever is measured here goes to PCR 10: device-mapper tables, SELinux's state, modules, kexec images. The
 * first write closes the file for good, so root cannot drop a rule later. */
static const char ima_policy[] = "measure func=CRITICAL_DATA\n"
                                 "measure func=MODULE_CHECK\n"
                                 "measure func=KEXEC_KERNEL_CHECK\n"
                                 "measure func=POLICY_CHECK\n";

static const struct {
        const char *type, *where, *options;
        unsigned long flags;
} api_mounts[] = {
        {"proc", "/proc", NULL, NO},
        {"sysfs", "/sys", NULL, NO},
        {"devtmpfs", "/dev", "mode=755", MS_NOSUID | MS_NOEXEC},
        {"tmpfs", "/run", "mode=755,size=20%", NO},
        {"securityfs", "/sys/kernel/security", NULL, NO},
};

/* The console that the kernel opened is a node of the initramfs, which will be gone. */
static int open_console(struct error *e)
{
        _cleanup_close_ int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);

        if (fd < 0)
                return error_errno(e, -errno, "/dev/console");
        for (int i = 0; i <= STDERR_FILENO; i++)
                if (dup2(fd, i) < 0)
                        return error_errno(e, -errno, "/dev/console");
        return 0;
}

static int mount_api(struct error *e)
{
        int r;

        for (size_t i = 0; i < ELEMENTSOF(api_mounts); i++) {
                if (mkdir(api_mounts[i].where, 0755) < 0 && errno != EEXIST)
                        return error_errno(e, -errno, "%s", api_mounts[i].where);
                /* -EBUSY: the kernel mounted devtmpfs itself. */
                if (mount(api_mounts[i].type, api_mounts[i].where, api_mounts[i].type, api_mounts[i].flags,
                          api_mounts[i].options) < 0 &&
                    errno != EBUSY)
                        return error_errno(e, -errno, "mount %s", api_mounts[i].where);
        }
        r = open_console(e);
        if (r < 0)
                return r;
        if (mkdir("/run/holdfast", 0755) < 0)
                return error_errno(e, -errno, "/run/holdfast");
        return 0;
}

int cmdline_check(const char *found, const char *expected, struct error *e)
{
        size_t n = strlen(found);

        if (n > 0 && found[n - 1] == '\n')
                n--;
        if (strlen(expected) != n || memcmp(found, expected, n) != 0)
                return error_set(e, -EPERM, "/proc/cmdline: \"%.300s\" expected, found \"%.*s\"", expected,
                                 (int)(n > 300 ? 300 : n), found);
        return 0;
}

static int check_cmdline(const struct image *image, struct error *e)
{
        _cleanup_free_ char *found = NULL;
        int r;

        r = read_file(AT_FDCWD, "/proc/cmdline", 8192, &found, NULL, e);
        return r < 0 ? r : cmdline_check(found, image->cmdline, e);
}

/* systemd-stub packs files from the ESP into /.extra, where they would count as verified by the boot. What
 * the stub takes from the signed UKI itself is allowed to be there, and goes too. */
static int clear_extra(struct error *e)
{
        static const char *const allowed[] = {"os-release", "profile", "tpm2-pcr-signature.json",
                                              "tpm2-pcr-public-key.pem"};
        _cleanup_closedir_ DIR *dir = opendir("/.extra");
        int r;

        if (!dir)
                return errno == ENOENT ? 0 : error_errno(e, -errno, "/.extra");
        for (;;) {
                const struct dirent *entry;
                bool known = false;

                errno = 0;
                entry = readdir(dir);
                if (!entry && errno != 0)
                        return error_errno(e, -errno, "/.extra");
                if (!entry)
                        break;
                if (entry->d_name[0] == '.' && strspn(entry->d_name, ".") == strlen(entry->d_name))
                        continue;
                for (size_t i = 0; i < ELEMENTSOF(allowed); i++)
                        known = known || strcmp(entry->d_name, allowed[i]) == 0;
                if (!known)
                        return error_set(
                                e, -EPERM,
                                "/.extra: nothing from outside the signed UKI expected, found \"%s\"",
                                entry->d_name);
        }
        r = directory_empty(dirfd(dir), e);
        if (r < 0)
                return r;
        return rmdir("/.extra") < 0 ? error_errno(e, -errno, "/.extra") : 0;
}

/* The kernel takes one rule a write, all on one descriptor, and puts them in force when that is closed; what
 * it says of them is that the file is gone then. */
static int write_ima_policy(struct error *e)
{
        _cleanup_close_ int fd = open(IMA_POLICY, O_WRONLY | O_CLOEXEC);
        int r;

        if (fd < 0)
                return error_errno(e, -errno, IMA_POLICY);
        r = write_full(fd, ima_policy, sizeof(ima_policy) - 1);
        if (r < 0)
                return error_errno(e, r, IMA_POLICY);
        fd = close_fd(fd);
        r = file_exists(AT_FDCWD, IMA_POLICY);
        if (r != 0)
                return error_set(e, r < 0 ? r : -EPERM,
                                 IMA_POLICY ": closed after the first policy expected, found open");
        return 0;
}

int step_surroundings(struct boot *b, struct error *e)
{
        int r;

        r = mount_api(e);
        if (r < 0)
                return r;
        r = image_read(OSGUARD_IMAGE, &b->image, e);
        if (r < 0)
                return r;
        r = check_cmdline(&b->image, e);
        if (r < 0)
                return r;
        r = clear_extra(e);
        if (r < 0)
                return r;
        r = trust_store_open(AT_FDCWD, OSGUARD_TRUST, &b->trust, e);
        if (r < 0)
                return r;
        return write_ima_policy(e);
}
