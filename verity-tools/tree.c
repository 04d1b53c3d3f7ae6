/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Merkle tree. Data is read once, in order; each level collects digests in one block, which is written
 * (or compared with what is stored) when it is full, and its own digest goes one level up. Memory is one
 * chunk of data and one block a level. */
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "internal.h"

#define CHUNK ((size_t)1024 * 1024)
#define BLOCK_MAX 4096

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

struct level {
        uint8_t block[BLOCK_MAX];
        size_t used;   /* bytes of digests in it */
        uint64_t done; /* blocks finished */
};

struct tree {
        const struct verity_geometry *g;
        struct verity_layout layout;
        EVP_MD_CTX *hash;
        const EVP_MD *md;
        int hash_fd;
        bool verify;
        uint64_t bad_tree_block; /* byte offset of the first stored block that differs */
        uint64_t bad_data_block;
        bool tree_differs, data_differs;
        struct level *levels;
        uint8_t root[VERITY_DIGEST_MAX];
};

static int digest(struct tree *t, const void *block, size_t size, uint8_t *ret)
{
        if (EVP_DigestInit_ex2(t->hash, t->md, NULL) != 1 ||
            EVP_DigestUpdate(t->hash, t->g->salt, t->g->salt_size) != 1 ||
            EVP_DigestUpdate(t->hash, block, size) != 1 || EVP_DigestFinal_ex(t->hash, ret, NULL) != 1)
                return -EIO;
        return 0;
}

/* Notes what differs between the block made and the block stored. A digest that differs on level 0 points at
 * a data block. */
static int compare_block(struct tree *t, unsigned l, uint64_t offset)
{
        uint8_t stored[BLOCK_MAX];
        size_t slot = t->layout.slot;
        int r;

        r = pread_full(t->hash_fd, stored, t->g->hash_block_size, offset);
        if (r < 0 || memcmp(stored, t->levels[l].block, t->g->hash_block_size) == 0)
                return r;
        if (!t->tree_differs) {
                t->tree_differs = true;
                t->bad_tree_block = offset;
        }
        for (size_t i = 0; l == 0 && !t->data_differs && i < t->levels[l].used; i += slot)
                if (memcmp(stored + i, t->levels[l].block + i, slot) != 0) {
                        t->data_differs = true;
                        t->bad_data_block = t->levels[l].done * (t->g->hash_block_size / slot) + i / slot;
                }
        return 0;
}

static int finish_block(struct tree *t, unsigned l);

/* Takes the digest of a block that lies below level l; above the top level it is the root hash. */
static int add_digest(struct tree *t, unsigned l, const uint8_t *d)
{
        struct level *level;

        if (l == t->layout.levels) {
                memcpy(t->root, d, t->layout.digest);
                return 0;
        }
        level = &t->levels[l];
        memcpy(level->block + level->used, d, t->layout.digest);
        level->used += t->layout.slot;
        return level->used == t->g->hash_block_size ? finish_block(t, l) : 0;
}

static int finish_block(struct tree *t, unsigned l)
{
        struct level *level = &t->levels[l];
        uint64_t offset = t->layout.offset[l] + level->done * t->g->hash_block_size;
        uint8_t d[VERITY_DIGEST_MAX];
        int r;

        if (t->verify)
                r = compare_block(t, l, offset);
        else
                r = pwrite_full(t->hash_fd, level->block, t->g->hash_block_size, offset);
        if (r < 0)
                return r;
        r = digest(t, level->block, t->g->hash_block_size, d);
        if (r < 0)
                return r;
        memset(level->block, 0, sizeof(level->block));
        level->used = 0;
        level->done++;
        return add_digest(t, l + 1, d);
}

static int hash_chunk(struct tree *t, const uint8_t *chunk, size_t size)
{
        uint8_t d[VERITY_DIGEST_MAX];
        int r;

        for (size_t i = 0; i < size; i += t->g->data_block_size) {
                r = digest(t, chunk + i, t->g->data_block_size, d);
                if (r < 0)
                        return r;
                r = add_digest(t, 0, d);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int hash_all(struct tree *t, int data_fd, verity_progress_t progress, void *userdata, struct error *e)
{
        _cleanup_free_ uint8_t *chunk = malloc(CHUNK);
        uint64_t total = verity_data_size(t->g);
        int r;

        if (!chunk)
                return -ENOMEM;
        for (uint64_t done = 0; done < total;) {
                size_t n = total - done < CHUNK ? (size_t)(total - done) : CHUNK;

                r = pread_full(data_fd, chunk, n, done);
                if (r < 0)
                        return error_errno(e, r, "data at %" PRIu64, done);
                r = hash_chunk(t, chunk, n);
                if (r < 0)
                        return error_errno(e, r, "hash tree");
                done += n;
                if (progress)
                        progress(userdata, done, total);
        }
        for (unsigned l = 0; l < t->layout.levels; l++)
                if (t->levels[l].used > 0) {
                        r = finish_block(t, l);
                        if (r < 0)
                                return error_errno(e, r, "hash tree");
                }
        return 0;
}

static int run(struct tree *t, int data_fd, int hash_fd, const struct verity_geometry *g,
               verity_progress_t progress, void *userdata, struct error *e)
{
        _cleanup_(EVP_MD_CTX_free_ptr) EVP_MD_CTX *hash = EVP_MD_CTX_new();
        _cleanup_free_ struct level *levels = NULL;
        int r;

        r = verity_geometry_check(g, e);
        if (r < 0)
                return r;
        t->g = g;
        t->hash_fd = hash_fd;
        t->hash = hash;
        t->md = EVP_get_digestbyname(g->algorithm);
        verity_layout_of(g, &t->layout);
        t->levels = levels = calloc(t->layout.levels + 1, sizeof(*levels));
        if (!hash || !levels)
                return -ENOMEM;
        if (!t->md)
                return error_set(e, -EOPNOTSUPP, "hash algorithm %s: not offered by OpenSSL", g->algorithm);
        return hash_all(t, data_fd, progress, userdata, e);
}

unsigned verity_threads(unsigned asked)
{
        cpu_set_t set;

        if (asked > 0)
                return asked;
        /* A kernel with more processors than fit into the set refuses. */
        return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

int verity_tree_write_upper(const struct hasher *h, const struct verity_layout *layout, unsigned level,
                            uint8_t *digests, int hash_fd, uint64_t hash_base,
                            uint8_t ret_root[static VERITY_DIGEST_MAX])
{
        for (unsigned l = level; l < layout->levels; l++) {
                size_t size = (size_t)layout->blocks[l] * layout->block, used, padded;
                int r;

                r = pwrite_full(hash_fd, digests, size, hash_base + layout->offset[l]);
                if (r >= 0)
                        r = hasher_blocks(h, digests, (size_t)layout->blocks[l], layout->block, digests,
                                          layout->slot);
                if (r < 0)
                        return r;
                used = (size_t)layout->blocks[l] * layout->slot;
                padded = (used + layout->block - 1) / layout->block * layout->block;
                memset(digests + used, 0, padded - used);
        }
        memcpy(ret_root, digests, layout->digest);
        return 0;
}

int verity_tree_write(int data_fd, int hash_fd, struct verity_geometry *g, verity_progress_t progress,
                      void *userdata, struct error *e)
{
        struct tree t = {};
        int r;

        r = run(&t, data_fd, hash_fd, g, progress, userdata, e);
        if (r < 0)
                return r;
        memcpy(g->root_hash, t.root, t.layout.digest);
        g->root_hash_size = t.layout.digest;
        return 0;
}

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

int verity_tree_verify(int data_fd, int hash_fd, const struct verity_geometry *g, verity_progress_t progress,
                       void *userdata, struct error *e)
{
        struct tree t = {.verify = true};
        bool root_matches;
        int r;

        if (g->root_hash_size == 0)
                return error_set(e, -EINVAL, "a root hash expected, found none");
        r = check_length(data_fd, "data", verity_data_size(g), e);
        if (r >= 0)
                r = check_length(hash_fd, "hash tree", verity_tree_offset(g) + verity_tree_size(g), e);
        if (r < 0)
                return r;
        r = run(&t, data_fd, hash_fd, g, progress, userdata, e);
        if (r < 0)
                return r;
        root_matches = memcmp(t.root, g->root_hash, g->root_hash_size) == 0;
        if (root_matches && t.tree_differs)
                return error_set(e, -EUCLEAN,
                                 "hash tree: the block at offset %" PRIu64
                                 " differs from what the data gives",
                                 t.bad_tree_block);
        if (!root_matches && t.data_differs)
                return error_set(e, -EUCLEAN,
                                 "data block %" PRIu64 " (offset %" PRIu64
                                 ") differs from what its digest says",
                                 t.bad_data_block, t.bad_data_block * g->data_block_size);
        if (!root_matches)
                return error_set(e, -EUCLEAN,
                                 "data and hash tree have another root hash than the one expected");
        return 0;
}
