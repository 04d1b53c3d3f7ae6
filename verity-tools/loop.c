/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "internal.h"

/* How often a number that was free is lost to somebody faster before this gives up. */
#define TRIES 64

int loop_attach(int fd, uint64_t offset, uint32_t block_size, int *ret_fd, char ret_path[static 32],
                struct error *e)
{
        struct loop_config config = {
                .fd = (__u32)fd,
                .block_size = block_size,
                .info = {.lo_offset = offset, .lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR},
        };
        _cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

        if (control < 0)
                return error_errno(e, -errno, "/dev/loop-control");
        for (int i = 0; i < TRIES; i++) {
                _cleanup_close_ int loop = -EBADF;
                int number = ioctl(control, LOOP_CTL_GET_FREE);

                if (number < 0)
                        return error_errno(e, -errno, "/dev/loop-control: free device");
                (void)snprintf(ret_path, 32, "/dev/loop%d", number);
                loop = open(ret_path, O_RDONLY | O_CLOEXEC);
                if (loop < 0)
                        return error_errno(e, -errno, "%s", ret_path);
                if (ioctl(loop, LOOP_CONFIGURE, &config) == 0) {
                        *ret_fd = TAKE_FD(loop);
                        return 0;
                }
                if (errno != EBUSY)
                        return error_errno(e, -errno, "%s: attaching", ret_path);
        }
        return error_errno(e, -EBUSY, "/dev/loop-control: free device");
}

int loop_detach(int loop_fd, struct error *e)
{
        if (ioctl(loop_fd, LOOP_CLR_FD) < 0 && errno != ENXIO)
                return error_errno(e, -errno, "loop device: detaching");
        return 0;
}
