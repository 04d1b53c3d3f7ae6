/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"

#define ENTRIES_MAX 100000u

const char *archive_plain_name(const char *name)
{
        while (strncmp(name, "./", 2) == 0)
                name += 2;
        return name;
}

static int visit(const struct archive_file *f,
                 int (*call)(void *, const struct archive_file *, struct error *), void *userdata,
                 struct error *e)
{
        int r = f->name ? call(userdata, f, e) : 0;

        if (r >= 0 && archive_read_data_skip(f->input->archive) < ARCHIVE_OK)
                r = tar_input_failed(f->input, -EBADMSG, e);
        return r;
}

static int walk(struct tar_input *t, int (*call)(void *, const struct archive_file *, struct error *),
                void *userdata, struct error *e)
{
        struct archive_file f = {.input = t};
        int r;

        for (unsigned n = 0; (r = tar_input_next(t, &f.entry, e)) > 0; n++) {
                if (n >= ENTRIES_MAX)
                        return error_set(e, -E2BIG, "at most %u entries expected, found more", ENTRIES_MAX);
                f.name = archive_entry_pathname(f.entry);
                if (f.name)
                        f.name = archive_plain_name(f.name);
                r = visit(&f, call, userdata, e);
                if (r < 0)
                        return r;
        }
        return r < 0 ? error_prefix(e, r, "byte %" PRId64, archive_filter_bytes(t->archive, 0))
                     : tar_input_finish(t, e);
}

int archive_walk(const char *path, int (*call)(void *userdata, const struct archive_file *f, struct error *e),
                 void *userdata, struct error *e)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        const struct build_tar tar = {.fd = fd, .name = "archive"};
        struct tar_input t;
        int r;

        if (fd < 0)
                return error_errno(e, -errno, "opening it");
        r = tar_input_open(&t, &tar, NULL, NULL, e);
        if (r >= 0)
                r = walk(&t, call, userdata, e);
        tar_input_done(&t);
        return r;
}

int archive_read_text(const struct archive_file *f, char **ret, struct error *e)
{
        int64_t size = archive_entry_size(f->entry);
        _cleanup_free_ char *text = NULL;

        if (archive_entry_filetype(f->entry) != AE_IFREG || size < 0 || (uint64_t)size > OCI_MANIFEST_MAX)
                return error_set(e, -EBADMSG, "%s: a file of at most %zu bytes expected", f->name,
                                 OCI_MANIFEST_MAX);
        text = calloc(1, (size_t)size + 1);
        if (!text)
                return -ENOMEM;
        if (archive_read_data(f->input->archive, text, (size_t)size) != size)
                return error_set(e, -EBADMSG, "%s: %" PRId64 " bytes expected, found less", f->name, size);
        *ret = TAKE_PTR(text);
        return 0;
}

/* The tar's own size bounds what is written, since no hole is taken. */
static int copy_data(const struct archive_file *f, int fd, struct error *e)
{
        int64_t offset = 0, written = 0;
        const void *data = NULL;
        size_t size = 0;

        for (;;) {
                int k = archive_read_data_block(f->input->archive, &data, &size, &offset), r;

                if (k == ARCHIVE_EOF)
                        return 0;
                if (k != ARCHIVE_OK)
                        return tar_input_failed(f->input, -EBADMSG, e);
                if (offset != written)
                        return error_set(e, -EBADMSG, "a file without holes expected, found one at %" PRId64,
                                         written);
                r = pwrite_full(fd, data, size, (uint64_t)offset);
                if (r < 0)
                        return error_errno(e, r, "writing at %" PRId64, written);
                written += (int64_t)size;
        }
}

int archive_take_blob(const struct archive_file *f, struct layout *l, struct oci_blob *ret, struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (archive_entry_filetype(f->entry) != AE_IFREG || archive_entry_hardlink(f->entry))
                return error_set(e, -EBADMSG, "%.200s: a regular file expected, found something else",
                                 f->name);
        r = layout_begin_blob(l, 0, &fd, e);
        if (r < 0)
                return r;
        r = copy_data(f, fd, e);
        return r < 0 ? error_prefix(e, r, "%.200s", f->name) : layout_end_blob(l, 0, fd, ret, e);
}
