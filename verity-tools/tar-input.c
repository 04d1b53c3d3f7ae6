/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tar-input.h"

#include <errno.h>
#include <inttypes.h>

#include "base/file.h"

/* Bytes that libarchive may read to learn of one entry: it keeps lists of what is sparse in memory. */
#define HEADER_MAX ((size_t)2 * 1024 * 1024)

static la_ssize_t read_input(struct archive *a, void *userdata, const void **ret)
{
        struct tar_input *t = userdata;
        size_t size = 0;

        if (t->place_size > 0) {
                t->failed = decompressor_read(t->file, t->place, t->place_size, &size, &t->error);
                *ret = t->place;
        } else {
                t->failed = decompressor_next(t->file, ret, &size, &t->error);
        }
        if (t->failed >= 0 && t->in_header && (t->header += size) > HEADER_MAX)
                t->failed = error_set(&t->error, -E2BIG, "headers of at most %zu bytes expected, found more",
                                      HEADER_MAX);
        if (t->failed < 0) {
                archive_set_error(a, -t->failed, "%s", t->error.message);
                return ARCHIVE_FATAL;
        }
        if (t->progress)
                t->progress(t->userdata, decompressor_position(t->file), t->total);
        t->at_end = size == 0;
        return (la_ssize_t)size;
}

int tar_input_failed(const struct tar_input *t, int r, struct error *e)
{
        if (t->failed < 0)
                return error_set(e, t->failed, "%s", t->error.message);
        return error_set(e, r, "%s", archive_error_string(t->archive) ?: "not a tar archive");
}

int tar_input_open(struct tar_input *t, const struct build_tar *tar, verity_progress_t progress,
                   void *userdata, struct error *e)
{
        int r;

        *t = (struct tar_input){.archive = archive_read_new(), .progress = progress, .userdata = userdata};
        if (!t->archive)
                return -ENOMEM;
        if (file_size(tar->fd, &t->total) < 0)
                t->total = 0;
        r = decompressor_new(tar, &t->file, e);
        if (r >= 0 && (archive_read_support_format_tar(t->archive) != ARCHIVE_OK ||
                       archive_read_open(t->archive, t, NULL, read_input, NULL) != ARCHIVE_OK))
                r = tar_input_failed(t, -EBADMSG, e);
        return r;
}

void tar_input_done(struct tar_input *t)
{
        if (t->archive)
                (void)archive_read_free(t->archive);
        decompressor_free(t->file);
}

/* POSIX wants two blocks of zeros behind the last entry. Where they are missing the file ended before
 * libarchive did, and there may have been more entries. */
static int check_end(const struct tar_input *t, struct error *e)
{
        if (!t->at_end)
                return 0;
        return error_set(e, -EBADMSG, "two blocks of zeros expected behind the last entry, found the end");
}

/* libarchive goes on behind an ACL that it cannot read, and tells by its error alone. */
int tar_input_next(struct tar_input *t, struct archive_entry **ret, struct error *e)
{
        int r;

        t->in_header = true;
        t->header = 0;
        r = archive_read_next_header(t->archive, ret);
        t->in_header = false;
        if (r == ARCHIVE_EOF)
                return check_end(t, e);
        return r == ARCHIVE_OK && archive_errno(t->archive) == 0 ? 1 : tar_input_failed(t, -EBADMSG, e);
}

int tar_input_finish(struct tar_input *t, struct error *e)
{
        const void *unused;
        size_t size;
        int r;

        do
                r = decompressor_next(t->file, &unused, &size, e);
        while (r >= 0 && size > 0);
        return r;
}
