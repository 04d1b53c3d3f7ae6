/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file that takes its name when it is complete. Until then the name keeps what it has, and where the file
 * system can do it the new file has none, so that a killed writer leaves nothing behind. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

struct output {
        const char *path; /* borrowed */
        int fd;           /* to be written and read; owned */
        char *temporary;  /* its name until it is complete, or NULL */
};

#define OUTPUT_NONE ((struct output){.fd = -EBADF})

/* Whether two outputs would take the same name, however it is spelled; neither has to be there. */
bool output_same(const char *a, const char *b);

int output_begin(const char *path, struct output *ret, struct error *e);

/* Syncs the file and gives it its name. */
int output_publish(struct output *o, struct error *e);

/* Also for one that was never begun. */
void output_done(struct output *o);
