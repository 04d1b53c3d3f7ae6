/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trees against veritysetup, in both directions: it verifies what we write, and gives the same root hash and
 * the same bytes. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "scratch.h"
#include "verity-tools/internal.h"

TestSuite(tree, .init = scratch_enter, .fini = scratch_leave);

struct case_of_tree {
        char algorithm[16];
        uint32_t data_block, hash_block;
        uint64_t blocks;
        char salt[80]; /* hex */
};

static struct verity_geometry geometry_of(const struct case_of_tree *c)
{
        struct verity_geometry g = {
                .data_block_size = c->data_block,
                .hash_block_size = c->hash_block,
                .data_blocks = c->blocks,
                .salt_size = strlen(c->salt) / 2,
        };

        (void)stpcpy(g.algorithm, c->algorithm);
        cr_assert_eq(hex_decode(c->salt, g.salt, g.salt_size), 0);
        return g;
}

/* data.img of the size asked for, and tree.img with superblock and tree. */
static void make_files(struct verity_geometry *g)
{
        size_t size = (size_t)verity_data_size(g);
        _cleanup_close_ int data_fd = -EBADF, hash_fd = -EBADF;
        _cleanup_free_ uint8_t *data = malloc(size);
        uint8_t superblock[VERITY_SUPERBLOCK_SIZE], uuid[16] = {1};
        struct error e = {};

        fill_pattern(data, size);
        put("data.img", data, size);
        data_fd = open("data.img", O_RDONLY | O_CLOEXEC);
        hash_fd = open("tree.img", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        cr_assert_eq(verity_tree_write(data_fd, hash_fd, g, NULL, &e), 0, "%s", e.message);
        verity_superblock_write(g, uuid, superblock);
        cr_assert_eq(pwrite_full(hash_fd, superblock, sizeof(superblock), g->hash_offset), 0);
}

ParameterizedTestParameters(tree, same_as_veritysetup)
{
        static struct case_of_tree cases[] = {
                {"sha256", 4096, 4096, 1, ""},
                {"sha256", 4096, 4096, 2, "00"},
                {"sha256", 4096, 4096, 128,
                 "0000000000000000000000000000000000000000000000000000000000000000"},
                {"sha256", 4096, 4096, 129,
                 "0000000000000000000000000000000000000000000000000000000000000000"},
                {"sha256", 4096, 4096, 1000, "0011223344556677"},
                {"sha256", 512, 512, 16, "aa"},
                {"sha256", 512, 512, 257, "aa"},
                {"sha256", 1024, 4096, 130, "aa"},
                {"sha256", 4096, 512, 17, "aa"},
                {"sha384", 4096, 4096, 65, "abcd"},
                {"sha512", 4096, 4096, 64, "abcd"},
                {"sha512", 512, 512, 513, "abcd"},
        };

        return cr_make_param_array(struct case_of_tree, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct case_of_tree *c, tree, same_as_veritysetup)
{
        struct verity_geometry g = geometry_of(c);
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_free_ char *theirs = NULL, *ours_tree = NULL, *their_tree = NULL;
        size_t ours_size = 0, their_size = 0, from = (size_t)verity_tree_offset(&g);

        make_files(&g);
        verity_geometry_root_hash(&g, root_hash);
        shell("veritysetup verify data.img tree.img %s", root_hash);
        theirs = shell_output(
                "veritysetup format data.img theirs.img --hash=%s --data-block-size=%u --hash-block-size=%u "
                "--salt=%s | sed -n 's/^Root hash:[[:space:]]*//p'",
                c->algorithm, c->data_block, c->hash_block, c->salt[0] ? c->salt : "-");
        cr_expect_str_eq(root_hash, theirs);
        if (verity_tree_size(&g) == 0)
                return;
        ours_tree = slurp("tree.img", &ours_size);
        their_tree = slurp("theirs.img", &their_size);
        cr_expect_eq(ours_size, from + verity_tree_size(&g));
        cr_assert_geq(their_size, ours_size);
        cr_expect_eq(memcmp(ours_tree + from, their_tree + from, ours_size - from), 0,
                     "the same tree, byte for byte");
}

static int verify_files(const struct verity_geometry *g, struct error *e)
{
        _cleanup_close_ int data_fd = open("data.img", O_RDONLY | O_CLOEXEC),
                            hash_fd = open("tree.img", O_RDONLY | O_CLOEXEC);

        return verity_tree_verify(data_fd, hash_fd, g, NULL, e);
}

static void flip(const char *path, uint64_t offset)
{
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
        uint8_t byte;

        cr_assert_eq(pread_full(fd, &byte, 1, offset), 0);
        byte ^= 0x80;
        cr_assert_eq(pwrite_full(fd, &byte, 1, offset), 0);
}

Test(tree, each_kind_of_damage_is_found_and_named)
{
        const struct case_of_tree c = {"sha256", 4096, 4096, 300, "00"};
        struct verity_geometry g = geometry_of(&c), other;
        struct error e = {};

        make_files(&g);
        cr_assert_eq(verify_files(&g, &e), 0, "%s", e.message);
        flip("data.img", 200 * 4096 + 7);
        cr_expect_eq(verify_files(&g, &e), -EUCLEAN);
        cr_expect_not_null(strstr(e.message, "data block 200 "), "%s", e.message);
        flip("data.img", 200 * 4096 + 7);
        flip("tree.img", 4096 + 5); /* the top block */
        cr_expect_eq(verify_files(&g, &e), -EUCLEAN);
        cr_expect_not_null(strstr(e.message, "offset 4096"), "%s", e.message);
        flip("tree.img", 4096 + 5);
        flip("tree.img", verity_tree_offset(&g) + verity_tree_size(&g) - 1); /* padding of the last block */
        cr_expect_eq(verify_files(&g, &e), -EUCLEAN);
        flip("tree.img", verity_tree_offset(&g) + verity_tree_size(&g) - 1);
        other = g;
        other.root_hash[31] ^= 1;
        cr_expect_eq(verify_files(&other, &e), -EUCLEAN);
        other = g;
        other.salt[0] = 1;
        cr_expect_eq(verify_files(&other, &e), -EUCLEAN);
        other = g;
        other.data_blocks--;
        cr_expect_eq(verify_files(&other, &e), -EUCLEAN);
        cr_expect_eq(verify_files(&g, &e), 0);
}

Test(tree, a_block_of_digests_is_not_taken_for_data)
{
        const struct case_of_tree c = {"sha256", 4096, 4096, 300, "00"};
        struct verity_geometry g = geometry_of(&c), shorter;
        struct error e = {};

        make_files(&g);
        shell("tail -c +8193 tree.img >digests.img && head -c 12288 digests.img >data.img && head -c 8192 "
              "tree.img >t && mv t tree.img");
        shorter = g;
        shorter.data_blocks = 3;
        /* With one level less the old level 0 is "data" with the right root hash: only the number of blocks
         * tells. */
        cr_expect_eq(verify_files(&shorter, &e), 0);
        cr_expect_lt(verify_files(&g, &e), 0, "which is why it comes from signed data");
}

Test(tree, short_files_are_errors)
{
        const struct case_of_tree c = {"sha256", 4096, 4096, 300, "00"};
        struct verity_geometry g = geometry_of(&c);
        struct error e = {};

        make_files(&g);
        shell("truncate -s -1 data.img");
        cr_expect_eq(verify_files(&g, &e), -EUCLEAN);
        make_files(&g);
        shell("truncate -s -1 tree.img");
        cr_expect_eq(verify_files(&g, &e), -EUCLEAN);
}

Test(tree, golden)
{
        const struct case_of_tree c = {"sha256", 4096, 4096, 1000,
                                       "0000000000000000000000000000000000000000000000000000000000000000"};
        struct verity_geometry g = geometry_of(&c);
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_free_ char *sum = NULL;

        make_files(&g);
        verity_geometry_root_hash(&g, root_hash);
        sum = shell_output("sha256sum tree.img | cut -d' ' -f1");
        cr_expect_str_eq(root_hash, "efe4bf980cd5a582b37123628b9674721e0783940d43d092710dafea3898d826");
        cr_expect_str_eq(sum, "84fc359f22f93b69d534dd6d827cc77c814b7a36a5977eab9794f89616fcf8cf");
}

Test(tree, the_same_bytes_for_any_number_of_threads)
{
        static const struct case_of_tree cases[] = {
                {"sha256", 4096, 4096, 20000, "00"},
                {"sha512", 512, 512, 9000, "abcd"},
        };
        static const unsigned threads[] = {1, 2, 3, 7, 100};

        for (size_t c = 0; c < ELEMENTSOF(cases); c++) {
                struct verity_geometry g = geometry_of(&cases[c]);

                make_files(&g);
                shell("cp tree.img expected.img");
                for (size_t i = 0; i < ELEMENTSOF(threads); i++) {
                        const struct verity_tree_options o = {.threads = threads[i]};
                        _cleanup_close_ int data_fd = open("data.img", O_RDONLY | O_CLOEXEC),
                                            hash_fd = open("tree.img", O_RDWR | O_CLOEXEC);
                        struct verity_geometry made = g;
                        struct error e = {};

                        shell("head -c 512 expected.img >tree.img");
                        memset(made.root_hash, 0, sizeof(made.root_hash));
                        cr_assert_eq(verity_tree_write(data_fd, hash_fd, &made, &o, &e), 0, "%s", e.message);
                        cr_expect_eq(memcmp(made.root_hash, g.root_hash, sizeof(g.root_hash)), 0);
                        shell("cmp tree.img expected.img");
                        cr_expect_eq(verity_tree_verify(data_fd, hash_fd, &g, &o, &e), 0, "%s", e.message);
                }
        }
}

Test(tree, the_first_of_several_damaged_blocks_is_named)
{
        const struct case_of_tree c = {"sha256", 4096, 4096, 20000, "00"};
        struct verity_geometry g = geometry_of(&c);

        make_files(&g);
        for (uint64_t block = 500; block < 20000; block += 700)
                flip("data.img", block * 4096);
        for (unsigned threads = 1; threads < 9; threads++) {
                const struct verity_tree_options o = {.threads = threads};
                _cleanup_close_ int data_fd = open("data.img", O_RDONLY | O_CLOEXEC),
                                    hash_fd = open("tree.img", O_RDONLY | O_CLOEXEC);
                struct error e = {};

                cr_expect_eq(verity_tree_verify(data_fd, hash_fd, &g, &o, &e), -EUCLEAN);
                cr_expect_not_null(strstr(e.message, "data block 500 (offset 2048000)"), "%s", e.message);
        }
}

static void count(void *userdata, uint64_t done, uint64_t total)
{
        uint64_t *last = userdata;

        cr_expect_leq(done, total);
        cr_expect_eq(total, UINT64_C(20000) * 4096);
        *last = done;
}

Test(tree, progress_ends_at_the_total)
{
        const struct case_of_tree c = {"sha256", 4096, 4096, 20000, "00"};
        struct verity_geometry g = geometry_of(&c);

        make_files(&g);
        for (unsigned threads = 1; threads < 4; threads++) {
                uint64_t last = 0;
                const struct verity_tree_options o = {
                        .threads = threads, .progress = count, .userdata = &last};
                _cleanup_close_ int data_fd = open("data.img", O_RDONLY | O_CLOEXEC),
                                    hash_fd = open("tree.img", O_RDONLY | O_CLOEXEC);

                cr_expect_eq(verity_tree_verify(data_fd, hash_fd, &g, &o, NULL), 0);
                cr_expect_eq(last, UINT64_C(20000) * 4096);
        }
}

Test(tree, an_unreadable_file_is_an_error_with_its_offset)
{
        const struct case_of_tree c = {"sha256", 4096, 4096, 2000, "00"};
        struct verity_geometry g = geometry_of(&c);

        make_files(&g);
        for (unsigned threads = 1; threads < 4; threads++) {
                const struct verity_tree_options o = {.threads = threads};
                _cleanup_close_ int data_fd = open("data.img", O_WRONLY | O_CLOEXEC),
                                    hash_fd = open("tree.img", O_RDWR | O_CLOEXEC);
                struct error e = {};

                cr_expect_eq(verity_tree_write(data_fd, hash_fd, &g, &o, &e), -EACCES);
                cr_expect_not_null(strstr(e.message, "data at 0:"), "%s", e.message);
        }
}

/* In place (SHA-256) and read (SHA-512). */
Test(tree, a_file_that_is_cut_short_is_an_error_not_a_signal)
{
        static const struct case_of_tree cut[] = {{"sha256", 4096, 4096, 5000, "00"},
                                                  {"sha512", 4096, 4096, 5000, "00"}};

        for (size_t i = 0; i < ELEMENTSOF(cut); i++) {
                struct verity_geometry g = geometry_of(&cut[i]);

                make_files(&g);
                cr_assert_eq(truncate("data.img", 4500 * 4096 + 1), 0);
                for (unsigned threads = 1; threads < 4; threads++) {
                        const struct verity_tree_options o = {.threads = threads};
                        _cleanup_close_ int data_fd = open("data.img", O_RDONLY | O_CLOEXEC),
                                            hash_fd = open("tree.img", O_RDWR | O_CLOEXEC);
                        struct error e = {};

                        cr_expect_eq(verity_tree_write(data_fd, hash_fd, &g, &o, &e), -EIO);
                        cr_expect_not_null(strstr(e.message, "data at "), "%s", e.message);
                }
        }
}

Test(tree, bytes_behind_the_last_digest_are_zero)
{
        const struct case_of_tree c = {"sha256", 4096, 4096, 300, "00"};
        struct verity_geometry g = geometry_of(&c), shorter;
        struct error e = {};

        make_files(&g);
        shorter = g;
        shorter.data_blocks--;
        cr_expect_eq(verify_files(&shorter, &e), -EUCLEAN);
        cr_expect_not_null(strstr(e.message, "zeros expected"), "%s", e.message);
}

/* Puts the right block of digests in the place of one that fits the damaged data. */
static void put_back(void *userdata, uint64_t done, uint64_t total)
{
        _cleanup_close_ int fd = open("tree.img", O_WRONLY | O_CLOEXEC);

        cr_assert_eq(pwrite_full(fd, userdata, 4096, 4096), 0);
}

Test(tree, a_tree_that_changes_while_it_is_read_does_not_make_damage_sound)
{
        const struct case_of_tree c = {"sha256", 4096, 4096, 2, "00"};
        struct verity_geometry g = geometry_of(&c), damaged = g;
        _cleanup_free_ char *tree = NULL;
        _cleanup_close_ int data_fd = -EBADF, hash_fd = -EBADF;
        struct verity_tree_options o = {.threads = 1, .progress = put_back};
        struct error e = {};

        make_files(&g);
        tree = slurp("tree.img", NULL);
        o.userdata = tree + 4096;
        flip("data.img", 0);
        data_fd = open("data.img", O_RDONLY | O_CLOEXEC);
        hash_fd = open("tree.img", O_RDWR | O_CLOEXEC);
        cr_assert_eq(verity_tree_write(data_fd, hash_fd, &damaged, NULL, &e), 0, "%s", e.message);
        cr_expect_eq(verity_tree_verify(data_fd, hash_fd, &g, &o, &e), -EUCLEAN);
}
