/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Merkle tree, one level after the other: each is made from the blocks below it, the data or the level
 * that was written (or is stored) there. Memory is a few buffers a thread, whatever the size. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "internal.h"
#include "tree-level.h"

unsigned verity_threads(unsigned asked)
{
        cpu_set_t set;

        if (asked > 0)
                return asked;
        /* A kernel with more processors than fit into the set refuses. */
        return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

struct tree {
        struct hasher *hasher;
        struct verity_layout layout;
        struct tree_blocks data;
        int hash_fd;
        uint64_t hash_base; /* where the hash device begins in it */
        bool verify;
        const struct verity_tree_options *options;
        uint64_t bad_child[VERITY_LEVELS_MAX]; /* of each level, see tree-level.h */
        uint8_t root[VERITY_DIGEST_MAX];       /* as the blocks below the top block give it */
};

static struct tree_blocks level_of(const struct tree *t, unsigned l)
{
        return (struct tree_blocks){"hash tree", t->hash_fd, t->hash_base + t->layout.offset[l],
                                    t->layout.block, t->layout.blocks[l]};
}

static int do_level(struct tree *t, unsigned l, struct error *e)
{
        const struct tree_level job = {
                .hasher = t->hasher,
                .below = l == 0 ? t->data : level_of(t, l - 1),
                .level = level_of(t, l),
                .slot = t->layout.slot,
                .verify = t->verify,
                .progress = l == 0 ? t->options : NULL,
        };
        struct tree_level_result result;
        int r;

        r = tree_level_run(&job, verity_threads(t->options ? t->options->threads : 0), &result, e);
        if (r < 0)
                return r;
        t->bad_child[l] = result.bad_child;
        memcpy(t->root, result.root, sizeof(t->root));
        return 0;
}

static int do_levels(struct tree *t, unsigned from, struct error *e)
{
        for (unsigned l = from; l < t->layout.levels; l++) {
                int r = do_level(t, l, e);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int hash_block(const struct tree *t, const struct tree_blocks *b,
                      uint8_t ret[static VERITY_DIGEST_MAX], struct error *e)
{
        uint8_t block[4096];
        int r;

        r = pread_full(b->fd, block, b->size, b->offset);
        if (r >= 0)
                r = hasher_blocks(t->hasher, block, 1, b->size, ret, t->layout.digest);
        return r < 0 ? error_errno(e, r, "%s at %" PRIu64, b->name, b->offset) : 0;
}

/* Fills t, whose `verify` is set, and does all levels. The hasher is the caller's to free. */
static int do_tree(struct tree *t, int data_fd, int hash_fd, const struct verity_geometry *g,
                   const struct verity_tree_options *o, struct error *e)
{
        int r;

        r = hasher_new(g->algorithm, g->salt, g->salt_size, NULL, &t->hasher, e);
        if (r < 0)
                return r;
        t->data = (struct tree_blocks){"data", data_fd, o ? o->data_offset : 0, g->data_block_size,
                                       g->data_blocks};
        t->hash_fd = hash_fd;
        t->options = o;
        verity_layout_of(g, &t->layout);
        return t->layout.levels == 0 ? hash_block(t, &t->data, t->root, e) : do_levels(t, 0, e);
}

int verity_tree_write(int data_fd, int hash_fd, struct verity_geometry *g,
                      const struct verity_tree_options *o, struct error *e)
{
        struct tree t = {};
        int r;

        r = verity_geometry_check(g, e);
        if (r < 0)
                return r;
        r = do_tree(&t, data_fd, hash_fd, g, o, e);
        (void)hasher_free(t.hasher);
        if (r < 0)
                return r;
        memcpy(g->root_hash, t.root, t.layout.digest);
        g->root_hash_size = t.layout.digest;
        return 0;
}

int verity_tree_write_above(struct hasher *hasher, const struct verity_layout *layout, unsigned threads,
                            int hash_fd, uint64_t hash_base, uint8_t ret_root[static VERITY_DIGEST_MAX],
                            struct error *e)
{
        const struct verity_tree_options options = {.threads = threads};
        struct tree t = {
                .hasher = hasher,
                .layout = *layout,
                .hash_fd = hash_fd,
                .hash_base = hash_base,
                .options = &options,
        };
        struct tree_blocks lowest = level_of(&t, 0);
        int r;

        r = layout->levels == 1 ? hash_block(&t, &lowest, t.root, e) : do_levels(&t, 1, e);
        if (r >= 0)
                memcpy(ret_root, t.root, layout->digest);
        return r;
}

/* --- what is damaged --- */

/* A file that is cut short is damaged, which is an answer; on a device the read will tell. */
static int check_length(int fd, const char *what, uint64_t expected, struct error *e)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_errno(e, -errno, "%s", what);
        if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < expected)
                return error_set(e, -EUCLEAN, "%s: %" PRIu64 " bytes expected, found %" PRIu64, what,
                                 expected, (uint64_t)st.st_size);
        return 0;
}

static int tree_differs(const struct tree *t, unsigned l, uint64_t block, struct error *e)
{
        return error_set(e, -EUCLEAN,
                         "hash tree: the block at offset %" PRIu64 " differs from what its digest says",
                         t->layout.offset[l] + block * t->layout.block);
}

/* The highest level whose blocks are right but one of whose children is not says what is damaged. */
static int judge_below(const struct tree *t, struct error *e)
{
        for (unsigned l = t->layout.levels; l-- > 0;) {
                uint64_t child = t->bad_child[l], below = l == 0 ? t->data.n : t->layout.blocks[l - 1];

                if (child == TREE_LEVEL_SOUND)
                        continue;
                if (child == below)
                        return error_set(e, -EUCLEAN,
                                         "hash tree: the block at offset %" PRIu64
                                         ": zeros expected behind its digests, found something else",
                                         t->layout.offset[l] + (t->layout.blocks[l] - 1) * t->layout.block);
                if (l > 0)
                        return tree_differs(t, l - 1, child, e);
                return error_set(e, -EUCLEAN,
                                 "data block %" PRIu64 " (offset %" PRIu64
                                 ") differs from what its digest says",
                                 child, child * t->data.size);
        }
        return 0;
}

static int judge(const struct tree *t, const struct verity_geometry *g, struct error *e)
{
        bool made = memcmp(t->root, g->root_hash, g->root_hash_size) == 0, stored = made;
        uint8_t root[VERITY_DIGEST_MAX];
        struct tree_blocks top;
        int r;

        if (t->layout.levels > 0) {
                top = level_of(t, t->layout.levels - 1);
                r = hash_block(t, &top, root, e);
                if (r < 0)
                        return r;
                stored = memcmp(root, g->root_hash, g->root_hash_size) == 0;
        }
        r = stored ? judge_below(t, e) : 0;
        if (r < 0 || (made && stored))
                return r;
        if (made)
                return tree_differs(t, t->layout.levels - 1, 0, e);
        return error_set(e, -EUCLEAN, "data and hash tree have another root hash than the one expected");
}

int verity_tree_verify(int data_fd, int hash_fd, const struct verity_geometry *g,
                       const struct verity_tree_options *o, struct error *e)
{
        struct tree t = {.verify = true};
        int r;

        r = verity_geometry_check(g, e);
        if (r < 0)
                return r;
        if (g->root_hash_size == 0)
                return error_set(e, -EINVAL, "root hash: expected, found none");
        r = check_length(data_fd, "data", (o ? o->data_offset : 0) + verity_data_size(g), e);
        if (r >= 0)
                r = check_length(hash_fd, "hash tree", verity_tree_offset(g) + verity_tree_size(g), e);
        if (r >= 0)
                r = do_tree(&t, data_fd, hash_fd, g, o, e);
        if (r >= 0)
                r = judge(&t, g, e);
        (void)hasher_free(t.hasher);
        return r;
}
