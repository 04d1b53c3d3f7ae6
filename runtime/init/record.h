/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The exit record: how a container's init tells groupd, across groupd's own death, that it is in place and
 * how the program ended. One record of fixed size at offset 0 of a file that stays open in the container;
 * written by one pwrite(2), so it is there whole or not at all. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXIT_RECORD_MAGIC "HFEXIT1\n"

enum exit_kind {
        EXIT_KIND_EXITED = 1,       /* value: exit status, 0 to 255 */
        EXIT_KIND_SIGNALED = 2,     /* value: signal number */
        EXIT_KIND_NOT_EXECUTED = 3, /* value: errno of execve() */
        EXIT_KIND_STARTED = 4,      /* the program runs, no signal is lost; before there is no record */
};

struct exit_record {
        char magic[8]; /* EXIT_RECORD_MAGIC without its NUL */
        uint32_t kind;
        uint32_t value;
        uint64_t realtime_ns; /* when, CLOCK_REALTIME */
};

_Static_assert(sizeof(struct exit_record) == 24, "the record has no padding");

/* The record comes from a container: it holds nothing but what an init could have written. */
static inline bool exit_record_valid(const struct exit_record *record)
{
        if (memcmp(record->magic, EXIT_RECORD_MAGIC, sizeof(record->magic)) != 0)
                return false;
        switch (record->kind) {
        case EXIT_KIND_EXITED:
                return record->value <= 255;
        case EXIT_KIND_SIGNALED:
                return record->value >= 1 && record->value <= 64;
        case EXIT_KIND_NOT_EXECUTED:
                return record->value >= 1 && record->value <= 4095;
        case EXIT_KIND_STARTED:
                return record->value == 0;
        default:
                return false;
        }
}

/* The exit status that a shell would show: 0-255, 128 + signal, 126 or 127 where the program could not be
 * executed. */
static inline int exit_record_status(const struct exit_record *record)
{
        if (record->kind == EXIT_KIND_SIGNALED)
                return 128 + (int)record->value;
        if (record->kind == EXIT_KIND_NOT_EXECUTED)
                return record->value == 2 /* ENOENT */ ? 127 : 126;
        return (int)record->value;
}
