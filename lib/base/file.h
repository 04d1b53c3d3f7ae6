/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole files: read with a limit, replaced atomically, and kernel files that take one write. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Reads the file `path` below the directory `dirfd` (or AT_FDCWD). At most max bytes: -EFBIG above. The
 * result is the caller's to free; a NUL follows the last byte and is not counted. Works on files whose size
 * is not known beforehand (/proc, /sys). ret_size may be NULL: then a NUL byte inside the file is -EINVAL. */
int read_file(int dirfd, const char *path, size_t max, char **ret, size_t *ret_size, struct error *e);

/* Replaces `path`: a new file under a temporary name in the same directory, fsync, rename, fsync of the
 * directory. Either the old content or the new is there at any moment. */
int write_file_atomic(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
                      struct error *e);

/* As write_file_atomic(), but never replaces: -EEXIST if path is there. */
int write_file_new(int dirfd, const char *path, const void *data, size_t size, mode_t mode, struct error *e);

/* PATH.HEX.tmp, a name beside `path` that nothing has; to be freed. HEX: 16 random digits. */
int temporary_path(const char *path, char **ret, struct error *e);

/* Makes a name that was made or replaced in the directory of `path` last. */
int fsync_parent(int dirfd, const char *path);

/* Whether a file may be written under this name: nothing is there, or a regular file that is none of the n
 * inputs (NULL ones are skipped) under any of its names. -EINVAL if not. For programs, before they begin to
 * work. */
int check_output(const char *path, const char *const inputs[], size_t n, struct error *e);

/* Writes to an existing file of the kernel's (/proc, /sys, securityfs) with exactly one write(2). */
int write_kernel_file(const char *path, const void *data, size_t size, struct error *e);

/* The file is there, a directory or not: 1, 0, or a negative errno when that cannot be told (EIO is not
 * "absent"). */
int file_exists(int dirfd, const char *path);

/* All n bytes or a negative errno (-EIO for an early end of file). Interrupted calls are resumed. */
int read_full(int fd, void *buf, size_t n);
int write_full(int fd, const void *buf, size_t n);
int pread_full(int fd, void *buf, size_t n, uint64_t offset);
int pwrite_full(int fd, const void *buf, size_t n, uint64_t offset);

/* The size in bytes of a file or of a block device. */
int file_size(int fd, uint64_t *ret);

/* Creates the directory and its missing parents with the mode given. Existing ones are left as they are. */
int make_directories(const char *path, mode_t mode, struct error *e);
