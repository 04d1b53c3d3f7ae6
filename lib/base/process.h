/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one way to start another program and wait for it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct process_result {
        int status;   /* exit status, or 128 + signal number */
        char *output; /* standard output and standard error, at most 64 KiB, NUL-terminated; to be freed */
};

/* Runs argv[0] (an absolute path or a name found on PATH) with the environment of the caller and no standard
 * input, and waits. Past timeout_ms milliseconds (0: none) it is killed and -ETIMEDOUT is returned.
 * Descriptors above 2 are closed in the child except those listed in keep_fds (n_keep of them), which become
 * 3, 4, … there. Its standard output and error go to ret->output; where stdio is given, stdio[0..2] become
 * its 0, 1 and 2 instead (-1: /dev/null) and output is "". */
struct process_options {
        uint64_t timeout_ms;
        const int *keep_fds;
        size_t n_keep;
        const int *stdio;
        char *const *environment; /* instead of the caller's, ends with NULL */
};

int process_run(char *const argv[], const struct process_options *options, struct process_result *ret,
                struct error *e);

/* Starts argv[0] under the same rules and returns at once; without stdio its 0, 1 and 2 are /dev/null. The
 * caller owns the pidfd, which is readable when the program has ended, and reaps it with waitid(). timeout_ms
 * is not used. */
int process_spawn(char *const argv[], const struct process_options *options, pid_t *ret_pid, int *ret_pidfd,
                  struct error *e);

/* As process_run(), and a status other than 0 is -EPROTO with the program's last line in the message. */
int process_check(char *const argv[], const struct process_options *options, struct error *e);
