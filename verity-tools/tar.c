/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the entries of an archive mean is decided here, once; libarchive knows the dialects. */
#include <errno.h>
#include <inttypes.h>
#include <linux/posix_acl.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "build-internal.h"
#include "tar-input.h"

#define WHITEOUT ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define WHITEOUT_OTHER ".wh..wh." /* AUFS's own files */

/* Content of which less is left, or for which there is less room, is copied out of larger reads. */
#define PIECE_MIN ((size_t)64 * 1024)

#define MAJOR_MAX 0xfffu
#define MINOR_MAX 0xfffffu
#define MTIME_MAX INT64_C(253402300799) /* the end of the year 9999 */

struct reader {
        struct builder *b;
        struct tar_input input;
        const char *name; /* of the tar, for messages */
        uint64_t n;       /* entries */
};

/* --- one entry's attributes --- */

static int read_id(la_int64_t id, const char *what, uint32_t *ret, struct error *e)
{
        if (id < 0 || id >= UINT32_MAX)
                return error_set(e, -EBADMSG, "%s: 0 to 4294967294 expected, found %" PRId64, what,
                                 (int64_t)id);
        *ret = (uint32_t)id;
        return 0;
}

static void read_time(struct archive_entry *entry, struct file_attributes *a)
{
        int64_t time = archive_entry_mtime(entry);
        long nsec = archive_entry_mtime_nsec(entry);

        a->mtime = time < 0 ? 0 : time > MTIME_MAX ? MTIME_MAX : time;
        a->mtime_nsec = a->mtime == time && nsec >= 0 && nsec < 1000000000 ? (uint32_t)nsec : 0;
}

static int read_device(struct archive_entry *entry, dev_t *ret, struct error *e)
{
        uint64_t major = archive_entry_rdevmajor(entry), minor = archive_entry_rdevminor(entry);

        if (major > MAJOR_MAX || minor > MINOR_MAX)
                return error_set(e, -EBADMSG,
                                 "device numbers up to %u:%u expected, found %" PRIu64 ":%" PRIu64, MAJOR_MAX,
                                 MINOR_MAX, major, minor);
        *ret = makedev((unsigned)major, (unsigned)minor);
        return 0;
}

static int read_attributes(struct archive_entry *entry, struct file_attributes *a, struct error *e)
{
        mode_t type = archive_entry_filetype(entry);
        int r;

        *a = (struct file_attributes){.mode = type | (archive_entry_perm(entry) & 07777)};
        r = read_id(archive_entry_uid(entry), "user", &a->uid, e);
        if (r >= 0)
                r = read_id(archive_entry_gid(entry), "group", &a->gid, e);
        if (r < 0)
                return r;
        read_time(entry, a);
        if (S_ISREG(type) || S_ISDIR(type) || S_ISFIFO(type))
                return 0;
        if (S_ISCHR(type) || S_ISBLK(type))
                return read_device(entry, &a->rdev, e);
        if (!S_ISLNK(type))
                return error_set(e, -EBADMSG,
                                 "file, directory, link, device or pipe expected, found another type");
        a->target = archive_entry_symlink(entry);
        if (!a->target || a->target[0] == '\0' || strlen(a->target) > PATH_MAX_BYTES)
                return error_set(e, -EBADMSG, "a link target of 1 to %d bytes expected", PATH_MAX_BYTES);
        return 0;
}

static int acl_tag(int tag)
{
        switch (tag) {
        case ARCHIVE_ENTRY_ACL_USER_OBJ:
                return ACL_USER_OBJ;
        case ARCHIVE_ENTRY_ACL_USER:
                return ACL_USER;
        case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
                return ACL_GROUP_OBJ;
        case ARCHIVE_ENTRY_ACL_GROUP:
                return ACL_GROUP;
        case ARCHIVE_ENTRY_ACL_MASK:
                return ACL_MASK;
        case ARCHIVE_ENTRY_ACL_OTHER:
                return ACL_OTHER;
        default:
                return 0; /* of no POSIX ACL, which is found out later */
        }
}

static int read_acl(struct reader *t, struct archive_entry *entry, int want, const char *name,
                    struct error *e)
{
        int n = archive_entry_acl_reset(entry, want), type, permissions, tag, id;
        _cleanup_free_ struct acl_entry *entries = NULL;
        _cleanup_free_ uint8_t *acl = NULL;
        size_t size = 0, i = 0;
        const char *unused;
        int r;

        if (n <= 0)
                return 0;
        entries = calloc((size_t)n, sizeof(*entries));
        if (!entries)
                return -ENOMEM;
        while (i < (size_t)n &&
               archive_entry_acl_next(entry, want, &type, &permissions, &tag, &id, &unused) == ARCHIVE_OK)
                entries[i++] =
                        (struct acl_entry){(uint16_t)acl_tag(tag), (uint16_t)permissions, (uint32_t)id};
        r = acl_format(entries, i, &acl, &size, e);
        return r < 0 ? r : xattr_list_add(&t->b->xattrs, name, acl, size, e);
}

static int read_xattrs(struct reader *t, struct archive_entry *entry, struct error *e)
{
        int types = archive_entry_acl_types(entry), r = 0;
        const char *key;
        const void *value;
        size_t size;

        xattr_list_reset(&t->b->xattrs);
        (void)archive_entry_xattr_reset(entry);
        while (r >= 0 && archive_entry_xattr_next(entry, &key, &value, &size) == ARCHIVE_OK)
                r = xattr_list_add(&t->b->xattrs, key, value, size, e);
        if (r >= 0 && (types & ARCHIVE_ENTRY_ACL_TYPE_NFS4))
                return error_set(e, -EBADMSG, "a POSIX ACL expected, found one of NFSv4");
        if (r >= 0 && (types & ARCHIVE_ENTRY_ACL_TYPE_ACCESS))
                r = read_acl(t, entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access", e);
        if (r >= 0 && (types & ARCHIVE_ENTRY_ACL_TYPE_DEFAULT))
                r = read_acl(t, entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default", e);
        return r;
}

/* --- content --- */

static int add_hole(struct reader *t, uint64_t size, struct error *e)
{
        if (size > BUILD_HOLES_MAX - t->b->holes)
                return error_set(e, -E2BIG,
                                 "sparse files with at most %" PRIu64
                                 " bytes of holes in all expected, found more",
                                 BUILD_HOLES_MAX);
        t->b->holes += size;
        return image_stream_zeros(t->b->stream, size, e);
}

/* The bytes that a file has in the tar: all of them, or those that its map of data names. libarchive leaves
 * parts of a map out that make no sense. */
static uint64_t stored_bytes(struct archive_entry *entry, uint64_t size)
{
        la_int64_t offset, length;
        uint64_t sum = 0;

        if (archive_entry_sparse_reset(entry) == 0)
                return size;
        while (archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK)
                sum += (uint64_t)length;
        return sum;
}

static int check_stored(uint64_t expected, uint64_t found, struct error *e)
{
        if (found == expected)
                return 0;
        return error_set(e, -EBADMSG,
                         "%" PRIu64 " bytes of data expected as its sparse map says, found %" PRIu64,
                         expected, found);
}

/* What is read next goes where it will be written from, if it is a large piece. */
static int offer_place(struct reader *t, uint64_t left, struct error *e)
{
        size_t room = 0;
        int r = 0;

        if (left >= PIECE_MIN)
                r = image_stream_reserve(t->b->stream, &t->input.place, &room, e);
        t->input.place_size = room < PIECE_MIN ? 0 : left < room ? (size_t)left : room;
        return r;
}

/* A block without a hole before it. */
static int add_block(struct reader *t, const void *block, size_t size, struct error *e)
{
        if (block != t->input.place)
                return image_stream_put(t->b->stream, block, size, e);
        image_stream_commit(t->b->stream, size);
        return 0;
}

/* Holes are filled: a size that lies ends as an error here, not in an image of another size. */
static int add_content(struct reader *t, struct archive_entry *entry, uint64_t size, struct error *e)
{
        bool whole = archive_entry_sparse_count(entry) == 0;
        uint64_t at = 0, found = 0;

        for (;;) {
                const void *block;
                size_t n;
                la_int64_t offset;
                int r;

                r = offer_place(t, whole ? size - at : 0, e);
                if (r < 0)
                        return r;
                r = archive_read_data_block(t->input.archive, &block, &n, &offset);
                t->input.place_size = 0;
                if (r == ARCHIVE_EOF) {
                        r = check_stored(stored_bytes(entry, size), found, e);
                        return r < 0 ? r : add_hole(t, size - at, e);
                }
                if (r != ARCHIVE_OK)
                        return tar_input_failed(&t->input, -EBADMSG, e);
                if (offset < 0 || (uint64_t)offset < at || (uint64_t)offset > (whole ? at : size) ||
                    n > size - (uint64_t)offset)
                        return error_set(e, -EBADMSG,
                                         "data within its %" PRIu64 " bytes expected, found some outside",
                                         size);
                r = add_hole(t, (uint64_t)offset - at, e);
                if (r >= 0)
                        r = add_block(t, block, n, e);
                if (r < 0)
                        return r;
                at = (uint64_t)offset + n;
                found += n;
        }
}

/* --- entries --- */

/* ".wh.NAME" takes NAME away. What the mark itself is does not matter. */
static int add_whiteout(struct reader *t, struct archive_entry *entry, char *path, char *name,
                        struct error *e)
{
        struct file_attributes a = {};
        const char *hidden = name + strlen(WHITEOUT);
        int r;

        if (strcmp(name, WHITEOUT_OPAQUE) == 0) {
                name[name > path ? -1 : 0] = '\0';
                return file_tree_opaque(&t->b->tree, path, e);
        }
        if (strncmp(name, WHITEOUT_OTHER, strlen(WHITEOUT_OTHER)) == 0)
                return 0;
        if (hidden[0] == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
                return error_set(e, -EBADMSG, "a name behind \"%s\" expected, found none", WHITEOUT);
        r = read_id(archive_entry_uid(entry), "user", &a.uid, e);
        if (r >= 0)
                r = read_id(archive_entry_gid(entry), "group", &a.gid, e);
        if (r < 0)
                return r;
        read_time(entry, &a);
        memmove(name, hidden, strlen(hidden) + 1);
        return file_tree_whiteout(&t->b->tree, path, &a, e);
}

static int add_link(struct reader *t, const char *path, const char *link, struct error *e)
{
        char target[PATH_MAX_BYTES + 1];
        int r = file_tree_clean_path(link, target, e);

        return r < 0 ? error_prefix(e, r, "hard link") : file_tree_link(&t->b->tree, path, target, e);
}

static int add_entry(struct reader *t, struct archive_entry *entry, struct error *e)
{
        struct file_inode *inode = NULL;
        char path[PATH_MAX_BYTES + 1] = "", *slash, *name;
        struct file_attributes a = {};
        la_int64_t size;
        int r;

        r = file_tree_clean_path(archive_entry_pathname(entry), path, e);
        if (r < 0)
                return r;
        slash = strrchr(path, '/');
        name = slash ? slash + 1 : path;
        if (strncmp(name, WHITEOUT, strlen(WHITEOUT)) == 0)
                return add_whiteout(t, entry, path, name, e);
        if (archive_entry_hardlink(entry))
                return add_link(t, path, archive_entry_hardlink(entry), e);
        r = read_attributes(entry, &a, e);
        if (r >= 0)
                r = read_xattrs(t, entry, e);
        if (r >= 0)
                r = builder_add_entry(t->b, path, &a, false, &inode, e);
        if (r < 0 || !S_ISREG(a.mode))
                return r;
        size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
        if (size < 0)
                return error_set(e, -EBADMSG, "a size expected, found %" PRId64, (int64_t)size);
        r = builder_begin_content(t->b, inode, (uint64_t)size, e);
        return r < 0 || size == 0 ? r : add_content(t, entry, (uint64_t)size, e);
}

/* Says which entry a message is about; libarchive does not always know where it was. */
static int about_entry(struct reader *t, int r, const char *path, struct error *e)
{
        int64_t at = archive_read_header_position(t->input.archive);

        if (path)
                (void)error_prefix(e, r, "%.200s", path);
        if (at >= 0)
                (void)error_prefix(e, r, "byte %" PRId64, at);
        return error_prefix(e, r, "%s: entry %" PRIu64, t->name, t->n);
}

static int add_entries(struct reader *t, struct error *e)
{
        struct archive_entry *entry;
        int r;

        while ((r = tar_input_next(&t->input, &entry, e)) > 0) {
                t->n++;
                r = add_entry(t, entry, e);
                if (r >= 0 && archive_read_data_skip(t->input.archive) < ARCHIVE_OK)
                        r = tar_input_failed(&t->input, -EBADMSG, e);
                if (r < 0)
                        return about_entry(t, r, archive_entry_pathname(entry), e);
        }
        if (r < 0)
                t->n++;
        return r < 0 ? about_entry(t, r, NULL, e) : 0;
}

static int read_archive(struct reader *t, struct error *e)
{
        int r = add_entries(t, e);

        if (r < 0)
                return r;
        r = tar_input_finish(&t->input, e);
        return r < 0 ? error_prefix(e, r, "%s", t->name) : 0;
}

int builder_add_tar(struct builder *b, const struct build_tar *tar, struct error *e)
{
        struct reader t = {.b = b, .name = tar->name};
        locale_t utf8, before;
        int r;

        /* Names of pax archives are UTF-8 whatever the caller's locale. */
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
        if (!utf8)
                return error_errno(e, -errno, "locale C.UTF-8");
        before = uselocale(utf8);
        file_tree_begin_source(&b->tree);
        r = tar_input_open(&t.input, tar, b->o.progress, b->o.userdata, e);
        r = r < 0 ? error_prefix(e, r, "%s", tar->name) : read_archive(&t, e);
        tar_input_done(&t.input);
        (void)uselocale(before);
        freelocale(utf8);
        return r;
}
