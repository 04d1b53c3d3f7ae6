/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unix sockets by paths of any length. An address has room for 107 bytes; a longer path is given to the
 * kernel through a descriptor in /proc/self/fd. */
#pragma once

/* A stream socket connected to `path`, relative or absolute. type_flags: SOCK_NONBLOCK or 0; it is always
 * close-on-exec. Returns the descriptor, the caller's to close, or -errno. */
int unix_connect(const char *path, int type_flags);

/* A stream socket bound to `path`, with mode 0600, that does not listen yet. In a path that
 * is longer than an address the last component is at most UNIX_NAME_MAX bytes: -ENAMETOOLONG. -EADDRINUSE:
 * there is a file of that name. Returns the descriptor, the caller's to close, or another -errno. */
int unix_bind(const char *path, int type_flags);

/* 108 bytes hold "/proc/self/fd/", a descriptor of up to ten digits, a slash, the name and a NUL. */
#define UNIX_NAME_MAX 82u
