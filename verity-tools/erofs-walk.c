/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tree of an image, in constant memory but for one number an inode. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "erofs-read-internal.h"

/* A set of inode numbers, each kept plus one so that 0 is an empty slot. At most half full. The multiplier is
 * random: an image cannot choose its numbers so that they all want the same slots. */
struct seen {
        uint64_t *slots;
        size_t n;
        unsigned bits; /* 2^bits slots; 0: none yet */
        uint64_t multiplier;
};

static size_t seen_room(const struct seen *s)
{
        return s->bits ? (size_t)1 << s->bits : 0;
}

/* Where nid is or would be. */
static uint64_t *seen_slot(const struct seen *s, uint64_t nid)
{
        size_t i = (size_t)((nid + 1) * s->multiplier >> (64 - s->bits));

        while (s->slots[i] != 0 && s->slots[i] != nid + 1)
                i = (i + 1) & (seen_room(s) - 1);
        return &s->slots[i];
}

static int seen_grow(struct seen *s)
{
        struct seen bigger = {.n = s->n, .bits = s->bits ? s->bits + 1 : 10, .multiplier = s->multiplier};

        bigger.slots = calloc(seen_room(&bigger), sizeof(*bigger.slots));
        if (!bigger.slots)
                return -ENOMEM;
        for (size_t i = 0; i < seen_room(s); i++)
                if (s->slots[i] != 0)
                        *seen_slot(&bigger, s->slots[i] - 1) = s->slots[i];
        free(s->slots);
        *s = bigger;
        return 0;
}

/* 1 if it was there before, 0 if it is new. */
static int seen_add(struct seen *s, uint64_t nid)
{
        uint64_t *slot;

        if (s->n * 2 >= seen_room(s)) {
                int r = seen_grow(s);

                if (r < 0)
                        return r;
        }
        slot = seen_slot(s, nid);
        if (*slot != 0)
                return 1;
        *slot = nid + 1;
        s->n++;
        return 0;
}

struct frame {
        struct erofs_directory directory;
        size_t path_size; /* of the directory's own path */
};

struct erofs_walk {
        struct erofs_image *image;
        struct frame *frames[EROFS_DEPTH_MAX];
        unsigned depth;
        bool started, descend; /* into the last entry */
        uint64_t entries;
        struct seen seen;
        struct erofs_entry entry;
        char path[EROFS_PATH_MAX + 1];
};

int erofs_walk_new(struct erofs_image *image, struct erofs_walk **ret, struct error *e)
{
        struct erofs_walk *w = calloc(1, sizeof(*w));

        if (!w)
                return error_errno(e, -ENOMEM, "EROFS");
        if (getrandom(&w->seen.multiplier, sizeof(w->seen.multiplier), 0) !=
            (ssize_t)sizeof(w->seen.multiplier)) {
                free(w);
                return error_errno(e, -EIO, "random number");
        }
        w->seen.multiplier |= 1;
        w->image = image;
        w->entry.path = w->path;
        *ret = w;
        return 0;
}

struct erofs_walk *erofs_walk_free(struct erofs_walk *w)
{
        if (!w)
                return NULL;
        while (w->depth > 0)
                free(w->frames[--w->depth]);
        free(w->seen.slots);
        free(w);
        return NULL;
}

static int push(struct erofs_walk *w, struct error *e)
{
        struct frame *f;

        if (w->depth == EROFS_DEPTH_MAX)
                return error_set(e, -EBADMSG,
                                 "/%.300s: at most %d levels of directories expected, found more", w->path,
                                 EROFS_DEPTH_MAX);
        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->directory.inode = w->entry.inode;
        f->directory.parent =
                w->depth > 0 ? w->frames[w->depth - 1]->directory.inode.nid : f->directory.inode.nid;
        f->path_size = strlen(w->path);
        w->frames[w->depth++] = f;
        return 0;
}

/* The last entry of the walk becomes the inode `nid`, whose path is set. */
static int take_inode(struct erofs_walk *w, uint64_t nid, struct error *e)
{
        int r;

        if (++w->entries > EROFS_ENTRIES_MAX)
                return error_set(e, -E2BIG, "EROFS: at most %u names expected, found more",
                                 EROFS_ENTRIES_MAX);
        r = erofs_inode_read(w->image, nid, &w->entry.inode, e);
        if (r < 0)
                return error_prefix(e, r, "/%.300s", w->path);
        r = seen_add(&w->seen, nid);
        if (r < 0)
                return r;
        w->entry.another_name = r > 0;
        w->descend = S_ISDIR(w->entry.inode.mode);
        if (w->descend && w->entry.another_name)
                return error_set(e, -EBADMSG, "/%.300s: a directory with one name expected, found another",
                                 w->path);
        return 1;
}

static uint8_t type_of(mode_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFREG:
                return EROFS_FT_REGULAR;
        case S_IFDIR:
                return EROFS_FT_DIRECTORY;
        case S_IFCHR:
                return EROFS_FT_CHARACTER;
        case S_IFBLK:
                return EROFS_FT_BLOCK;
        case S_IFIFO:
                return EROFS_FT_FIFO;
        case S_IFSOCK:
                return EROFS_FT_SOCKET;
        default:
                return EROFS_FT_SYMLINK;
        }
}

static int take_root(struct erofs_walk *w, struct error *e)
{
        int r = take_inode(w, w->image->super.root_nid, e);

        if (r > 0 && !w->descend)
                return error_set(e, -EBADMSG, "/: a directory expected, found mode 0%o", w->entry.inode.mode);
        return r;
}

/* The path of the last name in the directory on top. */
static int set_path(struct erofs_walk *w, const struct frame *f, struct error *e)
{
        size_t n = f->path_size, slash = n > 0 ? 1 : 0;

        w->path[n] = '\0';
        if (n + slash + strlen(f->directory.name) > EROFS_PATH_MAX)
                return error_set(e, -EBADMSG, "/%.200s…: paths of at most %d bytes expected, found more",
                                 w->path, EROFS_PATH_MAX);
        if (slash)
                w->path[n++] = '/';
        (void)stpcpy(w->path + n, f->directory.name);
        return 0;
}

int erofs_walk_next(struct erofs_walk *w, const struct erofs_entry **ret, struct error *e)
{
        int r = 0;

        *ret = &w->entry;
        if (!w->started) {
                w->started = true;
                return take_root(w, e);
        }
        if (w->descend)
                r = push(w, e);
        w->descend = false;
        while (r >= 0 && w->depth > 0) {
                struct frame *f = w->frames[w->depth - 1];
                uint64_t nid = 0;
                uint8_t type = 0;

                r = erofs_directory_next(w->image, &f->directory, &nid, &type, e);
                if (r == 0) {
                        w->depth--;
                        free(f);
                        continue;
                }
                if (r > 0)
                        r = set_path(w, f, e);
                if (r >= 0)
                        r = take_inode(w, nid, e);
                if (r > 0 && type != type_of(w->entry.inode.mode))
                        return error_set(e, -EBADMSG, "/%.300s: the type of mode 0%o expected, found type %u",
                                         w->path, w->entry.inode.mode, type);
                return r;
        }
        return r;
}
