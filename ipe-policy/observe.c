/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel knows of a file of this machine, found out from outside: by the device of its file system
 * and its own fs-verity digest, as IPE does it. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fsverity.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "ipe-policy/observe.h"

#define MOUNTINFO_MAX ((size_t)16 * 1024 * 1024)

/* Whether the file system is the initramfs: the kernel's first mount, of type rootfs whatever it is made of.
 */
static int observe_initramfs(dev_t device, bool *ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        char wanted[32];
        int r;

        r = read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL, e);
        if (r < 0)
                return r;
        (void)snprintf(wanted, sizeof(wanted), " %u:%u ", major(device), minor(device));
        for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
                if (strstr(line, wanted) && strstr(line, " - rootfs "))
                        *ret = true;
        return 0;
}

/* The one target of the device-mapper device, in the form of its table. 0 if it is none of device-mapper's.
 */
static int read_table(dev_t device, char type[static DM_MAX_TYPE_NAME], char *parameters, size_t size,
                      struct error *e)
{
        union {
                struct dm_ioctl head;
                char bytes[sizeof(struct dm_ioctl) + sizeof(struct dm_target_spec) + OBSERVE_TABLE_MAX];
        } io = {};
        struct dm_target_spec spec;
        _cleanup_close_ int fd = -EBADF;
        char path[64];
        int r;

        (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm", major(device), minor(device));
        r = file_exists(AT_FDCWD, path);
        if (r <= 0)
                return r < 0 ? error_errno(e, r, "%s", path) : 0;
        fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return error_errno(e, -errno, "/dev/mapper/control");
        io.head.version[0] = DM_VERSION_MAJOR;
        io.head.data_size = sizeof(io);
        io.head.data_start = sizeof(io.head);
        io.head.flags = DM_STATUS_TABLE_FLAG;
        io.head.dev =
                ((uint64_t)(minor(device) & ~0xffu) << 12) | (major(device) << 8) | (minor(device) & 0xffu);
        if (ioctl(fd, DM_TABLE_STATUS, &io) < 0)
                return error_errno(e, -errno, "table of device %u:%u", major(device), minor(device));
        if ((io.head.flags & DM_BUFFER_FULL_FLAG) || io.head.target_count != 1)
                return 0;
        memcpy(&spec, io.bytes + io.head.data_start, sizeof(spec));
        (void)snprintf(type, DM_MAX_TYPE_NAME, "%.*s", (int)sizeof(spec.target_type) - 1, spec.target_type);
        (void)snprintf(parameters, size, "%s", io.bytes + io.head.data_start + sizeof(spec));
        return 1;
}

int ipe_observe_table(const char *parameters, struct ipe_observation *ret, struct error *e)
{
        char algorithm[OBSERVE_ALGORITHM_MAX + 1], root_hash[2 * OBSERVE_DIGEST_MAX + 1];
        size_t n;

        /* version, two devices, two block sizes, number of blocks, where the tree begins, algorithm, root
         * hash */
        if (sscanf(parameters, "%*u %*s %*s %*u %*u %*u %*u %31s %128s", algorithm, root_hash) != 2)
                return error_set(e, -EBADMSG, "table: a verity target's parameters expected, found \"%.80s\"",
                                 parameters);
        n = strlen(root_hash);
        if (n % 2 != 0 || strspn(root_hash, "0123456789abcdefABCDEF") != n)
                return error_set(e, -EBADMSG, "table: a root hash in hex expected, found \"%s\"", root_hash);
        for (char *c = root_hash; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        (void)stpcpy(ret->algorithm, algorithm);
        (void)stpcpy(ret->root_hash, root_hash);
        ret->subject.dmverity_roothash = (struct ipe_digest){ret->algorithm, ret->root_hash};
        ret->subject.dmverity_signature = strstr(parameters, " root_hash_sig_key_desc ") != NULL;
        return 0;
}

static int observe_device(dev_t device, struct ipe_observation *ret, struct error *e)
{
        char type[DM_MAX_TYPE_NAME] = "", parameters[OBSERVE_TABLE_MAX];
        int r = read_table(device, type, parameters, sizeof(parameters), e);

        if (r <= 0 || strcmp(type, "verity") != 0)
                return r < 0 ? r : 0;
        return ipe_observe_table(parameters, ret, e);
}

static int observe_fsverity(int fd, struct ipe_observation *ret, struct error *e)
{
        static const char *const algorithms[] = {
                [FS_VERITY_HASH_ALG_SHA256] = "sha256", [FS_VERITY_HASH_ALG_SHA512] = "sha512"};
        union {
                struct fsverity_digest head;
                char bytes[sizeof(struct fsverity_digest) + OBSERVE_DIGEST_MAX];
        } d = {};
        char byte;
        struct fsverity_read_metadata_arg signature = {
                .metadata_type = FS_VERITY_METADATA_TYPE_SIGNATURE, .length = 1, .buf_ptr = (uintptr_t)&byte};

        d.head.digest_size = OBSERVE_DIGEST_MAX;
        if (ioctl(fd, FS_IOC_MEASURE_VERITY, &d) < 0)
                return errno == ENODATA || errno == ENOTTY || errno == EOPNOTSUPP
                               ? 0
                               : error_errno(e, -errno, "fs-verity digest");
        if (d.head.digest_algorithm >= ELEMENTSOF(algorithms) || !algorithms[d.head.digest_algorithm])
                return error_set(e, -EOPNOTSUPP, "fs-verity: sha256 or sha512 expected, found algorithm %u",
                                 d.head.digest_algorithm);
        hex_encode(d.bytes + sizeof(d.head), d.head.digest_size, ret->fsverity_digest);
        ret->subject.fsverity_digest =
                (struct ipe_digest){algorithms[d.head.digest_algorithm], ret->fsverity_digest};
        ret->subject.fsverity_signature = ioctl(fd, FS_IOC_READ_VERITY_METADATA, &signature) > 0;
        return 0;
}

int ipe_observe_file(const char *path, struct ipe_observation *ret, struct error *e)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct statfs fs;
        struct stat st;
        int r;

        *ret = (struct ipe_observation){};
        if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
                return error_errno(e, -errno, "%s", path);
        if (!S_ISREG(st.st_mode))
                return error_set(e, -EISDIR, "%s: a regular file expected, found something else", path);
        if (fs.f_type == OVERLAYFS_SUPER_MAGIC)
                return error_set(e, -EOPNOTSUPP,
                                 "%s: a file of a layer expected, found one of an overlay: "
                                 "IPE judges the file in the layer below it",
                                 path);
        if ((r = observe_initramfs(st.st_dev, &ret->subject.boot_verified, e)) < 0 ||
            (r = observe_device(st.st_dev, ret, e)) < 0 || (r = observe_fsverity(fd, ret, e)) < 0)
                return error_prefix(e, r, "%s", path);
        return 0;
}
