/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "erofs-diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK ((size_t)65536)

struct side {
        struct erofs_image *image;
        struct erofs_walk *walk;
        const struct erofs_entry *entry; /* NULL at the end */
        uint8_t chunk[CHUNK];
};

struct comparison {
        struct side before, after;
        erofs_difference_t visit;
        void *userdata;
        struct erofs_diff_result result;
};

const char *erofs_aspect_to_string(enum erofs_aspect a)
{
        static const char *const names[EROFS_ASPECTS] = {
                [EROFS_TYPE] = "type",   [EROFS_MODE] = "mode",       [EROFS_OWNER] = "owner",
                [EROFS_MTIME] = "mtime", [EROFS_DEVICE] = "device",   [EROFS_TARGET] = "target",
                [EROFS_SIZE] = "size",   [EROFS_CONTENT] = "content", [EROFS_XATTRS] = "xattrs",
        };

        return names[a];
}

/* --- one inode --- */

/* Where both have a hole nothing is read, however long it is. */
static int compare_chunk(struct comparison *c, const struct erofs_inode *a, const struct erofs_inode *b,
                         uint64_t *at, bool *ret_differs, struct error *e)
{
        uint64_t offset_a = 0, offset_b = 0, n_a = 0, n_b = 0, n;
        int r;

        r = erofs_inode_map(c->before.image, a, *at, &offset_a, &n_a, e);
        if (r >= 0)
                r = erofs_inode_map(c->after.image, b, *at, &offset_b, &n_b, e);
        if (r < 0)
                return r;
        n = n_a < n_b ? n_a : n_b;
        if (offset_a != EROFS_HOLE || offset_b != EROFS_HOLE) {
                n = n < CHUNK ? n : CHUNK;
                r = erofs_inode_pread(c->before.image, a, *at, c->before.chunk, (size_t)n, e);
                if (r >= 0)
                        r = erofs_inode_pread(c->after.image, b, *at, c->after.chunk, (size_t)n, e);
                if (r < 0)
                        return r;
                *ret_differs = memcmp(c->before.chunk, c->after.chunk, (size_t)n) != 0;
        }
        *at += n;
        return 0;
}

static int compare_files(struct comparison *c, const struct erofs_inode *a, const struct erofs_inode *b,
                         unsigned *aspects, struct error *e)
{
        bool differs = false;
        int r = 0;

        if (a->size != b->size) {
                *aspects |= 1u << EROFS_SIZE | 1u << EROFS_CONTENT;
                return 0;
        }
        if (a->size > 0 && (erofs_inode_is_compressed(a) || erofs_inode_is_compressed(b))) {
                c->result.unread++;
                return 0;
        }
        for (uint64_t at = 0; r >= 0 && !differs && at < a->size;)
                r = compare_chunk(c, a, b, &at, &differs, e);
        *aspects |= differs ? 1u << EROFS_CONTENT : 0;
        return r;
}

static int compare_links(struct comparison *c, const struct erofs_inode *a, const struct erofs_inode *b,
                         unsigned *aspects, struct error *e)
{
        _cleanup_free_ char *target_a = NULL, *target_b = NULL;
        int r;

        r = erofs_inode_readlink(c->before.image, a, &target_a, e);
        if (r >= 0)
                r = erofs_inode_readlink(c->after.image, b, &target_b, e);
        if (r >= 0 && strcmp(target_a, target_b) != 0)
                *aspects |= 1u << EROFS_TARGET;
        return r;
}

static bool same_xattrs(const struct erofs_xattrs *a, const struct erofs_xattrs *b)
{
        for (size_t i = 0; i < a->n && i < b->n; i++)
                if (strcmp(a->items[i].name, b->items[i].name) != 0 || a->items[i].size != b->items[i].size ||
                    memcmp(a->items[i].value, b->items[i].value, a->items[i].size) != 0)
                        return false;
        return a->n == b->n;
}

static int compare_xattrs(struct comparison *c, const struct erofs_inode *a, const struct erofs_inode *b,
                          unsigned *aspects, struct error *e)
{
        struct erofs_xattrs x = {}, y = {};
        int r;

        r = erofs_inode_xattrs(c->before.image, a, &x, e);
        if (r >= 0)
                r = erofs_inode_xattrs(c->after.image, b, &y, e);
        if (r >= 0 && !same_xattrs(&x, &y))
                *aspects |= 1u << EROFS_XATTRS;
        erofs_xattrs_done(&x);
        erofs_xattrs_done(&y);
        return r;
}

static int compare_inodes(struct comparison *c, const struct erofs_inode *a, const struct erofs_inode *b,
                          unsigned *aspects, struct error *e)
{
        int r = 0;

        if ((a->mode & S_IFMT) != (b->mode & S_IFMT)) {
                *aspects = 1u << EROFS_TYPE;
                return 0;
        }
        *aspects = (a->mode != b->mode ? 1u << EROFS_MODE : 0) |
                   (a->uid != b->uid || a->gid != b->gid ? 1u << EROFS_OWNER : 0) |
                   (a->mtime != b->mtime || a->mtime_nsec != b->mtime_nsec ? 1u << EROFS_MTIME : 0) |
                   (a->rdev != b->rdev ? 1u << EROFS_DEVICE : 0);
        if (S_ISREG(a->mode))
                r = compare_files(c, a, b, aspects, e);
        else if (S_ISLNK(a->mode))
                r = compare_links(c, a, b, aspects, e);
        return r < 0 ? r : compare_xattrs(c, a, b, aspects, e);
}

/* --- two trees --- */

static int next(struct side *s, struct error *e)
{
        int r = erofs_walk_next(s->walk, &s->entry, e);

        if (r == 0)
                s->entry = NULL;
        return r < 0 ? r : 0;
}

/* The order of the walk: what is in a directory comes before its next sibling. */
static int rank(char c)
{
        return c == '\0' ? 0 : c == '/' ? 1 : 1 + (uint8_t)c;
}

static int compare_paths(const char *a, const char *b)
{
        while (*a && *a == *b) {
                a++;
                b++;
        }
        return rank(*a) - rank(*b);
}

static int report(struct comparison *c, const struct erofs_entry *before, const struct erofs_entry *after,
                  struct error *e)
{
        struct erofs_difference d = {
                .path = (before ?: after)->path,
                .before = before ? &before->inode : NULL,
                .after = after ? &after->inode : NULL,
        };
        int r;

        if (before && after) {
                r = compare_inodes(c, d.before, d.after, &d.aspects, e);
                if (r < 0)
                        return error_prefix(e, r, "/%.300s", d.path);
                if (d.aspects == 0)
                        return 0;
                c->result.changed++;
        } else if (before)
                c->result.removed++;
        else
                c->result.added++;
        return c->visit(c->userdata, &d, e);
}

static int compare_trees(struct comparison *c, struct error *e)
{
        int r;

        r = next(&c->before, e);
        if (r >= 0)
                r = next(&c->after, e);
        while (r >= 0 && (c->before.entry || c->after.entry)) {
                const struct erofs_entry *a = c->before.entry, *b = c->after.entry;
                int order = !a ? 1 : !b ? -1 : compare_paths(a->path, b->path);

                r = report(c, order <= 0 ? a : NULL, order >= 0 ? b : NULL, e);
                if (r >= 0 && order <= 0)
                        r = next(&c->before, e);
                if (r >= 0 && order >= 0)
                        r = next(&c->after, e);
        }
        return r;
}

int erofs_diff(struct erofs_image *before, struct erofs_image *after, erofs_difference_t visit,
               void *userdata, struct erofs_diff_result *ret, struct error *e)
{
        _cleanup_(erofs_walk_free_ptr) struct erofs_walk *walk_before = NULL, *walk_after = NULL;
        _cleanup_free_ struct comparison *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return error_errno(e, -ENOMEM, "EROFS");
        r = erofs_walk_new(before, &walk_before, e);
        if (r >= 0)
                r = erofs_walk_new(after, &walk_after, e);
        if (r < 0)
                return r;
        c->before.image = before;
        c->before.walk = walk_before;
        c->after.image = after;
        c->after.walk = walk_after;
        c->visit = visit;
        c->userdata = userdata;
        r = compare_trees(c, e);
        *ret = c->result;
        return r;
}
