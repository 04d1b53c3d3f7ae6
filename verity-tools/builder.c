/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One image from its sources to its hash tree. Contents go to the image as they arrive; the metadata follows
 * when all names are known. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <selinux/label.h>
#include <selinux/selinux.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "build-internal.h"
#include "erofs-format.h"
#include "erofs-write.h"

#define MOVE_BUFFER ((size_t)1024 * 1024)

/* --- entries --- */

static int refuse(const char *what, struct error *e)
{
        return error_set(e, -EBADMSG, "a file without %s expected, found one; see --allow-setuid", what);
}

static int add_label(struct builder *b, const char *path, mode_t mode, struct error *e)
{
        char absolute[PATH_MAX_BYTES + 2] = "/", *label = NULL;
        int r;

        (void)stpcpy(absolute + 1, path);
        if (selabel_lookup_raw(b->labels, &label, absolute, (int)mode) < 0)
                return errno == ENOENT ? 0 : error_errno(e, -errno, "label of %s", absolute);
        r = xattr_list_set(&b->xattrs, EROFS_XATTR_SECURITY, "selinux", label, strlen(label), e);
        freecon(label);
        return r;
}

int builder_add_entry(struct builder *b, const char *path, struct file_attributes *a, bool label,
                      struct file_inode **ret, struct error *e)
{
        int r = 0;

        if (S_ISREG(a->mode) && (a->mode & (S_ISUID | S_ISGID)) && !b->o.allow_setuid)
                return refuse("setuid or setgid", e);
        if (b->xattrs.capability && !b->o.allow_setuid)
                return refuse("capabilities", e);
        *ret = NULL;
        if (S_ISCHR(a->mode) && a->rdev == 0)
                return file_tree_whiteout(&b->tree, path, a, e);
        if (b->xattrs.acl_mode >= 0)
                a->mode = (a->mode & ~0777u) | (unsigned)b->xattrs.acl_mode;
        if (b->labels && label)
                r = add_label(b, path, a->mode, e);
        if (r >= 0)
                r = xattr_store_get(&b->tree.xattrs, &b->xattrs, &a->xattrs, e);
        return r < 0 ? r : file_tree_add(&b->tree, path, a, ret, e);
}

int builder_begin_content(struct builder *b, struct file_inode *inode, uint64_t size, struct error *e)
{
        int r;

        if (size > BUILD_DATA_MAX - b->data)
                return error_set(e, -E2BIG, "at most %" PRIu64 " bytes of data expected in all, found more",
                                 BUILD_DATA_MAX);
        b->data += size;
        r = image_stream_align(b->stream, e);
        if (r < 0)
                return r;
        inode->size = size;
        inode->location = image_stream_position(b->stream);
        return 0;
}

/* --- contents that no name leads to --- */

static uint64_t blocks_of(const struct file_inode *i)
{
        return (i->size + EROFS_BLOCK - 1) / EROFS_BLOCK * EROFS_BLOCK;
}

static int compare_locations(const void *a, const void *b)
{
        const struct file_inode *x = *(struct file_inode *const *)a, *y = *(struct file_inode *const *)b;

        return x->location < y->location ? -1 : x->location > y->location;
}

/* Where contents were in the image and where they go, in that order. */
static int move_content(const struct builder *b, uint64_t from, uint64_t to, uint64_t size, uint8_t *buffer)
{
        int r = 0;

        for (uint64_t done = 0; r >= 0 && from != to && done < size;) {
                size_t n = size - done < MOVE_BUFFER ? (size_t)(size - done) : MOVE_BUFFER;

                r = pread_full(b->o.fd, buffer, n, b->o.offset + from + done);
                if (r >= 0)
                        r = pwrite_full(b->o.fd, buffer, n, b->o.offset + to + done);
                done += n;
        }
        return r;
}

static int new_stream(struct builder *b, struct error *e)
{
        const struct image_stream_options o = {
                .fd = b->o.fd, .offset = b->o.offset, .threads = b->o.threads, .streams = b->o.builders};

        b->stream = image_stream_free(b->stream);
        return image_stream_new(&o, &b->stream, e);
}

/* Hashes again what is in the image up to there. */
static int replay(struct builder *b, uint64_t size, uint8_t *buffer, struct error *e)
{
        int r = new_stream(b, e);

        for (uint64_t done = 0; r >= 0 && done < size;) {
                size_t n = size - done < MOVE_BUFFER ? (size_t)(size - done) : MOVE_BUFFER;

                r = pread_full(b->o.fd, buffer, n, b->o.offset + done);
                r = r < 0 ? error_errno(e, r, "image at offset %" PRIu64, done)
                          : image_stream_put(b->stream, buffer, n, e);
                done += n;
        }
        return r;
}

/* Moves the n contents together, so that the image is the same as if there had never been others. */
static int compact(struct builder *b, struct file_inode **files, size_t n, struct error *e)
{
        _cleanup_free_ uint8_t *buffer = malloc(MOVE_BUFFER);
        uint64_t to = EROFS_DATA_BEGIN;
        int r;

        if (!buffer)
                return -ENOMEM;
        r = image_stream_flush(b->stream, e);
        if (r < 0)
                return r;
        qsort(files, n, sizeof(struct file_inode *), compare_locations);
        for (size_t i = 0; i < n; i++) {
                r = move_content(b, files[i]->location, to, blocks_of(files[i]), buffer);
                if (r < 0)
                        return error_errno(e, r, "image at offset %" PRIu64, to);
                files[i]->location = to;
                to += blocks_of(files[i]);
        }
        if (ftruncate(b->o.fd, (off_t)(b->o.offset + to)) < 0)
                return error_errno(e, -errno, "image");
        return replay(b, to, buffer, e);
}

static bool has_content(const struct file_inode *i)
{
        return S_ISREG(i->mode) && i->size > 0;
}

static int drop_dead_contents(struct builder *b, struct error *e)
{
        _cleanup_free_ struct file_inode **files = NULL;
        uint64_t live = EROFS_DATA_BEGIN;
        size_t n = 0, at = 0;

        for (const struct file_inode *i = b->tree.root; i; i = i->next)
                if (has_content(i)) {
                        live += blocks_of(i);
                        n++;
                }
        assert(live <= image_stream_position(b->stream));
        if (live == image_stream_position(b->stream))
                return 0;
        files = calloc(n + 1, sizeof(struct file_inode *));
        if (!files)
                return -ENOMEM;
        for (struct file_inode *i = b->tree.root; i; i = i->next)
                if (has_content(i))
                        files[at++] = i;
        return compact(b, files, n, e);
}

/* --- begin and end --- */

static int open_labels(struct builder *b, struct error *e)
{
        struct selinux_opt options[] = {{SELABEL_OPT_PATH, b->o.file_contexts}};

        if (!b->o.file_contexts)
                return 0;
        b->labels = selabel_open(SELABEL_CTX_FILE, options, ELEMENTSOF(options));
        return b->labels ? 0 : error_errno(e, -errno, "%s", b->o.file_contexts);
}

int builder_new(const struct builder_options *o, struct builder **ret, struct error *e)
{
        _cleanup_(builder_free_ptr) struct builder *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;
        b->o = *o;
        xattr_list_reset(&b->xattrs);
        r = file_tree_init(&b->tree, o->merge);
        if (r >= 0)
                r = open_labels(b, e);
        if (r >= 0)
                r = new_stream(b, e);
        if (r >= 0)
                r = image_stream_zeros(b->stream, EROFS_DATA_BEGIN, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

struct builder *builder_free(struct builder *b)
{
        if (!b)
                return NULL;
        (void)image_stream_free(b->stream);
        file_tree_done(&b->tree);
        xattr_list_done(&b->xattrs);
        if (b->labels)
                selabel_close(b->labels);
        free(b);
        return NULL;
}

int builder_end_data(struct builder *b, uint64_t *ret_size, struct error *e)
{
        uint64_t inodes = 0;
        int r;

        r = image_stream_align(b->stream, e);
        if (r >= 0)
                r = file_tree_order(&b->tree, &inodes, e);
        if (r >= 0)
                r = drop_dead_contents(b, e);
        if (r >= 0)
                r = erofs_write(&b->tree, inodes, b->stream, e);
        if (r < 0)
                return r;
        b->size = image_stream_position(b->stream);
        *ret_size = b->size;
        return 0;
}

int builder_finish(struct builder *b, int hash_fd, uint64_t hash_offset, struct verity_geometry *ret,
                   struct error *e)
{
        bool behind = hash_fd < 0;
        uint64_t base = behind ? b->o.offset : hash_offset;
        uint8_t block[EROFS_BLOCK] = {};
        struct verity_geometry g = {};
        int r;

        assert(b->size > 0);
        if (behind)
                hash_fd = b->o.fd;
        r = verity_geometry_profile(b->size, behind ? b->size : 0, NULL, &g, e);
        if (r >= 0)
                r = image_stream_finish(b->stream, hash_fd, base, &g, e);
        if (r < 0)
                return r;
        verity_superblock_write(&g, g.root_hash, block);
        r = pwrite_full(hash_fd, block, sizeof(block), base + g.hash_offset);
        if (r < 0)
                return error_errno(e, r, "superblock of verity");
        *ret = g;
        return 0;
}
