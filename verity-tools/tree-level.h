/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One level of a hash tree, made from the blocks below it or compared with them, by several threads. */
#pragma once

#include "verity-tools/hash.h"
#include "verity-tools/verity.h"

/* Blocks that lie one behind the other. */
struct tree_blocks {
        const char *name; /* for messages */
        int fd;
        uint64_t offset; /* bytes */
        size_t size;     /* of one, in bytes */
        uint64_t n;
};

struct tree_level {
        const struct hasher *hasher;
        struct tree_blocks below, level;
        size_t slot;                                /* bytes from one digest to the next */
        bool verify;                                /* compare with what is stored, instead of writing */
        const struct verity_tree_options *progress; /* whose progress this is, or NULL */
};

#define TREE_LEVEL_SOUND UINT64_MAX

struct tree_level_result {
        uint64_t bad_child; /* the first block below without the digest stored for it; below.n: what is behind
                               the last digest is not zero; TREE_LEVEL_SOUND */
        uint8_t root[VERITY_DIGEST_MAX]; /* if the level is a single block: the digest that it should have */
};

/* An error names the lowest offset that failed, for any number of threads. */
int tree_level_run(const struct tree_level *job, unsigned threads, struct tree_level_result *ret,
                   struct error *e);
