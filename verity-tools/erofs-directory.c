/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Directories. The kernel searches names by halves, so one that is out of order would be there for some and
 * not for others: the order is checked. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "erofs-read-internal.h"

static int bad(const struct erofs_directory *d, const char *expected, struct error *e)
{
        return error_set(e, -EBADMSG, "EROFS: directory %" PRIu64 ", block at %" PRIu64 ": %s", d->inode.nid,
                         d->next - d->size, expected);
}

static struct erofs_dirent entry_of(const struct erofs_directory *d, unsigned i)
{
        struct erofs_dirent entry;

        memcpy(&entry, d->block + i * sizeof(entry), sizeof(entry));
        return entry;
}

static int read_block(struct erofs_image *image, struct erofs_directory *d, struct error *e)
{
        uint64_t left = d->inode.size - d->next;
        unsigned first;
        int r;

        d->size = left < image->block_size ? (size_t)left : image->block_size;
        r = erofs_metadata_charge(image, d->size, e);
        if (r < 0)
                return r;
        r = erofs_inode_pread(image, &d->inode, d->next, d->block, d->size, e);
        if (r < 0)
                return r;
        d->next += d->size;
        d->i = 0;
        if (d->size < sizeof(struct erofs_dirent))
                return bad(d, "a name expected, found less", e);
        first = le16toh(entry_of(d, 0).name_offset);
        if (first < sizeof(struct erofs_dirent) || first >= d->size || first % sizeof(struct erofs_dirent))
                return bad(d, "names behind whole entries expected, found them elsewhere", e);
        d->n = first / sizeof(struct erofs_dirent);
        return 0;
}

/* A name ends where the next begins; the last one at a NUL or with the block. */
static int take_name(struct erofs_directory *d, unsigned i, char *ret, struct error *e)
{
        size_t begin = le16toh(entry_of(d, i).name_offset), end = d->size;

        if (i + 1 < d->n)
                end = le16toh(entry_of(d, i + 1).name_offset);
        if (begin >= end || end > d->size)
                return bad(d, "offsets of names that rise within the block expected, found another", e);
        if (i + 1 == d->n)
                end = begin + strnlen((const char *)d->block + begin, end - begin);
        if (end == begin || end - begin > EROFS_NAME_MAX)
                return bad(d, "a name of 1 to 255 bytes expected, found another length", e);
        memcpy(ret, d->block + begin, end - begin);
        ret[end - begin] = '\0';
        if (strlen(ret) != end - begin || strchr(ret, '/'))
                return bad(d, "a name without NUL and slash expected, found one", e);
        if (strcmp(d->name, ret) >= 0)
                return bad(d, "names in the order of their bytes expected, found another order", e);
        return 0;
}

/* True for "." and "..", which must name what they say. */
static int check_dots(struct erofs_directory *d, const char *name, uint64_t nid, bool *ret, struct error *e)
{
        *ret = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
        if (!*ret)
                return 0;
        d->dots++;
        if (nid != (name[1] == '.' ? d->parent : d->inode.nid))
                return bad(d, "\".\" and \"..\" for itself and its parent expected, found another inode", e);
        return 0;
}

int erofs_directory_next(struct erofs_image *image, struct erofs_directory *d, uint64_t *ret_nid,
                         uint8_t *ret_type, struct error *e)
{
        for (;;) {
                struct erofs_dirent entry;
                char name[EROFS_NAME_MAX + 1];
                bool dots = false;
                int r = 0;

                if (d->i == d->n) {
                        if (d->next == d->inode.size)
                                break;
                        r = read_block(image, d, e);
                }
                if (r >= 0)
                        r = take_name(d, d->i, name, e);
                if (r < 0)
                        return r;
                entry = entry_of(d, d->i++);
                (void)stpcpy(d->name, name);
                r = check_dots(d, name, le64toh(entry.nid), &dots, e);
                if (r < 0)
                        return r;
                if (!dots) {
                        *ret_nid = le64toh(entry.nid);
                        *ret_type = entry.type;
                        return 1;
                }
        }
        return d->dots == 2 ? 0 : bad(d, "\".\" and \"..\" expected, found not both", e);
}
