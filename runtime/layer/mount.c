/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/layer/layer.h"

/* The kernel's own words about the last failure of a file system context, where it has some. */
static int fs_error(int context, int r, struct error *e, const char *what)
{
        char text[256];
        ssize_t n = read(context, text, sizeof(text) - 1);

        if (n <= 0)
                return error_errno(e, r, "%s", what);
        text[n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        return error_errno(e, r, "%s: %s", what, text);
}

/* One option of the file system; a NULL value is skipped. */
static int set_option(int context, const char *key, const char *value, struct error *e, const char *what)
{
        if (value && fsconfig(context, FSCONFIG_SET_STRING, key, value, 0) < 0)
                return fs_error(context, -errno, e, what);
        return 0;
}

static int open_context(const char *type, const char *selinux, struct error *e, const char *what)
{
        _cleanup_close_ int context = fsopen(type, FSOPEN_CLOEXEC);
        int r;

        if (context < 0)
                return error_errno(e, -errno, "%s: file system %s", what, type);
        r = set_option(context, "context", selinux, e, what);
        return r < 0 ? r : TAKE_FD(context);
}

static int attach(int context, unsigned attributes, const char *directory, struct error *e)
{
        _cleanup_close_ int mount = -EBADF;

        if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return fs_error(context, -errno, e, directory);
        mount = fsmount(context, FSMOUNT_CLOEXEC, attributes);
        if (mount < 0)
                return fs_error(context, -errno, e, directory);
        if (move_mount(mount, "", AT_FDCWD, directory, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return error_errno(e, -errno, "%s", directory);
        return 0;
}

int mount_erofs(const char *device, const char *directory, bool noexec, const char *context, struct error *e)
{
        _cleanup_close_ int fs = open_context("erofs", context, e, directory);
        int r;

        if (fs < 0)
                return fs;
        if (fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
                return fs_error(fs, -errno, e, directory);
        r = set_option(fs, "source", device, e, directory);
        if (r < 0)
                return r;
        return attach(fs,
                      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                              (noexec ? MOUNT_ATTR_NOEXEC : 0),
                      directory, e);
}

int mount_scratch(const char *directory, uint64_t size, unsigned mode, const char *context, struct error *e)
{
        _cleanup_close_ int fs = open_context("tmpfs", context, e, directory);
        char text[32], mode_text[8];
        int r;

        if (fs < 0)
                return fs;
        (void)snprintf(mode_text, sizeof(mode_text), "%04o", mode & 07777);
        (void)snprintf(text, sizeof(text), "%lu", (unsigned long)size);
        r = set_option(fs, "source", "scratch", e, directory);
        if (r >= 0)
                r = set_option(fs, "size", text, e, directory);
        if (r >= 0)
                r = set_option(fs, "mode", mode_text, e, directory);
        if (r < 0)
                return r;
        return attach(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, directory, e);
}

int mount_overlay(const char *directory, const char *const *lowers, size_t n, const char *upper,
                  const char *work, const char *context, struct error *e)
{
        _cleanup_close_ int fs = open_context("overlay", context, e, directory);
        int r;

        if (fs < 0)
                return fs;
        r = set_option(fs, "source", "overlay", e, directory);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = set_option(fs, "lowerdir+", lowers[i], e, lowers[i]);
        if (r >= 0)
                r = set_option(fs, "upperdir", upper, e, directory);
        if (r >= 0)
                r = set_option(fs, "workdir", work, e, directory);
        if (r >= 0)
                r = set_option(fs, "metacopy", "off", e, directory);
        if (r >= 0)
                r = set_option(fs, "redirect_dir", "nofollow", e, directory);
        if (r < 0)
                return r;
        return attach(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, directory, e);
}

int is_mount_point(const char *directory)
{
        struct statx st;

        if (statx(AT_FDCWD, directory, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

int unmount_directory(const char *directory, struct error *e)
{
        /* Detached mounts go when their last user does; EINVAL: nothing is mounted there any more. */
        while (umount2(directory, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
                ;
        if (errno != EINVAL && errno != ENOENT)
                return error_errno(e, -errno, "%s", directory);
        if (rmdir(directory) < 0 && errno != ENOENT)
                return error_errno(e, -errno, "%s", directory);
        return 0;
}
