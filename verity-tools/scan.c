/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory tree, depth first and in the order of names. What changes while it is read is an error. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "build-internal.h"

/* A file with several names, and the first of them. */
struct known {
        dev_t device;
        ino_t inode;
        char path[];
};

struct scan {
        struct builder *b;
        const char *top;               /* for messages */
        void *known;                   /* of <search.h> */
        char path[PATH_MAX_BYTES + 1]; /* of the entry at hand, below the top */
        size_t path_size;
        unsigned depth;
        uint64_t done; /* bytes of content */
        char list[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
};

static int compare_known(const void *a, const void *b)
{
        const struct known *x = a, *y = b;

        if (x->device != y->device)
                return x->device < y->device ? -1 : 1;
        return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static int failed(const struct scan *s, int r, const char *what, struct error *e)
{
        return error_errno(e, r, "%s/%.200s%s", s->top, s->path, what);
}

static int changed(const struct scan *s, struct error *e)
{
        return error_set(e, -EBUSY,
                         "%s/%.200s: a file that nobody changes expected, found another than before", s->top,
                         s->path);
}

/* A message of others gets the path in front. */
static int about(const struct scan *s, int r, struct error *e)
{
        return r < 0 ? error_prefix(e, r, "%s/%.200s", s->top, s->path) : r;
}

/* --- extended attributes --- */

static int read_xattr(struct scan *s, int fd, const char *link, const char *name, struct error *e)
{
        ssize_t n = fd >= 0 ? fgetxattr(fd, name, s->value, sizeof(s->value))
                            : getxattr(link, name, s->value, sizeof(s->value));

        if (n < 0 && errno == ENODATA)
                return changed(s, e);
        if (n < 0)
                return failed(s, -errno, ": extended attribute", e);
        return about(s, xattr_list_add(&s->b->xattrs, name, s->value, (size_t)n, e), e);
}

/* fd: open for reading, or -1 and the file at the other end of the link in /proc. */
static int read_xattrs(struct scan *s, int fd, const char *link, struct error *e)
{
        ssize_t n = fd >= 0 ? flistxattr(fd, s->list, sizeof(s->list))
                            : listxattr(link, s->list, sizeof(s->list));
        int r = 0;

        xattr_list_reset(&s->b->xattrs);
        if (n < 0 && errno == EOPNOTSUPP)
                return 0;
        if (n < 0)
                return failed(s, -errno, ": extended attributes", e);
        for (const char *name = s->list; r >= 0 && name < s->list + n; name += strlen(name) + 1)
                r = read_xattr(s, fd, link, name, e);
        return r;
}

/* --- files --- */

static int add(struct scan *s, struct file_attributes *a, struct file_inode **ret, struct error *e)
{
        return about(s, builder_add_entry(s->b, s->path, a, true, ret, e), e);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode &&
               a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
               a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
               a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int copy_content(struct scan *s, int fd, uint64_t size, struct error *e)
{
        while (size > 0) {
                uint8_t *to = NULL;
                size_t room = 0;
                ssize_t n;
                int r = image_stream_reserve(s->b->stream, &to, &room, e);

                if (r < 0)
                        return r;
                n = read(fd, to, room < size ? room : (size_t)size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return failed(s, -errno, "", e);
                if (n == 0)
                        return changed(s, e);
                image_stream_commit(s->b->stream, (size_t)n);
                size -= (uint64_t)n;
                s->done += (uint64_t)n;
                if (s->b->o.progress)
                        s->b->o.progress(s->b->o.userdata, s->done, 0);
        }
        return 0;
}

static int add_file(struct scan *s, int dirfd, const char *name, const struct stat *st,
                    struct file_attributes *a, struct error *e)
{
        _cleanup_close_ int fd =
                openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        struct file_inode *inode = NULL;
        struct stat before, after;
        int r;

        if (fd < 0 || fstat(fd, &before) < 0)
                return failed(s, -errno, "", e);
        if (!same_file(st, &before))
                return changed(s, e);
        r = read_xattrs(s, fd, NULL, e);
        if (r >= 0)
                r = add(s, a, &inode, e);
        if (r >= 0)
                r = about(s, builder_begin_content(s->b, inode, (uint64_t)st->st_size, e), e);
        if (r >= 0)
                r = copy_content(s, fd, (uint64_t)st->st_size, e);
        if (r < 0)
                return r;
        if (fstat(fd, &after) < 0)
                return failed(s, -errno, "", e);
        return same_file(&before, &after) ? 0 : changed(s, e);
}

static int add_symlink(struct scan *s, int dirfd, const char *name, struct file_attributes *a,
                       struct error *e)
{
        char target[PATH_MAX_BYTES + 1];
        ssize_t n = readlinkat(dirfd, name, target, sizeof(target));
        struct file_inode *inode;

        if (n < 0)
                return failed(s, -errno, "", e);
        if (n == 0 || (size_t)n == sizeof(target))
                return failed(s, -ENAMETOOLONG, ": link target", e);
        target[n] = '\0';
        a->target = target;
        xattr_list_reset(&s->b->xattrs);
        return add(s, a, &inode, e);
}

/* Devices and pipes are never opened. */
static int add_special(struct scan *s, int dirfd, const char *name, const struct stat *st,
                       struct file_attributes *a, struct error *e)
{
        _cleanup_close_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct file_inode *inode;
        struct stat now;
        char link[64];
        int r;

        if (fd < 0 || fstat(fd, &now) < 0)
                return failed(s, -errno, "", e);
        if (!same_file(st, &now))
                return changed(s, e);
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        r = read_xattrs(s, -EBADF, link, e);
        return r < 0 ? r : add(s, a, &inode, e);
}

/* Whether the entry is another name of one that was added; remembers it if it may get one. */
static int add_known(struct scan *s, const struct stat *st, bool *ret, struct error *e)
{
        struct known *known, **found;

        *ret = false;
        if (st->st_nlink < 2)
                return 0;
        known = malloc(sizeof(*known) + s->path_size + 1);
        if (!known)
                return -ENOMEM;
        known->device = st->st_dev;
        known->inode = st->st_ino;
        memcpy(known->path, s->path, s->path_size + 1);
        found = tsearch(known, &s->known, compare_known);
        if (!found || *found != known)
                free(known);
        if (!found)
                return -ENOMEM;
        *ret = *found != known;
        return *ret ? about(s, file_tree_link(&s->b->tree, s->path, (*found)->path, e), e) : 0;
}

/* --- directories --- */

struct names {
        char **items;
        size_t n, size;
};

static void free_names(struct names *names)
{
        for (size_t i = 0; i < names->n; i++)
                free(names->items[i]);
        free(names->items);
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(DIR *d, struct names *ret)
{
        struct dirent *entry;

        while ((errno = 0, entry = readdir(d))) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (ret->n == ret->size) {
                        size_t size = ret->size ? 2 * ret->size : 16;
                        char **items = reallocarray(ret->items, size, sizeof(*items));

                        if (!items)
                                return -ENOMEM;
                        ret->items = items;
                        ret->size = size;
                }
                ret->items[ret->n] = strdup(entry->d_name);
                if (!ret->items[ret->n])
                        return -ENOMEM;
                ret->n++;
        }
        if (errno != 0)
                return -errno;
        if (ret->n > 0)
                qsort(ret->items, ret->n, sizeof(*ret->items), compare_names);
        return 0;
}

static int add_directory(struct scan *s, int fd, const struct stat *st, struct file_attributes *a,
                         struct error *e);

static int add_entry(struct scan *s, int dirfd, const char *name, struct error *e)
{
        struct file_attributes a;
        bool known = false;
        struct stat st;
        int r;

        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return failed(s, -errno, "", e);
        a = (struct file_attributes){
                .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid, .rdev = st.st_rdev};
        if (S_ISDIR(st.st_mode)) {
                int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

                return fd < 0 ? failed(s, -errno, "", e) : add_directory(s, fd, &st, &a, e);
        }
        r = add_known(s, &st, &known, e);
        if (r < 0 || known)
                return r;
        if (S_ISREG(st.st_mode))
                return add_file(s, dirfd, name, &st, &a, e);
        if (S_ISLNK(st.st_mode))
                return add_symlink(s, dirfd, name, &a, e);
        if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISFIFO(st.st_mode))
                return add_special(s, dirfd, name, &st, &a, e);
        return error_set(e, -EBADMSG,
                         "%s/%.200s: file, directory, link, device or pipe expected, found a socket", s->top,
                         s->path);
}

static int add_entries(struct scan *s, int dirfd, const struct names *names, struct error *e)
{
        size_t before = s->path_size;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < names->n; i++) {
                const char *name = names->items[i];

                if (before + 1 + strlen(name) > PATH_MAX_BYTES)
                        return failed(s, -ENAMETOOLONG, "", e);
                s->path_size =
                        (size_t)(stpcpy(stpcpy(s->path + before, before > 0 ? "/" : ""), name) - s->path);
                r = add_entry(s, dirfd, name, e);
                if (r < 0)
                        return r;
                s->path[before] = '\0';
                s->path_size = before;
        }
        return r;
}

/* Takes the descriptor. */
static int add_directory(struct scan *s, int fd, const struct stat *st, struct file_attributes *a,
                         struct error *e)
{
        _cleanup_closedir_ DIR *d = fdopendir(fd);
        _cleanup_(free_names) struct names names = {};
        struct file_inode *inode;
        struct stat now;
        int r;

        if (!d) {
                r = failed(s, -errno, "", e);
                (void)close_fd(fd);
                return r;
        }
        if (fstat(fd, &now) < 0)
                return failed(s, -errno, "", e);
        if (!same_file(st, &now))
                return changed(s, e);
        r = read_xattrs(s, fd, NULL, e);
        if (r >= 0)
                r = add(s, a, &inode, e);
        if (r < 0)
                return r;
        r = read_names(d, &names);
        if (r < 0)
                return failed(s, r, "", e);
        if (names.n > 0 && s->depth > BUILD_DEPTH_MAX)
                return error_set(e, -E2BIG,
                                 "%s/%.200s: at most %u levels of directories expected, found more", s->top,
                                 s->path, BUILD_DEPTH_MAX);
        s->depth++;
        r = add_entries(s, fd, &names, e);
        s->depth--;
        return r;
}

int builder_add_tree(struct builder *b, const char *path, struct error *e)
{
        _cleanup_free_ struct scan *s = calloc(1, sizeof(*s));
        struct file_attributes a;
        struct stat st;
        int fd, r;

        if (!s)
                return -ENOMEM;
        s->b = b;
        s->top = path;
        file_tree_begin_source(&b->tree);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0) {
                r = error_errno(e, -errno, "%s", path);
                (void)close_fd(fd);
                return r;
        }
        a = (struct file_attributes){.mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid};
        r = add_directory(s, fd, &st, &a, e);
        tdestroy(s->known, free);
        return r;
}
