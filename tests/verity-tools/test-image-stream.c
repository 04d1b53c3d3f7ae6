/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images written front to back against veritysetup, for any number of threads and any way to append. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "scratch.h"
#include "verity-tools/image-stream.h"

TestSuite(image_stream, .init = scratch_enter, .fini = scratch_leave);

#define SALT "0000000000000000000000000000000000000000000000000000000000000000"

static size_t digests_max;

static struct image_stream *open_stream(int fd, unsigned threads)
{
        const struct image_stream_options o = {.fd = fd, .threads = threads, .digests_max = digests_max};
        struct image_stream *s = NULL;
        struct error e = {};

        cr_assert_eq(image_stream_new(&o, &s, &e), 0, "%s", e.message);
        return s;
}

/* Ends the image with its tree behind the data. */
static struct verity_geometry finish(struct image_stream *s, int fd)
{
        struct verity_geometry g = {};
        struct error e = {};
        uint64_t size;

        cr_assert_eq(image_stream_align(s, &e), 0, "%s", e.message);
        size = image_stream_position(s);
        cr_assert_eq(verity_geometry_profile(size, size, NULL, &g, &e), 0, "%s", e.message);
        cr_assert_eq(image_stream_finish(s, fd, 0, &g, &e), 0, "%s", e.message);
        return g;
}

static void check_against_veritysetup(const struct verity_geometry *g)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1];

        verity_geometry_root_hash(g, root_hash);
        shell("veritysetup verify --no-superblock --data-blocks=%llu --hash-offset=%llu --salt=" SALT
              " --data-block-size=4096 --hash-block-size=4096 --hash=sha256 image.img image.img %s",
              (unsigned long long)g->data_blocks, (unsigned long long)verity_tree_offset(g), root_hash);
}

/* The same `size` bytes appended in pieces; begin, middle and end are put in last. */
static void write_image(unsigned threads, size_t size, size_t piece)
{
        _cleanup_close_ int fd = open("image.img", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        _cleanup_free_ uint8_t *data = malloc(size), *written = NULL;
        struct image_stream *s = open_stream(fd, threads);
        static const uint8_t zeros[5000];
        struct verity_geometry g;
        size_t n_written = 0;

        fill_pattern(data, size);
        memset(data + size / 2, 0, size / 4);
        cr_assert_eq(image_stream_zeros(s, sizeof(zeros), NULL), 0);
        for (size_t at = sizeof(zeros); at < size; at += piece)
                cr_assert_eq(image_stream_put(s, data + at, size - at < piece ? size - at : piece, NULL), 0);
        cr_assert_eq(image_stream_position(s), size);
        fill_pattern(data, size);
        cr_assert_eq(image_stream_patch(s, 0, data, sizeof(zeros), NULL), 0);
        cr_assert_eq(image_stream_patch(s, size / 2, data + size / 2, size / 4, NULL), 0);
        cr_assert_eq(image_stream_patch(s, size - 9, data + size - 9, 9, NULL), 0);
        g = finish(s, fd);
        (void)image_stream_free(s);
        written = (uint8_t *)slurp("image.img", &n_written);
        cr_assert_geq(n_written, size);
        cr_expect_eq(memcmp(written, data, size), 0);
        if (g.data_blocks > 1) /* of one block veritysetup cannot verify a hash device without a tree */
                check_against_veritysetup(&g);
}

Test(image_stream, is_what_veritysetup_verifies)
{
        static const size_t sizes[] = {5001,    8192,    8193, 512 * 1024, 512 * 1024 + 1, 1536 * 1024 - 3,
                                       9000000, 60000000};

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
                write_image(1 + (unsigned)i % 4, sizes[i], 300 + 70000 * i);
}

Test(image_stream, the_same_bytes_for_any_number_of_threads)
{
        static const unsigned threads[] = {2, 3, 7, 64, 0};

        write_image(1, 20000000, 9999);
        shell("mv image.img one.img");
        for (size_t i = 0; i < ELEMENTSOF(threads); i++) {
                write_image(threads[i], 20000000, 65536);
                shell("cmp image.img one.img");
        }
}

Test(image_stream, digests_that_memory_does_not_hold_wait_in_a_file)
{
        static const size_t limits[] = {4096, 20480};

        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                digests_max = limits[i];
                write_image(2, 20000000, 65536);
        }
}

Test(image_stream, the_file_for_digests_is_where_TMPDIR_says)
{
        static uint8_t data[8 << 20];
        _cleanup_close_ int fd = open("image.img", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        struct image_stream *s;
        struct error e = {};
        int r;

        digests_max = 4096;
        cr_assert_eq(mkdir("tmp", 0700) | setenv("TMPDIR", "tmp", 1), 0);
        write_image(2, 20000000, 65536);
        cr_expect_eq(rmdir("tmp"), 0, "nothing is left in it");
        s = open_stream(fd, 1);
        r = image_stream_put(s, data, sizeof(data), &e);
        cr_expect_eq(r, -ENOENT, "%d", r);
        cr_expect_not_null(strstr(e.message, "digests of the image at offset "), "%s", e.message);
        (void)image_stream_free(s);
}

Test(image_stream, an_error_of_writing_surfaces_with_its_offset)
{
        static uint8_t data[1 << 20];

        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4 << 20, 4 << 20}), 0);
        cr_assert_neq((intptr_t)signal(SIGXFSZ, SIG_IGN), (intptr_t)SIG_ERR);
        for (unsigned threads = 1; threads < 5; threads++) {
                _cleanup_close_ int fd = open("image.img", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                struct image_stream *s = open_stream(fd, threads);
                struct error e = {};
                int r = 0;

                for (int i = 0; r >= 0 && i < 64; i++)
                        r = image_stream_put(s, data, sizeof(data), &e);
                cr_expect_eq(r, -EFBIG, "%d", r);
                cr_expect_not_null(
                        strstr(e.message, threads == 1 ? "image at offset 4194304" : "image at offset "),
                        "%s", e.message);
                (void)image_stream_free(s);
        }
}

Test(image_stream, may_be_left_at_any_time)
{
        static uint8_t data[3 << 20];

        for (unsigned threads = 1; threads < 5; threads++) {
                _cleanup_close_ int fd = open("image.img", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                struct image_stream *s = open_stream(fd, threads);

                cr_expect_eq(image_stream_put(s, data, sizeof(data), NULL), 0);
                (void)image_stream_free(s);
        }
}
