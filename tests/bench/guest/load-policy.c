/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The init of a guest in which the kernel loads the SELinux policies /ours and /peer in turn. Prints
 * `load NAME NANOSECONDS` for each, and `end`; or `error WHERE: REASON`. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOAD "/sys/fs/selinux/load"
#define SAMPLES 9

struct policy {
        const char *name, *path;
        char *data;
        size_t size;
};

_Noreturn static void fail(const char *where)
{
        printf("error %s: %s\n", where, strerror(errno));
        (void)reboot(RB_POWER_OFF);
        _exit(EXIT_FAILURE);
}

static void read_policy(struct policy *p)
{
        int fd = open(p->path, O_RDONLY | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                fail(p->path);
        p->size = (size_t)st.st_size;
        p->data = malloc(p->size);
        if (!p->data || read(fd, p->data, p->size) != (ssize_t)p->size)
                fail(p->path);
        (void)close(fd);
}

/* The write is the load: the kernel reads, checks and activates the policy before it returns. */
static uint64_t load(const struct policy *p)
{
        int fd = open(LOAD, O_WRONLY | O_CLOEXEC);
        struct timespec before, after;

        if (fd < 0)
                fail(LOAD);
        (void)clock_gettime(CLOCK_MONOTONIC, &before);
        if (write(fd, p->data, p->size) != (ssize_t)p->size)
                fail(p->name);
        (void)clock_gettime(CLOCK_MONOTONIC, &after);
        (void)close(fd);
        return (uint64_t)((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec);
}

int main(void)
{
        struct policy policies[] = {{.name = "ours", .path = "/ours"}, {.name = "peer", .path = "/peer"}};

        (void)mkdir("/sys", 0755);
        if (mount("sysfs", "/sys", "sysfs", 0, NULL) < 0 ||
            mount("selinuxfs", "/sys/fs/selinux", "selinuxfs", 0, NULL) < 0)
                fail("selinuxfs");
        for (unsigned i = 0; i < 2; i++)
                read_policy(&policies[i]);
        /* The first round is not counted: the first load of all labels what is there already. */
        for (unsigned i = 0; i < 2 * (SAMPLES + 1); i++) {
                uint64_t ns = load(&policies[i % 2]);

                if (i >= 2)
                        printf("load %s %lu\n", policies[i % 2].name, (unsigned long)ns);
        }
        printf("end\n");
        (void)fflush(stdout);
        (void)reboot(RB_POWER_OFF);
        return EXIT_FAILURE;
}
