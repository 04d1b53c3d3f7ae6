/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scope-bound ownership: a variable marked _cleanup_… releases what it holds when it goes out of scope;
 * TAKE_PTR and TAKE_FD hand the value on and leave nothing behind to release. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(free_ptr)
#define _cleanup_close_ _cleanup_(close_ptr)
#define _cleanup_fclose_ _cleanup_(fclose_ptr)
#define _cleanup_closedir_ _cleanup_(closedir_ptr)

#define TAKE_PTR(p)                                                                                          \
        ({                                                                                                   \
                __typeof__(p) *take_ = &(p);                                                                 \
                __typeof__(p) taken_ = *take_;                                                               \
                *take_ = NULL;                                                                               \
                taken_;                                                                                      \
        })

#define TAKE_FD(fd)                                                                                          \
        ({                                                                                                   \
                int *take_ = &(fd);                                                                          \
                int taken_ = *take_;                                                                         \
                *take_ = -EBADF;                                                                             \
                taken_;                                                                                      \
        })

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))

/* Declares name##_ptr() for _cleanup_(name##_ptr), from a destructor that takes a pointer and accepts NULL.
 */
#define DEFINE_CLEANUP(type, destructor)                                                                     \
        static inline void destructor##_ptr(type *p)                                                         \
        {                                                                                                    \
                if (*p)                                                                                      \
                        destructor(*p);                                                                      \
        }

static inline void free_ptr(void *p)
{
        free(*(void **)p);
}

/* Closes fd if it is one; errno is kept. Always returns -EBADF, to be stored in its place. */
static inline int close_fd(int fd)
{
        if (fd >= 0) {
                int saved = errno;
                (void)close(fd);
                errno = saved;
        }
        return -EBADF;
}

static inline void close_ptr(const int *fd)
{
        (void)close_fd(*fd);
}

static inline void fclose_ptr(FILE **f)
{
        if (*f)
                (void)fclose(*f);
}

static inline void closedir_ptr(DIR **d)
{
        if (*d)
                (void)closedir(*d);
}
