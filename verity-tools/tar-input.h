/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The entries of a tar, plain or compressed, by libarchive; what it may read and keep of them is bounded. */
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include "verity-tools/decompress.h"

struct tar_input {
        struct archive *archive;
        struct decompressor *file;
        verity_progress_t progress; /* bytes of the file that were read, of `total`. May be NULL */
        void *userdata;
        uint64_t total;
        bool in_header; /* of the next entry */
        size_t header;  /* bytes read for it */
        uint8_t *place; /* where content is read to, instead of a buffer, and then a block of libarchive's */
        size_t place_size; /* bytes, 0 for none; no more than are left of the content */
        bool at_end;       /* of the file */
        int failed;        /* the file's error, which is the cause of libarchive's */
        struct error error;
};

/* Messages do not have the name of the file. The input stays where it is
 * until tar_input_done(); `tar` is borrowed until then. */
int tar_input_open(struct tar_input *t, const struct build_tar *tar, verity_progress_t progress,
                   void *userdata, struct error *e);
void tar_input_done(struct tar_input *t);

/* 1: there is another entry, borrowed until the next call. 0: the archive ended as POSIX wants it, with
 * blocks of zeros. -EBADMSG: damaged, or cut off. -E2BIG: headers that are too large. */
int tar_input_next(struct tar_input *t, struct archive_entry **ret, struct error *e);

/* Why a function of libarchive failed; r is for where it knows no better. */
int tar_input_failed(const struct tar_input *t, int r, struct error *e);

/* Reads what lies behind the archive's end too: the checksum of a compressed file stands there. */
int tar_input_finish(struct tar_input *t, struct error *e);
