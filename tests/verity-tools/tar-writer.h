/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tars made byte by byte: for pinned digests, and for what no honest program writes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct tar_writer {
        uint8_t *data;
        size_t size, room;
        char *pax; /* records for the next header */
        size_t pax_size;
};

struct tar_header {
        const char *name, *link;
        char type; /* 0: '0' */
        unsigned mode, uid, gid;
        uint64_t size, mtime;
        unsigned major, minor;
        const char *size_field; /* 12 bytes in place of the size, or NULL */
};

void tar_writer_header(struct tar_writer *w, const struct tar_header *h);

/* Content, filled up to a block. */
void tar_writer_data(struct tar_writer *w, const void *data, size_t size);

/* A file with its content, which is a string. */
void tar_writer_file(struct tar_writer *w, const char *name, const char *content);
void tar_writer_directory(struct tar_writer *w, const char *name);

/* A pax record for the next entry; the value may be any bytes. */
void tar_writer_pax(struct tar_writer *w, const char *key, const void *value, size_t size);

/* Two blocks of zeros; writes it to the file and frees it. */
void tar_writer_save(struct tar_writer *w, const char *path);

/* As it is, without the end. */
void tar_writer_save_raw(struct tar_writer *w, const char *path);
