/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One parser decides what a tar means. mkfs.erofs gets an archive that we wrote, so that what was checked
 * here is what it builds. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>

#include "build-internal.h"

#define READ_BLOCK ((size_t)256 * 1024)
#define NAME_MAX_BYTES 255
#define PATH_MAX_BYTES 4095

static void archive_read_done(struct archive **a)
{
        if (*a)
                (void)archive_read_free(*a);
}

static void archive_write_done(struct archive **a)
{
        if (*a)
                (void)archive_write_free(*a);
}

struct copy {
        struct archive *in, *out;
        const char *name; /* of the tar, for messages */
        bool allow_setuid;
        uint64_t entries, bytes, holes;
};

static int archive_error(struct copy *c, struct archive *a, int r, const char *path, struct error *e)
{
        return error_set(e, r, "%s: entry %" PRIu64 "%s%.200s: %s", c->name, c->entries, path ? " " : "",
                         path ?: "", archive_error_string(a) ?: "not a tar archive");
}

/* The name without leading "/" and "./", or -EBADMSG if it would leave the root or no file system could hold
 * it. */
static int clean_path(const struct copy *c, const char *path, char ret[static PATH_MAX_BYTES + 1],
                      struct error *e)
{
        const char *p = path;
        size_t size = 0;

        while (p && *p) {
                size_t n = strcspn(p, "/");

                if (n == 2 && p[0] == '.' && p[1] == '.')
                        return error_set(e, -EBADMSG,
                                         "%s: entry %" PRIu64 " %.200s: a name without \"..\" expected",
                                         c->name, c->entries, path);
                if (n > NAME_MAX_BYTES || size + n + 2 > PATH_MAX_BYTES)
                        return error_set(e, -EBADMSG,
                                         "%s: entry %" PRIu64
                                         " %.200s…: names up to %d bytes and paths up to %d expected",
                                         c->name, c->entries, path, NAME_MAX_BYTES, PATH_MAX_BYTES);
                if (n > 0 && !(n == 1 && p[0] == '.')) {
                        if (size > 0)
                                ret[size++] = '/';
                        memcpy(ret + size, p, n);
                        size += n;
                }
                p += n + (p[n] == '/');
        }
        if (!path || path[0] == '\0')
                return error_set(e, -EBADMSG, "%s: entry %" PRIu64 ": a name expected, found an empty one",
                                 c->name, c->entries);
        ret[size] = '\0';
        return 0;
}

static int refuse_setuid(const struct copy *c, const char *path, const char *what, struct error *e)
{
        return error_set(e, -EBADMSG, "%s: %.200s: a file without %s expected, found one; see --allow-setuid",
                         c->name, path, what);
}

/* Attributes of the machine that made the archive, labels and overlayfs's own marks stay behind. */
static int clean_xattrs(const struct copy *c, struct archive_entry *in, struct archive_entry *out,
                        const char *path, struct error *e)
{
        const char *key;
        const void *value;
        size_t size;

        (void)archive_entry_xattr_reset(in);
        while (archive_entry_xattr_next(in, &key, &value, &size) == ARCHIVE_OK) {
                bool capability = strcmp(key, "security.capability") == 0;

                if (capability && !c->allow_setuid)
                        return refuse_setuid(c, path, "capabilities", e);
                if (capability || strncmp(key, "user.", 5) == 0)
                        archive_entry_xattr_add_entry(out, key, value, size);
        }
        return 0;
}

static int clean_type(const struct copy *c, struct archive_entry *in, struct archive_entry *out,
                      const char *path, struct error *e)
{
        mode_t type = archive_entry_filetype(in), permissions = archive_entry_perm(in);
        char target[PATH_MAX_BYTES + 1];
        int r;

        if (archive_entry_hardlink(in)) {
                r = clean_path(c, archive_entry_hardlink(in), target, e);
                if (r < 0)
                        return r;
                archive_entry_copy_hardlink(out, target);
                archive_entry_set_filetype(out, AE_IFREG);
                return 0;
        }
        if (!S_ISREG(type) && !S_ISDIR(type) && !S_ISLNK(type) && !S_ISCHR(type) && !S_ISBLK(type) &&
            !S_ISFIFO(type))
                return error_set(
                        e, -EBADMSG,
                        "%s: %.200s: file, directory, link, device or pipe expected, found another type",
                        c->name, path);
        if (S_ISREG(type) && (permissions & (S_ISUID | S_ISGID)) && !c->allow_setuid)
                return refuse_setuid(c, path, "setuid or setgid", e);
        archive_entry_set_filetype(out, type);
        archive_entry_set_perm(out, permissions);
        if (S_ISREG(type))
                archive_entry_set_size(out, archive_entry_size(in));
        if (S_ISCHR(type) || S_ISBLK(type)) {
                archive_entry_set_rdevmajor(out, archive_entry_rdevmajor(in));
                archive_entry_set_rdevminor(out, archive_entry_rdevminor(in));
        }
        if (S_ISLNK(type)) {
                const char *link = archive_entry_symlink(in);

                if (!link || link[0] == '\0' || strlen(link) > PATH_MAX_BYTES)
                        return error_set(e, -EBADMSG, "%s: %.200s: a link target of 1 to %d bytes expected",
                                         c->name, path, PATH_MAX_BYTES);
                archive_entry_copy_symlink(out, link);
        }
        return 0;
}

static int write_bytes(struct copy *c, const void *data, size_t size, const char *path, struct error *e)
{
        while (size > 0) {
                la_ssize_t n = archive_write_data(c->out, data, size);

                if (n <= 0)
                        return archive_error(c, c->out, -EIO, path, e);
                data = (const char *)data + n;
                size -= (size_t)n;
        }
        return 0;
}

static int write_zeros(struct copy *c, uint64_t n, const char *path, struct error *e)
{
        static const char zeros[64 * 1024];

        if (n > BUILD_HOLES_MAX - c->holes)
                return error_set(e, -E2BIG,
                                 "%s: %.200s: sparse files with at most %" PRIu64
                                 " bytes of holes in all expected, found more",
                                 c->name, path, BUILD_HOLES_MAX);
        c->holes += n;
        while (n > 0) {
                size_t k = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);
                int r = write_bytes(c, zeros, k, path, e);

                if (r < 0)
                        return r;
                n -= k;
        }
        return 0;
}

/* Holes are filled: a size that lies ends as an error here, not in an image of another size. */
static int copy_data(struct copy *c, uint64_t size, const char *path, struct error *e)
{
        uint64_t at = 0;
        int r;

        for (;;) {
                const void *block;
                size_t n;
                la_int64_t offset;

                r = archive_read_data_block(c->in, &block, &n, &offset);
                if (r == ARCHIVE_EOF)
                        break;
                if (r != ARCHIVE_OK)
                        return archive_error(c, c->in, -EBADMSG, path, e);
                if (offset < 0 || (uint64_t)offset < at || (uint64_t)offset > size ||
                    n > size - (uint64_t)offset)
                        return error_set(e, -EBADMSG,
                                         "%s: %.200s: data within its %" PRIu64
                                         " bytes expected, found some outside",
                                         c->name, path, size);
                r = write_zeros(c, (uint64_t)offset - at, path, e);
                if (r >= 0)
                        r = write_bytes(c, block, n, path, e);
                if (r < 0)
                        return r;
                at = (uint64_t)offset + n;
        }
        return write_zeros(c, size - at, path, e);
}

static int copy_entry(struct copy *c, struct archive_entry *in, struct archive_entry *out, struct error *e)
{
        char path[PATH_MAX_BYTES + 1] = "";
        la_int64_t size;
        int r;

        r = clean_path(c, archive_entry_pathname(in), path, e);
        if (r < 0)
                return r;
        archive_entry_copy_pathname(out, path[0] != '\0' ? path : "./");
        archive_entry_set_uid(out, archive_entry_uid(in));
        archive_entry_set_gid(out, archive_entry_gid(in));
        archive_entry_set_mtime(out, 0, 0);
        r = clean_type(c, in, out, path, e);
        if (r >= 0)
                r = clean_xattrs(c, in, out, path, e);
        if (r < 0)
                return r;
        size = archive_entry_size_is_set(out) ? archive_entry_size(out) : 0;
        if (size < 0 || (uint64_t)size > BUILD_DATA_MAX - c->bytes)
                return error_set(e, -E2BIG,
                                 "%s: %.200s: at most %" PRIu64 " bytes of data expected in all, found more",
                                 c->name, path, BUILD_DATA_MAX);
        c->bytes += (uint64_t)size;
        if (archive_write_header(c->out, out) != ARCHIVE_OK)
                return archive_error(c, c->out, -EBADMSG, path, e);
        return size > 0 ? copy_data(c, (uint64_t)size, path, e) : 0;
}

static int copy_entries(struct copy *c, struct error *e)
{
        for (;;) {
                struct archive_entry *in, *out;
                int r;

                r = archive_read_next_header(c->in, &in);
                if (r == ARCHIVE_EOF)
                        return 0;
                c->entries++;
                if (r != ARCHIVE_OK)
                        return archive_error(c, c->in, -EBADMSG, NULL, e);
                if (c->entries > BUILD_ENTRIES_MAX)
                        return error_set(e, -E2BIG, "%s: at most %u entries expected, found more", c->name,
                                         BUILD_ENTRIES_MAX);
                out = archive_entry_new();
                if (!out)
                        return -ENOMEM;
                r = copy_entry(c, in, out, e);
                archive_entry_free(out);
                if (r < 0)
                        return r;
        }
}

static int copy_archive(struct copy *c, int source_fd, int out_fd, struct error *e)
{
        int r;

        if (archive_read_support_format_tar(c->in) != ARCHIVE_OK ||
            archive_read_support_filter_gzip(c->in) != ARCHIVE_OK ||
            archive_read_support_filter_zstd(c->in) != ARCHIVE_OK ||
            archive_read_support_filter_xz(c->in) != ARCHIVE_OK ||
            archive_read_support_filter_bzip2(c->in) != ARCHIVE_OK)
                return archive_error(c, c->in, -EOPNOTSUPP, NULL, e);
        if (archive_write_set_format_pax_restricted(c->out) != ARCHIVE_OK ||
            archive_write_set_options(c->out, "xattrheader=SCHILY") != ARCHIVE_OK ||
            archive_write_set_bytes_per_block(c->out, READ_BLOCK) != ARCHIVE_OK)
                return archive_error(c, c->out, -EOPNOTSUPP, NULL, e);
        if (archive_read_open_fd(c->in, source_fd, READ_BLOCK) != ARCHIVE_OK)
                return archive_error(c, c->in, -EBADMSG, NULL, e);
        if (archive_write_open_fd(c->out, out_fd) != ARCHIVE_OK)
                return archive_error(c, c->out, -EIO, NULL, e);
        r = copy_entries(c, e);
        if (r >= 0 && archive_write_close(c->out) != ARCHIVE_OK)
                r = archive_error(c, c->out, -EIO, NULL, e);
        return r;
}

int tar_normalise(int source_fd, const char *name, int out_fd, bool allow_setuid, struct error *e)
{
        _cleanup_(archive_read_done) struct archive *in = archive_read_new();
        _cleanup_(archive_write_done) struct archive *out = archive_write_new();
        struct copy c = {.in = in, .out = out, .name = name, .allow_setuid = allow_setuid};
        locale_t utf8, before;
        int r;

        if (!in || !out)
                return -ENOMEM;
        /* Names of pax archives are UTF-8 whatever the caller's locale. */
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
        if (!utf8)
                return error_errno(e, -errno, "locale C.UTF-8");
        before = uselocale(utf8);
        r = copy_archive(&c, source_fd, out_fd, e);
        (void)uselocale(before);
        freelocale(utf8);
        return r;
}
