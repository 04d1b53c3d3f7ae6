/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <selinux/label.h>
#include <selinux/selinux.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/hex.h"
#include "osguard/osguard.h"
#include "osguard/volume.h"

#define SELINUXFS "/sys/fs/selinux"
#define BOOT_CONTEXTS "/etc/holdfast/selinux.contexts"
#define POLICY_MAX (16u * 1024 * 1024)

int selinux_policy_read(const struct image *image, char **ret, size_t *ret_size, struct error *e)
{
        _cleanup_free_ char *policy = NULL;
        uint8_t digest[32];
        char hex[65];
        size_t size = 0;
        int r;

        r = read_file(AT_FDCWD, OSGUARD_SELINUX, POLICY_MAX, &policy, &size, e);
        if (r < 0)
                return r;
        if (trust_sha256(policy, size, digest) < 0)
                return error_set(e, -EIO, OSGUARD_SELINUX ": SHA-256 failed");
        hex_encode(digest, 32, hex);
        if (memcmp(digest, image->selinux_sha256, 32) != 0)
                return error_set(e, -EKEYREJECTED,
                                 OSGUARD_SELINUX ": SHA-256 of image.json expected, found %s", hex);
        *ret = TAKE_PTR(policy);
        *ret_size = size;
        return 0;
}

static int load_policy(struct boot *b, struct error *e)
{
        _cleanup_free_ char *policy = NULL;
        size_t size = 0;
        int r;

        r = selinux_policy_read(&b->image, &policy, &size, e);
        if (r < 0)
                return r;
        if (mount("selinuxfs", SELINUXFS, "selinuxfs", MS_NOSUID | MS_NOEXEC, NULL) < 0)
                return error_errno(e, -errno, "mount " SELINUXFS);
        set_selinuxmnt(SELINUXFS);
        if (security_load_policy(policy, size) < 0)
                return error_errno(e, -errno, OSGUARD_SELINUX ": load");
        if (security_getenforce() != 1 && security_setenforce(1) < 0)
                return error_errno(e, -errno, SELINUXFS "/enforce");
        return 0;
}

/* nftw() hands nothing through to its callback. */
static struct selabel_handle *labels;

static int relabel_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        char *context = NULL;
        int r = 0;

        if (selabel_lookup_raw(labels, &context, path, (int)st->st_mode) < 0)
                return errno == ENOENT ? 0 : -1;
        if (lsetfilecon_raw(path, context) < 0 && errno != ENOENT)
                r = -1;
        freecon(context);
        return r;
}

/* What was made before the policy came carries no label of its own. */
static int relabel(struct error *e)
{
        static const char *const trees[] = {"/dev", "/run"};
        struct selinux_opt options[] = {{.type = SELABEL_OPT_PATH, .value = BOOT_CONTEXTS}};
        int r = 0;

        labels = selabel_open(SELABEL_CTX_FILE, options, ELEMENTSOF(options));
        if (!labels)
                return error_errno(e, -errno, BOOT_CONTEXTS);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(trees); i++)
                if (nftw(trees[i], relabel_one, 16, FTW_PHYS | FTW_MOUNT) != 0)
                        r = error_errno(e, -errno, "relabel %s", trees[i]);
        selabel_close(labels);
        return r;
}

/* Both labelled by their mount: nothing that is written there may ever execute. */
static int mount_writable(const struct boot *b, struct error *e)
{
        static const char *const directories[] = {"/var/lib", "/var/tmp"};
        int r;

        r = volume_mount(b, e);
        if (r < 0)
                return r;
        if (mount("tmpfs", OSGUARD_SYSROOT "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                  "mode=1777,size=10%,rootcontext=system_u:object_r:tmp_t:s0") < 0)
                return error_errno(e, -errno, "mount /tmp");
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                char path[64];

                (void)snprintf(path, sizeof(path), OSGUARD_SYSROOT "%s", directories[i]);
                if (mkdir(path, 0755) < 0 && errno != EEXIST)
                        return error_errno(e, -errno, "%s", directories[i]);
        }
        if (symlink("/run", OSGUARD_SYSROOT "/var/run") < 0 && errno != EEXIST)
                return error_errno(e, -errno, "/var/run");
        return 0;
}

int step_selinux(struct boot *b, struct error *e)
{
        int r;

        r = load_policy(b, e);
        if (r >= 0)
                r = relabel(e);
        if (r >= 0)
                r = mount_writable(b, e);
        return r;
}
