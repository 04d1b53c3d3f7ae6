/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mapping.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* The mapping that this thread uses. */
static _Thread_local const uint8_t *volatile guarded;
static _Thread_local size_t guarded_size;
static _Thread_local sigjmp_buf way_out;

static struct sigaction before;
static int cannot_guard;

/* Other faults are as fatal as they were: they happen again under the handler that was there before. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
        const uint8_t *at = info->si_addr;

        if (guarded && at >= guarded && at < guarded + guarded_size)
                siglongjmp(way_out, 1);
        (void)sigaction(number, &before, NULL);
}

static void guard_once(void)
{
        struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};

        cannot_guard = sigaction(SIGBUS, &action, &before) < 0 ? -errno : 0;
}

int mapping_use(int fd, uint64_t offset, size_t size, mapping_use_t use, void *userdata)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        size_t skip = (size_t)(offset % (uint64_t)sysconf(_SC_PAGESIZE));
        volatile int r = -EIO;
        uint8_t *map;

        (void)pthread_once(&once, guard_once);
        if (cannot_guard < 0)
                return cannot_guard;
        map = mmap(NULL, size + skip, PROT_READ, MAP_SHARED, fd, (off_t)(offset - skip));
        if (map == MAP_FAILED)
                return -errno;
        guarded_size = size + skip;
        if (sigsetjmp(way_out, 1) == 0) {
                guarded = map;
                r = use(userdata, map + skip);
        }
        guarded = NULL;
        (void)munmap(map, size + skip);
        return r;
}
