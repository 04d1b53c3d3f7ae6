/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes firmware logs with a SHA-256 bank, good ones and others. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define WRITTEN_LOG_MAX 16384u

struct written_log {
        uint8_t bytes[WRITTEN_LOG_MAX];
        size_t size;
};

/* The Spec ID event. */
void log_begin(struct written_log *l);

/* An event whose digest is that of `hashed`. */
void log_add(struct written_log *l, uint32_t pcr, uint32_t type, const void *data, size_t size,
             const void *hashed, size_t hashed_size);

/* An event whose digest is that of its data. */
void log_add_data(struct written_log *l, uint32_t pcr, uint32_t type, const void *data, size_t size);

/* An EV_NO_ACTION event with a digest of zeros. */
void log_add_no_action(struct written_log *l, uint32_t pcr, const void *data, size_t size);

void log_add_separator(struct written_log *l, uint32_t pcr, uint32_t value);
void log_add_action(struct written_log *l, uint32_t pcr, const char *text);

/* A UEFI variable; `global`: its GUID is EFI_GLOBAL_VARIABLE's, otherwise that of the security databases. */
void log_add_variable(struct written_log *l, uint32_t type, const char *name, int global, const void *value,
                      size_t size);

/* Where in a boot something is put in. */
enum log_place { LOG_START, LOG_BEFORE_SEPARATORS, LOG_AFTER_SEPARATORS, LOG_AFTER_APPLICATION, LOG_END };

/* A whole boot with Secure Boot on, that passes every check; at `place` it calls add(l, userdata). */
void log_write_boot(struct written_log *l, enum log_place place, void (*add)(struct written_log *, void *),
                    void *userdata);
