/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory is a balanced tree of <search.h>: linear enough for any number of names, whoever chose them,
 * and already in the order in which EROFS wants them. */
#include "file-tree.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>

#include "build.h"
#include "erofs-format.h"

/* --- entries of a directory --- */

static int compare_entries(const void *a, const void *b)
{
        const struct file_entry *x = a, *y = b;
        size_t n = x->name_size < y->name_size ? x->name_size : y->name_size;
        int r = memcmp(x->name, y->name, n);

        return r != 0 ? r : (int)x->name_size - (int)y->name_size;
}

static void free_entry(void *p);

static void free_inode(struct file_inode *i)
{
        if (S_ISDIR(i->mode))
                tdestroy(i->directory.entries, free_entry);
        else if (S_ISLNK(i->mode))
                free(i->target);
        free(i);
}

/* Takes one name away, and the inode with its last. */
static void drop_inode(struct file_inode *i)
{
        if (S_ISDIR(i->mode) || --i->links == 0)
                free_inode(i);
}

static void free_entry(void *p)
{
        struct file_entry *entry = p;

        drop_inode(entry->inode);
        free(entry);
}

static struct file_entry *find_entry(const struct file_inode *directory, const char *name, size_t size)
{
        char buffer[sizeof(struct file_entry) + NAME_MAX_BYTES]
                __attribute__((aligned(_Alignof(struct file_entry))));
        struct file_entry *key = (struct file_entry *)buffer;
        void *found;

        key->name_size = (uint16_t)size;
        memcpy(key->name, name, size);
        found = tfind(key, &directory->directory.entries, compare_entries);
        return found ? *(struct file_entry **)found : NULL;
}

static void forget_last(struct file_tree *t)
{
        t->last_directory = NULL;
}

static void remove_entry(struct file_tree *t, struct file_inode *directory, struct file_entry *entry)
{
        (void)tdelete(entry, &directory->directory.entries, compare_entries);
        forget_last(t);
        free_entry(entry);
}

/* Names and targets stay in memory until the end. */
static int count_names(struct file_tree *t, size_t size, struct error *e)
{
        uint64_t max = BUILD_NAMES_MAX + (uint64_t)t->n_entries * BUILD_ENTRY_NAMES_MAX;

        if (size > max - t->names_size)
                return error_set(e, -E2BIG,
                                 "at most %" PRIu64 " bytes of names and link targets and %u an entry "
                                 "expected, found more",
                                 BUILD_NAMES_MAX, BUILD_ENTRY_NAMES_MAX);
        t->names_size += size;
        return 0;
}

static int count_entry(struct file_tree *t, size_t name_size, struct error *e)
{
        if (t->n_entries >= BUILD_ENTRIES_MAX)
                return error_set(e, -E2BIG, "at most %u entries expected, found more", BUILD_ENTRIES_MAX);
        t->n_entries++;
        return count_names(t, name_size, e);
}

/* Gives the name to the inode; what had it before goes. Takes the inode in any case. */
static int put_entry(struct file_tree *t, struct file_inode *directory, const char *name, size_t size,
                     struct file_inode *inode, struct error *e)
{
        struct file_entry *entry = malloc(sizeof(*entry) + size);
        struct file_entry **found;
        int r = entry ? count_entry(t, size, e) : -ENOMEM;

        if (r < 0) {
                drop_inode(inode);
                free(entry);
                return r;
        }
        entry->inode = inode;
        entry->source = t->source;
        entry->name_size = (uint16_t)size;
        memcpy(entry->name, name, size);
        found = tsearch(entry, &directory->directory.entries, compare_entries);
        if (!found) {
                free_entry(entry);
                return -ENOMEM;
        }
        if (S_ISDIR(inode->mode))
                inode->directory.parent = directory;
        if (*found != entry) {
                struct file_entry *old = *found;

                *found = entry;
                forget_last(t);
                free_entry(old);
        }
        return 0;
}

struct each {
        void (*call)(const struct file_entry *entry, void *userdata);
        void *userdata;
};

static void visit(const void *node, VISIT when, void *userdata)
{
        const struct each *each = userdata;

        if (when == postorder || when == leaf)
                each->call(*(struct file_entry *const *)node, each->userdata);
}

void file_tree_each(const struct file_inode *directory,
                    void (*call)(const struct file_entry *entry, void *userdata), void *userdata)
{
        struct each each = {call, userdata};

        twalk_r(directory->directory.entries, visit, &each);
}

/* --- inodes --- */

static int new_inode(const struct file_attributes *a, struct file_inode **ret)
{
        struct file_inode *i = calloc(1, sizeof(*i));

        if (!i)
                return -ENOMEM;
        i->mode = (uint16_t)a->mode;
        if (S_ISLNK(a->mode)) {
                assert(a->target);
                i->target = strdup(a->target);
                if (!i->target) {
                        free(i);
                        return -ENOMEM;
                }
                i->size = strlen(a->target);
        } else if (!S_ISDIR(a->mode))
                i->rdev = a->rdev;
        i->links = S_ISDIR(a->mode) ? 0 : 1;
        *ret = i;
        return 0;
}

static void set_attributes(struct file_inode *i, const struct file_attributes *a)
{
        i->mode = (uint16_t)a->mode;
        i->uid = a->uid;
        i->gid = a->gid;
        i->mtime = a->mtime;
        i->mtime_nsec = a->mtime_nsec;
        i->xattrs = a->xattrs;
}

static bool is_whiteout(const struct file_inode *i)
{
        return S_ISCHR(i->mode) && i->rdev == 0;
}

int file_tree_init(struct file_tree *t, bool merge)
{
        const struct file_attributes root = {.mode = S_IFDIR | 0755};
        int r;

        *t = (struct file_tree){.merge = merge};
        r = new_inode(&root, &t->root);
        if (r < 0)
                return r;
        set_attributes(t->root, &root);
        t->root->directory.parent = t->root;
        return 0;
}

void file_tree_done(struct file_tree *t)
{
        if (t->root)
                free_inode(t->root);
        t->root = NULL;
        xattr_store_done(&t->xattrs);
}

void file_tree_begin_source(struct file_tree *t)
{
        t->source++;
        forget_last(t);
}

/* --- paths --- */

int file_tree_clean_path(const char *path, char ret[static PATH_MAX_BYTES + 1], struct error *e)
{
        const char *p = path;
        size_t size = 0;
        unsigned depth = 0;

        if (!path || path[0] == '\0')
                return error_set(e, -EBADMSG, "a name expected, found an empty one");
        while (*p) {
                size_t n = strcspn(p, "/");

                if (n == 2 && p[0] == '.' && p[1] == '.')
                        return error_set(e, -EBADMSG, "a name without \"..\" expected");
                if (n > NAME_MAX_BYTES || size + n + 1 > PATH_MAX_BYTES)
                        return error_set(e, -EBADMSG,
                                         "names up to %d bytes and paths up to %d expected, found longer",
                                         NAME_MAX_BYTES, PATH_MAX_BYTES);
                if (n > 0 && !(n == 1 && p[0] == '.')) {
                        if (depth++ > BUILD_DEPTH_MAX)
                                return error_set(e, -E2BIG,
                                                 "at most %u levels of directories expected, found more",
                                                 BUILD_DEPTH_MAX);
                        if (size > 0)
                                ret[size++] = '/';
                        memcpy(ret + size, p, n);
                        size += n;
                }
                p += n + (p[n] == '/');
        }
        ret[size] = '\0';
        return 0;
}

static int make_directory(struct file_tree *t, struct file_inode *parent, const char *name, size_t size,
                          bool opaque, struct file_inode **ret, struct error *e)
{
        const struct file_attributes a = {.mode = S_IFDIR | 0755};
        int r = new_inode(&a, ret);

        if (r < 0)
                return r;
        set_attributes(*ret, &a);
        (*ret)->opaque = opaque;
        return put_entry(t, parent, name, size, *ret, e);
}

/* One step down, over a directory that may have to be made. */
static int enter(struct file_tree *t, struct file_inode *parent, const char *name, size_t size,
                 struct file_inode **ret, struct error *e)
{
        struct file_entry *entry = find_entry(parent, name, size);
        bool lower = entry && entry->source != t->source;

        if (entry && S_ISDIR(entry->inode->mode)) {
                entry->source = t->source;
                *ret = entry->inode;
                return 0;
        }
        if (entry && !lower && !is_whiteout(entry->inode))
                return error_set(e, -EBADMSG, "directory \"%.*s\" expected, found another type", (int)size,
                                 name);
        return make_directory(t, parent, name, size, entry && !t->merge, ret, e);
}

/* The directory that holds the last component, which is not empty. */
static int enter_parents(struct file_tree *t, const char *path, struct file_inode **ret,
                         const char **ret_name, struct error *e)
{
        const char *slash = strrchr(path, '/'), *p = path;
        size_t size = slash ? (size_t)(slash - path) : 0;
        struct file_inode *directory = t->root;

        *ret_name = slash ? slash + 1 : path;
        if (t->last_directory && t->last_size == size && memcmp(t->last_path, path, size) == 0) {
                *ret = t->last_directory;
                return 0;
        }
        while (p < path + size) {
                size_t n = strcspn(p, "/");
                int r = enter(t, directory, p, n, &directory, e);

                if (r < 0)
                        return r;
                p += n + 1;
        }
        t->last_directory = directory;
        t->last_size = size;
        memcpy(t->last_path, path, size);
        *ret = directory;
        return 0;
}

/* What is there by this path, or NULL. */
static struct file_inode *look_up(const struct file_tree *t, const char *path)
{
        struct file_inode *i = t->root;

        while (*path) {
                size_t n = strcspn(path, "/");
                struct file_entry *entry = S_ISDIR(i->mode) ? find_entry(i, path, n) : NULL;

                if (!entry)
                        return NULL;
                i = entry->inode;
                path += n + (path[n] == '/');
        }
        return i;
}

/* --- adding --- */

static int add_root(struct file_tree *t, const struct file_attributes *a, struct file_inode **ret,
                    struct error *e)
{
        if (!S_ISDIR(a->mode))
                return error_set(e, -EBADMSG, "a directory expected as the root, found another type");
        set_attributes(t->root, a);
        *ret = t->root;
        return 0;
}

int file_tree_add(struct file_tree *t, const char *path, const struct file_attributes *a,
                  struct file_inode **ret, struct error *e)
{
        struct file_inode *directory = NULL, *inode = NULL;
        struct file_entry *old;
        const char *name;
        int r;

        if (path[0] == '\0')
                return add_root(t, a, ret, e);
        r = enter_parents(t, path, &directory, &name, e);
        if (r < 0)
                return r;
        old = S_ISDIR(a->mode) ? find_entry(directory, name, strlen(name)) : NULL;
        if (old && S_ISDIR(old->inode->mode)) {
                old->source = t->source;
                set_attributes(old->inode, a);
                *ret = old->inode;
                return 0;
        }
        assert(!S_ISLNK(a->mode) || a->target);
        r = S_ISLNK(a->mode) ? count_names(t, strlen(a->target), e) : 0;
        if (r >= 0)
                r = new_inode(a, &inode);
        if (r < 0)
                return r;
        set_attributes(inode, a);
        inode->opaque = old && !t->merge && is_whiteout(old->inode);
        r = put_entry(t, directory, name, strlen(name), inode, e);
        if (r < 0)
                return r;
        *ret = inode;
        return 0;
}

int file_tree_link(struct file_tree *t, const char *path, const char *target, struct error *e)
{
        struct file_inode *inode = look_up(t, target), *directory = NULL;
        struct file_entry *old;
        const char *name;
        int r;

        if (!inode || path[0] == '\0')
                return error_set(e, -EBADMSG,
                                 "a hard link to an earlier entry expected, found one to \"%.200s\"", target);
        if (S_ISDIR(inode->mode))
                return error_set(e, -EBADMSG,
                                 "a hard link to a file expected, found one to the directory \"%.200s\"",
                                 target);
        r = enter_parents(t, path, &directory, &name, e);
        if (r < 0)
                return r;
        old = find_entry(directory, name, strlen(name));
        if (old && old->inode == inode)
                return error_set(e, -EBADMSG, "a hard link to another file expected, found one to itself");
        inode->links++;
        return put_entry(t, directory, name, strlen(name), inode, e);
}

/* --- hiding --- */

struct names {
        struct file_entry **items;
        size_t n, size;
        bool failed;
};

static void collect(const struct file_entry *entry, void *userdata)
{
        struct names *names = userdata;

        if (names->n == names->size) {
                size_t size = names->size ? 2 * names->size : 64;
                struct file_entry **items = reallocarray(names->items, size, sizeof(*items));

                if (!items) {
                        names->failed = true;
                        return;
                }
                names->items = items;
                names->size = size;
        }
        names->items[names->n++] = (struct file_entry *)entry;
}

/* Takes away what earlier sources put below a directory; once is enough, however often it is asked for. */
static int hide_below(struct file_tree *t, struct file_inode *directory)
{
        struct names names = {};
        int r;

        if (directory->hidden_by == t->source)
                return 0;
        directory->hidden_by = t->source;
        file_tree_each(directory, collect, &names);
        r = names.failed ? -ENOMEM : 0;
        for (size_t i = 0; r >= 0 && i < names.n; i++) {
                struct file_entry *entry = names.items[i];

                if (entry->source != t->source)
                        remove_entry(t, directory, entry);
                else if (S_ISDIR(entry->inode->mode))
                        r = hide_below(t, entry->inode);
        }
        free(names.items);
        return r;
}

int file_tree_whiteout(struct file_tree *t, const char *path, const struct file_attributes *a,
                       struct error *e)
{
        const struct file_attributes mark = {.mode = S_IFCHR | (a->mode & 07777),
                                             .uid = a->uid,
                                             .gid = a->gid,
                                             .mtime = a->mtime,
                                             .mtime_nsec = a->mtime_nsec};
        struct file_inode *directory = NULL, *inode = NULL;
        struct file_entry *entry;
        const char *name;
        int r;

        r = enter_parents(t, path, &directory, &name, e);
        if (r < 0)
                return r;
        entry = find_entry(directory, name, strlen(name));
        if (!t->merge && !entry)
                return file_tree_add(t, path, &mark, &inode, e);
        if (entry && entry->source != t->source)
                remove_entry(t, directory, entry);
        else if (entry && S_ISDIR(entry->inode->mode))
                return file_tree_opaque(t, path, e);
        return 0;
}

int file_tree_opaque(struct file_tree *t, const char *path, struct error *e)
{
        struct file_inode *directory = t->root;
        const char *name;
        int r = 0;

        if (path[0] != '\0') {
                struct file_inode *parent = NULL;

                r = enter_parents(t, path, &parent, &name, e);
                if (r >= 0)
                        r = enter(t, parent, name, strlen(name), &directory, e);
        }
        if (r < 0)
                return r;
        if (t->merge)
                return hide_below(t, directory);
        directory->opaque = true;
        return 0;
}

/* --- the order --- */

struct order {
        struct file_inode *directory, *last;
        uint64_t n;
};

static void list_entry(const struct file_entry *entry, void *userdata)
{
        struct order *order = userdata;
        struct file_inode *i = entry->inode;

        if (S_ISDIR(i->mode))
                order->directory->links++;
        if (i->listed)
                return;
        i->listed = true;
        order->last->next = i;
        order->last = i;
        order->n++;
}

int file_tree_order(struct file_tree *t, uint64_t *ret_inodes, struct error *e)
{
        struct order order = {.last = t->root, .n = 1};

        t->root->listed = true;
        for (struct file_inode *i = t->root; i; i = i->next) {
                int r;

                if (!S_ISDIR(i->mode))
                        continue;
                order.directory = i;
                file_tree_each(i, list_entry, &order);
                if (!i->opaque)
                        continue;
                r = xattr_store_extend(&t->xattrs, i->xattrs, EROFS_XATTR_TRUSTED, "overlay.opaque", "y", 1,
                                       &i->xattrs, e);
                if (r < 0)
                        return r;
        }
        *ret_inodes = order.n;
        return 0;
}
