/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/vm/guest/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/vm/guest/attempts.h"

#define SIGNATURE_MAX ((size_t)64 << 10)
#define KEY_SPEC_PROCESS_KEYRING (-2)
#define SECTORS_PER_BLOCK 8

struct dm_request {
        struct dm_ioctl header;
        char data[2048];
};

int verity_read_geometry(const char *path, struct verity_geometry *ret)
{
        _cleanup_free_ char *text = NULL;
        struct verity_geometry g;

        int r = read_file(AT_FDCWD, path, 512, &text, NULL, NULL);
        if (r < 0)
                return r;
        if (sscanf(text, "%" SCNu64 " %" SCNu64 " %64[0-9a-f] %64[0-9a-f]", &g.data_blocks, &g.hash_start,
                   g.root_hash, g.salt) != 4)
                return -EBADMSG;
        *ret = g;
        return 0;
}

int loop_attach(const char *image, char ret_path[32])
{
        _cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
        if (control < 0)
                return -errno;
        _cleanup_close_ int file = open(image, O_RDONLY | O_CLOEXEC);
        if (file < 0)
                return -errno;
        int n = ioctl(control, LOOP_CTL_GET_FREE);
        if (n < 0)
                return -errno;
        (void)snprintf(ret_path, 32, "/dev/loop%d", n);
        _cleanup_close_ int loop = open(ret_path, O_RDONLY | O_CLOEXEC);
        if (loop < 0)
                return -errno;
        struct loop_config config = {
                .fd = (uint32_t)file,
                .block_size = 4096,
                .info = {.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR},
        };
        if (ioctl(loop, LOOP_CONFIGURE, &config) < 0)
                return -errno;
        return TAKE_FD(loop);
}

static int dm_ioctl_on(int control, unsigned long command, const char *name, struct dm_request *request)
{
        request->header.version[0] = DM_VERSION_MAJOR;
        request->header.data_size = sizeof(*request);
        request->header.data_start = sizeof(request->header);
        (void)snprintf(request->header.name, sizeof(request->header.name), "%s", name);
        return ioctl(control, command, request) < 0 ? -errno : 0;
}

static int dm_control(void)
{
        int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int dm_remove(const char *name)
{
        struct dm_request request = {0};
        _cleanup_close_ int control = dm_control();
        if (control < 0)
                return control;
        return dm_ioctl_on(control, DM_DEV_REMOVE, name, &request);
}

/* The node comes from devtmpfs a moment after the device. */
static int wait_node(const char *path)
{
        for (unsigned i = 0; i < 200; i++) {
                if (access(path, F_OK) == 0)
                        return 0;
                (void)nanosleep(&(struct timespec){.tv_nsec = 10L * 1000 * 1000}, NULL);
        }
        return -ENODEV;
}

static struct outcome dm_open(const char *name, const char *type, uint64_t sectors, const char *parameters,
                              char ret_path[32])
{
        struct dm_request request = {0};
        _cleanup_close_ int control = dm_control();
        if (control < 0)
                return attempt_refused(control, "open /dev/mapper/control");
        int r = dm_ioctl_on(control, DM_DEV_CREATE, name, &request);
        if (r < 0)
                return attempt_refused(r, "create device-mapper device %s", name);
        (void)snprintf(ret_path, 32, "/dev/dm-%u", minor(request.header.dev));

        request = (struct dm_request){.header = {.flags = DM_READONLY_FLAG, .target_count = 1}};
        struct dm_target_spec spec = {.length = sectors, .next = sizeof(request.data)};
        (void)snprintf(spec.target_type, sizeof(spec.target_type), "%s", type);
        memcpy(request.data, &spec, sizeof(spec));
        (void)snprintf(request.data + sizeof(spec), sizeof(request.data) - sizeof(spec), "%s", parameters);
        r = dm_ioctl_on(control, DM_TABLE_LOAD, name, &request);
        if (r == 0) {
                request = (struct dm_request){0}; /* without DM_SUSPEND_FLAG this call resumes */
                r = dm_ioctl_on(control, DM_DEV_SUSPEND, name, &request);
        }
        if (r == 0)
                r = wait_node(ret_path);
        if (r < 0) {
                (void)dm_remove(name);
                return attempt_refused(r, "load %s table of %s", type, name);
        }
        return attempt_worked();
}

static int add_signature_key(const char *description, const char *path)
{
        _cleanup_free_ char *data = NULL;
        size_t size;

        int r = read_file(AT_FDCWD, path, SIGNATURE_MAX, &data, &size, NULL);
        if (r < 0)
                return r;
        return syscall(SYS_add_key, "user", description, data, size, KEY_SPEC_PROCESS_KEYRING) < 0 ? -errno
                                                                                                   : 0;
}

struct outcome verity_open(const char *name, const char *device, const struct verity_geometry *g,
                           const char *signature, char ret_path[32])
{
        char parameters[1024], key[128];

        (void)snprintf(key, sizeof(key), "holdfast-test:%s", name);
        if (signature) {
                int r = add_signature_key(key, signature);
                if (r < 0)
                        return attempt_void(r, "add key from %s", signature);
        }
        (void)snprintf(parameters, sizeof(parameters),
                       "1 %s %s 4096 4096 %" PRIu64 " %" PRIu64 " sha256 %s %s%s%s", device, device,
                       g->data_blocks, g->hash_start, g->root_hash, g->salt,
                       signature ? " 2 root_hash_sig_key_desc " : "", signature ? key : "");
        return dm_open(name, "verity", g->data_blocks * SECTORS_PER_BLOCK, parameters, ret_path);
}

struct outcome linear_open(const char *name, const char *device, char ret_path[32])
{
        char parameters[64];
        uint64_t bytes;

        _cleanup_close_ int fd = open(device, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return attempt_void(errno, "open %s", device);
        if (ioctl(fd, BLKGETSIZE64, &bytes) < 0)
                return attempt_void(errno, "size of %s", device);
        (void)snprintf(parameters, sizeof(parameters), "%s 0", device);
        return dm_open(name, "linear", bytes / 512, parameters, ret_path);
}

static int geometry_beside(const char *image, struct verity_geometry *ret)
{
        char path[256];
        size_t n = strlen(image);

        if (n < 4 || n + 4 > sizeof(path) || strcmp(image + n - 4, ".img") != 0)
                return -EINVAL;
        (void)snprintf(path, sizeof(path), "%.*s.verity", (int)(n - 4), image);
        return verity_read_geometry(path, ret);
}

/* Attaches and opens; on success the caller removes "attempt" after `use` returned. */
static struct outcome with_verity(const char *image, const char *signature,
                                  struct outcome (*use)(const char *dm, const void *arg), const void *arg)
{
        struct verity_geometry g;
        char device[32], dm[32];

        int r = geometry_beside(image, &g);
        if (r < 0)
                return attempt_void(r, "geometry of %s", image);
        _cleanup_close_ int loop = loop_attach(image, device);
        if (loop == -EACCES || loop == -EPERM)
                return attempt_refused(loop, "loop device of %s", image);
        if (loop < 0)
                return attempt_void(loop, "loop device of %s", image);
        struct outcome o = verity_open("attempt", device, &g, signature, dm);
        if (o.verdict != ATTEMPT_WORKED)
                return o;
        if (use)
                o = use(dm, arg);
        r = dm_remove("attempt");
        return r < 0 ? attempt_void(r, "remove the device of %s", image) : o;
}

struct outcome try_verity(const char *image, const char *signature)
{
        return with_verity(image, signature, NULL, NULL);
}

struct run_arguments {
        const char *mountpoint, *options, *name;
        int status;
};

static struct outcome run_on(const char *dm, const void *arg)
{
        const struct run_arguments *a = arg;
        return try_mount_run(dm, a->mountpoint, "erofs", a->options, a->name, a->status);
}

struct outcome try_verity_run(const char *image, const char *signature, const char *mountpoint,
                              const char *options, const char *name, int status)
{
        return with_verity(image, signature, run_on,
                           &(struct run_arguments){mountpoint, options, name, status});
}

struct outcome try_mount_run(const char *source, const char *mountpoint, const char *type,
                             const char *options, const char *name, int status)
{
        char path[256];

        struct outcome o = try_mount(source, mountpoint, type, MS_RDONLY, options);
        if (o.verdict != ATTEMPT_WORKED)
                return o;
        (void)snprintf(path, sizeof(path), "%s/%s", mountpoint, name);
        o = try_exec(path, status);
        return umount2(mountpoint, 0) < 0 ? attempt_void(errno, "unmount %s", mountpoint) : o;
}
