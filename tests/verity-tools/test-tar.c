/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a tar means, and the tars that nobody should have written: each is an error that names the place,
 * leaves nothing behind and needs little memory. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/file.h"
#include "listing.h"
#include "scratch.h"
#include "tar-writer.h"
#include "verity-tools/build-internal.h"

TestSuite(tar, .init = scratch_enter, .fini = scratch_leave);

static int build(const char *source, const char *output, struct error *e)
{
        struct build_options o = {};
        struct verity_geometry g = {};

        return build_image(source, output, &o, &g, e);
}

static void build_well(const char *source, const char *output)
{
        struct error e = {};

        cr_assert_eq(build(source, output, &e), 0, "%s", e.message);
        shell("fsck.erofs %s", output);
}

static size_t files_here(void)
{
        _cleanup_closedir_ DIR *d = opendir(".");
        size_t n = 0;

        while (d && readdir(d))
                n++;
        return n - 2;
}

/* --- meaning --- */

struct meaning {
        const char *entries;  /* "f NAME CONTENT", "d NAME", "l NAME TARGET", "h NAME TARGET", a line each */
        const char *expected; /* "NAME TYPE", "NAME f CONTENT" lines, or the text of an error */
};

static void add_line(struct tar_writer *w, const char *line)
{
        char type, name[100], rest[100] = "";

        cr_assert_geq(sscanf(line, "%c %99s %99s", &type, name, rest), 2);
        if (type == 'f')
                tar_writer_file(w, name, rest);
        else if (type == 'd')
                tar_writer_directory(w, name);
        else
                tar_writer_header(w, &(struct tar_header){.name = name,
                                                          .link = rest,
                                                          .type = type == 'l' ? '2' : '1',
                                                          .mode = 0777});
}

static void save_lines(const char *lines, const char *path)
{
        struct tar_writer w = {};
        char copy[1024];

        (void)snprintf(copy, sizeof(copy), "%s", lines);
        for (char *save, *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                add_line(&w, line);
        tar_writer_save(&w, path);
}

/* Paths and types below the root, and the content of files. */
static char *contents(const char *image)
{
        return shell_output("rm -rf x && fsck.erofs --extract=x --no-preserve %s >/dev/null && cd x && "
                            "find . -mindepth 1 -printf '%%P %%y ' '(' -type f -exec cat {} ';' ')' -o "
                            "-printf '' ')' 2>/dev/null; "
                            "find . -mindepth 1 -printf '%%P %%y\\n' | LC_ALL=C sort | while read p t; do "
                            "case $t in f) echo \"$p f $(cat $p)\";; l) echo \"$p l $(readlink $p)\";; *) "
                            "echo \"$p $t\";; esac; done",
                            image);
}

static const struct meaning meanings[] = {
        {"f a 1\nf a 2", "a f 2"},
        {"f a 1\nd a", "a d"},
        {"d a\nf a/b 1\nf a 2", "a f 2"},
        {"d a\nf a/b 1\nd a", "a d\na/b f 1"},
        {"f a 1\nf b 2\nf a 3\nf c 4", "a f 3\nb f 2\nc f 4"},
        {"f a 1\nh b a\nf a 2", "a f 2\nb f 1"},
        {"f a 1\nh b a\nh c b", "a f 1\nb f 1\nc f 1"},
        {"f a 1\nf b 2\nh b a", "a f 1\nb f 1"},
        {"l a b\nl b a\nh c a", "a l b\nb l a\nc l b"},
        {"f x/y/z 1", "x d\nx/y d\nx/y/z f 1"},
        {"f ./x//y 1\nf /z 2", "x d\nx/y f 1\nz f 2"},
        {"f a 1\nf .wh.a x", "a f 1"},
        {"f .wh.a x\nf a 1", "a f 1"},
        {"f .wh.a x\nf a/b 1", "a d\na/b f 1"},
        {"f .wh.a x", "a c"},
        {"f d/.wh..wh.plnk x\nd d", "d d"},
        {"f a 1\nf a/b 2", "entry 2: byte 1024: a/b: directory \"a\" expected"},
        {"l a b\nf a/b 2", "entry 2: byte 512: a/b: directory \"a\" expected"},
        {"h a b", "entry 1: byte 0: a: a hard link to an earlier entry expected, found one to \"b\""},
        {"h a b\nf b 1", "entry 1: byte 0: a: a hard link to an earlier entry expected"},
        {"f a 1\nh a a", "a hard link to another file expected, found one to itself"},
        {"d a\nh b a", "found one to the directory \"a\""},
        {"f a 1\nh b ../a", "a name without \"..\" expected"},
        {"f a 1\nh b a/c", "a hard link to an earlier entry expected"},
        {"f . 1", "a directory expected as the root"},
        {"f .wh. x", "a name behind \".wh.\" expected"},
        {"f .wh.. x", "a name behind \".wh.\" expected"},
        {"f .wh... x", "a name behind \".wh.\" expected"},
};

static void check_meaning(const struct meaning *m)
{
        _cleanup_free_ char *found = NULL;
        struct error e = {};
        int r;

        save_lines(m->entries, "t.tar");
        r = build("t.tar", "t.img", &e);
        if (r < 0) {
                cr_expect_eq(r, -EBADMSG);
                cr_expect_not_null(strstr(e.message, m->expected), "%s", e.message);
                cr_expect_eq(files_here(), 1, "nothing is left behind");
                return;
        }
        found = contents("t.img");
        cr_expect_str_eq(found, m->expected, "%s: %s", m->entries, found);
        shell("rm -r x t.img");
}

Test(tar, meanings)
{
        for (size_t i = 0; i < ELEMENTSOF(meanings); i++)
                check_meaning(&meanings[i]);
}

/* Sizes around those of reads, of what is read in place, and of what is hashed at a time. */
Test(tar, contents_of_all_sizes)
{
        shell("mkdir t && for n in 1 511 512 65535 65536 65537 262144 300000 524288 524289 1500000; do "
              "head -c $n /dev/urandom >t/$n; done && tar -C t -cf t.tar . && gzip -k t.tar");
        cr_assert_eq(build("t.tar", "t.img", NULL), 0);
        cr_assert_eq(build("t.tar.gz", "z.img", NULL), 0);
        shell("cmp t.img z.img && fsck.erofs --extract=x --no-preserve t.img >/dev/null && diff -r t x");
}

/* --- layers over each other --- */

static void merge(const char *const tars[], size_t n, const char *output)
{
        _cleanup_close_ int fd = open(output, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        const struct builder_options o = {.fd = fd, .merge = true};
        struct verity_geometry g = {};
        struct builder *b = NULL;
        struct error e = {};
        uint64_t size = 0;

        cr_assert_eq(builder_new(&o, &b, &e), 0, "%s", e.message);
        for (size_t i = 0; i < n; i++) {
                _cleanup_close_ int tar_fd = -EBADF;
                struct build_tar tar = {.name = "layer"};

                save_lines(tars[i], "layer.tar");
                tar_fd = open("layer.tar", O_RDONLY | O_CLOEXEC);
                tar.fd = tar_fd;
                cr_assert_eq(builder_add_tar(b, &tar, &e), 0, "%s", e.message);
        }
        cr_assert_eq(builder_end_data(b, &size, &e), 0, "%s", e.message);
        cr_assert_eq(builder_finish(b, -EBADF, 0, &g, &e), 0, "%s", e.message);
        builder_free(b);
}

struct layers {
        const char *tars[3];
        const char *expected;
};

static const struct layers merged[] = {
        {{"f a 1", "f b 2", "f c 3"}, "a f 1\nb f 2\nc f 3"},
        {{"f a 1", "f a 2", "f a 3"}, "a f 3"},
        {{"d d\nf d/a 1\nf d/b 2", "f d/.wh.a x", "f c 3"}, "c f 3\nd d\nd/b f 2"},
        {{"d d\nf d/a 1\nf d/b 2", "f d/.wh..wh..opq x\nf d/c 3", "f e 4"}, "d d\nd/c f 3\ne f 4"},
        {{"d d\nf d/a 1\nf d/b 2", "f d/c 3\nf d/.wh..wh..opq x", "f e 4"}, "d d\nd/c f 3\ne f 4"},
        {{"d d\nf d/a 1", "f d/.wh..wh..opq x\nf d/b 2\nf d/.wh..wh..opq x", "f d/.wh..wh..opq x\nf d/c 3"},
         "d d\nd/c f 3"},
        {{"d d\nf d/e/a 1", "f d/e/b 2\nf .wh.d x", "f e 4"}, "d d\nd/e d\nd/e/b f 2\ne f 4"},
        {{"d d\nf d/a 1", "f .wh.d x", "f d/b 2"}, "d d\nd/b f 2"},
        {{"f a 1\nh b a", "f .wh.a x", "h c b"}, "b f 1\nc f 1"},
        {{"l d other\nf other/x 1", "f d/y 2", "f e 4"}, "d d\nd/y f 2\ne f 4\nother d\nother/x f 1"},
        {{"d d\nf d/a 1", "f d 2", "f e 4"}, "d f 2\ne f 4"},
        {{"f a 1", "f .wh.nothing x", "f .wh.a x\nf a 2"}, "a f 2"},
        {{"f a 1", "h b a\nf .wh.a x", "f e 4"}, "b f 1\ne f 4"},
};

Test(tar, merged)
{
        for (size_t i = 0; i < ELEMENTSOF(merged); i++) {
                _cleanup_free_ char *found = NULL;

                merge(merged[i].tars, 3, "m.img");
                shell("fsck.erofs m.img");
                found = contents("m.img");
                cr_expect_str_eq(found, merged[i].expected, "%zu: %s", i, found);
        }
}

/* Contents that nothing names any more are not in the image. */
Test(tar, replaced_contents_leave_no_trace)
{
        static const char *const layers[] = {"f a secret-1\nf b 2\nf c secret-3", "f .wh.a x\nf c 4",
                                             "f d 5"};
        static const char *const clean[] = {"f b 2", "f c 4", "f d 5"};

        save_lines("f a secret-1\nf b 2\nf a 3\nf c secret-4\nf c 5", "twice.tar");
        save_lines("f b 2\nf a 3\nf c 5", "once.tar");
        build_well("twice.tar", "twice.img");
        build_well("once.tar", "once.img");
        shell("cmp twice.img once.img && ! grep -q secret twice.img");
        merge(layers, 3, "layers.img");
        merge(clean, 3, "clean.img");
        shell("cmp layers.img clean.img && ! grep -q secret layers.img");
}

/* --- where an image may be --- */

Test(tar, an_image_and_its_tree_at_any_offset)
{
        _cleanup_close_ int fd = open("disk", O_RDWR | O_CREAT | O_CLOEXEC, 0644), tar_fd = -EBADF;
        const struct builder_options o = {.fd = fd, .offset = 1 << 20};
        struct build_tar tar = {.name = "t.tar"};
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        struct verity_geometry g = {};
        struct builder *b = NULL;
        struct error e = {};
        uint64_t size = 0;

        save_lines("f a 1\nf a 22\nf b 3", "t.tar");
        tar_fd = open("t.tar", O_RDONLY | O_CLOEXEC);
        tar.fd = tar_fd;
        cr_assert_eq(builder_new(&o, &b, &e), 0, "%s", e.message);
        cr_assert_eq(builder_add_tar(b, &tar, &e), 0, "%s", e.message);
        cr_assert_eq(builder_end_data(b, &size, &e), 0, "%s", e.message);
        cr_assert_eq(builder_finish(b, fd, 8 << 20, &g, &e), 0, "%s", e.message);
        builder_free(b);
        cr_expect_eq(g.hash_offset, 0);
        cr_expect_eq(verity_data_size(&g), size);
        verity_geometry_root_hash(&g, root_hash);
        build_well("t.tar", "t.img");
        shell("tail -c +$((1048576 + 1)) disk | head -c %llu >data && cmp -n %llu data t.img && "
              "tail -c +$((8388608 + 1)) disk >hash && veritysetup verify data hash %s",
              (unsigned long long)size, (unsigned long long)size, root_hash);
}

/* --- hostile --- */

struct hostile {
        const char *name;
        void (*make)(struct tar_writer *w);
        int error;
        const char *message;
};

static void pax_path(struct tar_writer *w, size_t size, char c)
{
        char *path = malloc(size + 1);

        cr_assert_not_null(path);
        memset(path, c, size);
        tar_writer_pax(w, "path", path, size);
        tar_writer_file(w, "x", "x");
        free(path);
}

static void long_name(struct tar_writer *w)
{
        pax_path(w, 65536, 'n');
}

static void empty_name(struct tar_writer *w)
{
        tar_writer_file(w, "", "x");
}

static void gnu_long_name(struct tar_writer *w)
{
        static char path[65536];

        memset(path, 'n', sizeof(path));
        tar_writer_header(w,
                          &(struct tar_header){.name = "././@LongLink", .type = 'L', .size = sizeof(path)});
        tar_writer_data(w, path, sizeof(path));
        tar_writer_file(w, "x", "x");
}

static void deep(struct tar_writer *w)
{
        char path[2 * 300 + 1];

        for (size_t i = 0; i < 300; i++)
                memcpy(path + 2 * i, "d/", 3);
        tar_writer_pax(w, "path", path, strlen(path));
        tar_writer_file(w, "x", "x");
}

static void short_content(struct tar_writer *w)
{
        tar_writer_file(w, "first", "1");
        tar_writer_header(w, &(struct tar_header){.name = "x", .mode = 0644, .size = 1 << 20});
        tar_writer_data(w, "short", 5);
}

static void huge_size(struct tar_writer *w)
{
        tar_writer_header(w, &(struct tar_header){.name = "x",
                                                  .mode = 0644,
                                                  .size_field = "\x80\0\0\0\x40\0\0\0\0\0\0\0"});
}

static void negative_size(struct tar_writer *w)
{
        tar_writer_header(
                w, &(struct tar_header){.name = "x",
                                        .mode = 0644,
                                        .size_field = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"});
}

static void sparse_bomb(struct tar_writer *w)
{
        tar_writer_pax(w, "GNU.sparse.size", "60000000000", 11);
        tar_writer_pax(w, "GNU.sparse.numblocks", "1", 1);
        tar_writer_pax(w, "GNU.sparse.map", "59999999998,2", 13);
        tar_writer_file(w, "x", "x\n");
}

/* 5 bytes, of which the map says something else. */
static void sparse_map(struct tar_writer *w, const char *map)
{
        tar_writer_pax(w, "GNU.sparse.size", "10", 2);
        tar_writer_pax(w, "GNU.sparse.numblocks", "2", 1);
        tar_writer_pax(w, "GNU.sparse.map", map, strlen(map));
        tar_writer_file(w, "x", "hello");
}

static void sparse_map_of_too_much(struct tar_writer *w)
{
        sparse_map(w, "0,3,5,5");
}

static void sparse_map_of_too_little(struct tar_writer *w)
{
        sparse_map(w, "0,3,5,1");
        tar_writer_file(w, "y", "");
}

static void sparse_map_that_overlaps(struct tar_writer *w)
{
        sparse_map(w, "0,3,2,2");
}

static void sparse_map_in_disorder(struct tar_writer *w)
{
        sparse_map(w, "5,3,0,2");
}

/* The entries behind it must not be read as its content, which is large enough to be read in pieces. */
static void size_of_more_than_there_is(struct tar_writer *w)
{
        static char content[1 << 20];

        tar_writer_pax(w, "SCHILY.realsize", "2000000", 7);
        tar_writer_header(w, &(struct tar_header){.name = "x", .mode = 0644, .size = sizeof(content)});
        tar_writer_data(w, content, sizeof(content));
        for (unsigned i = 0; i < 2000; i++)
                tar_writer_file(w, "y", "y");
}

static void sparse_map_bomb(struct tar_writer *w)
{
        const size_t size = 8 << 20;
        char *map = malloc(size);

        cr_assert_not_null(map);
        for (size_t i = 0; i < size; i += 2)
                memcpy(map + i, "0\n", 2);
        memcpy(map, "4000000\n", 8);
        tar_writer_pax(w, "GNU.sparse.major", "1", 1);
        tar_writer_pax(w, "GNU.sparse.minor", "0", 1);
        tar_writer_pax(w, "GNU.sparse.name", "x", 1);
        tar_writer_pax(w, "GNU.sparse.realsize", "5", 1);
        tar_writer_header(w, &(struct tar_header){.name = "x", .mode = 0644, .size = size});
        tar_writer_data(w, map, size);
        free(map);
}

static void endless_headers(struct tar_writer *w)
{
        static char text[60000];

        for (unsigned i = 0; i < 40; i++) {
                tar_writer_header(w, &(struct tar_header){
                                             .name = "g", .mode = 0644, .type = 'L', .size = sizeof(text)});
                tar_writer_data(w, text, sizeof(text));
        }
        tar_writer_file(w, "x", "x");
}

static void xattr_flood(struct tar_writer *w)
{
        static char value[60000];

        memset(value, 'v', sizeof(value));
        for (unsigned i = 0; i < 400; i++) {
                value[0] = (char)('0' + i % 10);
                value[1] = (char)('0' + i / 10 % 10);
                value[2] = (char)('0' + i / 100 % 10);
                tar_writer_pax(w, "SCHILY.xattr.user.x", value, sizeof(value));
                tar_writer_file(w, "x", "x");
        }
}

static void target_flood(struct tar_writer *w)
{
        char target[4000], name[16];

        memset(target, 't', sizeof(target));
        for (unsigned i = 0; i < 2200; i++) {
                (void)snprintf(name, sizeof(name), "%u", i);
                tar_writer_pax(w, "linkpath", target, sizeof(target));
                tar_writer_header(w,
                                  &(struct tar_header){.name = name, .mode = 0777, .type = '2', .link = "x"});
        }
}

static void large_xattr(struct tar_writer *w)
{
        static char value[65530];

        tar_writer_pax(w, "SCHILY.xattr.user.x", value, sizeof(value));
        tar_writer_file(w, "x", "x");
}

static void bad_acl(struct tar_writer *w)
{
        tar_writer_pax(w, "SCHILY.xattr.system.posix_acl_access", "\2\0\0\0\1\0\7\0\xff\xff\xff\xff", 12);
        tar_writer_file(w, "x", "x");
}

static void no_acl(struct tar_writer *w)
{
        tar_writer_pax(w, "SCHILY.acl.access", "user::rwx,junk", 14);
        tar_writer_file(w, "x", "x");
}

static void no_default_acl(struct tar_writer *w)
{
        tar_writer_pax(w, "SCHILY.acl.default", "junk", 4);
        tar_writer_directory(w, "x");
}

static void large_device(struct tar_writer *w)
{
        tar_writer_header(w, &(struct tar_header){.name = "x", .type = '3', .mode = 0600, .major = 4096});
}

static void bad_checksum(struct tar_writer *w)
{
        tar_writer_file(w, "first", "1");
        tar_writer_file(w, "second", "2");
        w->data[1024 + 200] ^= 1;
}

static const struct hostile hostile[] = {
        {"long name", long_name, -EBADMSG, "names up to 255 bytes"},
        {"GNU long name", gnu_long_name, -EBADMSG, "names up to 255 bytes"},
        {"empty name", empty_name, -EBADMSG, "entry 1: byte 0: : a name expected, found an empty one"},
        {"deep", deep, -E2BIG, "at most 256 levels of directories"},
        {"short content", short_content, -EBADMSG, "t.tar: entry 2: byte 1024: x: Truncated"},
        {"huge size", huge_size, -E2BIG, "entry 1: byte 0: x: at most 68719476736 bytes of data"},
        {"negative size", negative_size, -EBADMSG, "t.tar: entry 1: "},
        {"sparse bomb", sparse_bomb, -E2BIG, "holes"},
        {"size of more than there is", size_of_more_than_there_is, -EBADMSG,
         "entry 1: byte 0: x: 2000000 bytes of data expected"},
        {"sparse map of too much", sparse_map_of_too_much, -EBADMSG,
         "entry 1: byte 0: x: 8 bytes of data expected as its sparse map says, found 5"},
        {"sparse map of too little", sparse_map_of_too_little, -EBADMSG, "t.tar: entry 2: "},
        {"sparse map that overlaps", sparse_map_that_overlaps, -EBADMSG, "entry 1: byte 0: x: "},
        {"sparse map in disorder", sparse_map_in_disorder, -EBADMSG, "entry 1: byte 0: x: "},
        {"sparse map bomb", sparse_map_bomb, -E2BIG, "headers of at most 2097152 bytes"},
        {"endless headers", endless_headers, -EBADMSG, "t.tar: entry 1: "},
        {"xattr flood", xattr_flood, -E2BIG, "at most 4194304 bytes of different extended attributes"},
        {"target flood", target_flood, -E2BIG, "at most 2097152 bytes of names and link targets"},
        {"large xattr", large_xattr, -E2BIG, "at most 65536 bytes of extended attributes of one file"},
        {"bad ACL", bad_acl, -EBADMSG, "a valid POSIX ACL"},
        {"no ACL", no_acl, -EBADMSG, "entry 1: byte 0: Parse error:  SCHILY.acl.access"},
        {"no default ACL", no_default_acl, -EBADMSG, "SCHILY.acl.default"},
        {"large device", large_device, -EBADMSG, "device numbers up to 4095:1048575"},
        {"bad checksum", bad_checksum, -EBADMSG, "t.tar: entry 2: byte 1024"},
};

Test(tar, hostile_ones_are_refused)
{
        for (size_t i = 0; i < ELEMENTSOF(hostile); i++) {
                const struct hostile *h = &hostile[i];
                struct tar_writer w = {};
                struct error e = {};

                h->make(&w);
                tar_writer_save(&w, "t.tar");
                cr_expect_eq(build("t.tar", "t.img", &e), h->error, "%s: %s", h->name, e.message);
                cr_expect_not_null(strstr(e.message, h->message), "%s: %s", h->name, e.message);
                cr_expect_eq(files_here(), 1, "%s: nothing is left behind", h->name);
        }
}

/* As if there had been so many entries and bytes of names before. */
static void expect_limit(uint32_t n_entries, uint64_t names_size, const char *message)
{
        _cleanup_close_ int fd = open("t.img", O_RDWR | O_CREAT | O_CLOEXEC, 0644), tar_fd = -EBADF;
        const struct builder_options o = {.fd = fd};
        struct build_tar tar = {.name = "t.tar"};
        struct builder *b = NULL;
        struct error e = {};

        save_lines("f a 1\nf b 2\nf c 3", "t.tar");
        tar_fd = open("t.tar", O_RDONLY | O_CLOEXEC);
        tar.fd = tar_fd;
        cr_assert_eq(builder_new(&o, &b, &e), 0, "%s", e.message);
        b->tree.n_entries = n_entries;
        b->tree.names_size = names_size;
        cr_expect_eq(builder_add_tar(b, &tar, &e), message ? -E2BIG : 0);
        cr_expect(!message || strstr(e.message, message), "%s", e.message);
        builder_free(b);
}

Test(tar, the_limits_on_entries_and_their_names)
{
        uint64_t most = BUILD_NAMES_MAX + 10 * BUILD_ENTRY_NAMES_MAX;

        expect_limit(BUILD_ENTRIES_MAX - 3, 0, NULL);
        expect_limit(BUILD_ENTRIES_MAX - 2, 0, "t.tar: entry 3: byte 2048: c: at most 4000000 entries");
        expect_limit(9, most - 1, NULL);
        expect_limit(9, most, "t.tar: entry 1: byte 0: a: at most 2097152 bytes of names and link targets");
}

/* Between two entries as well: an archive has an end of its own. */
Test(tar, every_block_that_is_missing)
{
        struct error e = {};
        size_t size = 0;
        char *data;

        save_lines("f a 1\nd b\nf b/c 2", "t.tar");
        data = slurp("t.tar", &size);
        for (size_t n = 0; n < size; n += 512) {
                put("short.tar", data, n);
                cr_expect_eq(build("short.tar", "t.img", &e), -EBADMSG, "%zu of %zu", n, size);
                cr_expect_not_null(strstr(e.message, "short.tar: "), "%s", e.message);
        }
        cr_expect_not_null(strstr(e.message, "short.tar: entry 4: byte 2560: two blocks of zeros expected"),
                           "%s", e.message);
        put("long.tar", data, size);
        shell("head -c 9000 /dev/zero >>long.tar");
        build_well("long.tar", "t.img");
        free(data);
}

/* --- compressed --- */

static const char *const compressors[] = {"gzip", "zstd -q", "xz",
                                          "python3 -c 'import bz2,sys; "
                                          "sys.stdout.buffer.write(bz2.compress(sys.stdin.buffer.read()))'"};

Test(tar, every_truncation)
{
        for (size_t i = 0; i < ELEMENTSOF(compressors); i++) {
                size_t size = 0, refused = 0, tried = 0;
                struct error e = {};
                char *data;

                shell("rm -rf t && mkdir t && head -c 30000 /dev/urandom >t/a && tar -C t -cf - . | %s >t.z",
                      compressors[i]);
                data = slurp("t.z", &size);
                for (size_t n = 1; n < size; n += n + 100 < size ? 499 : 1, tried++) {
                        put("short.z", data, n);
                        refused += build("short.z", "t.img", &e) == -EBADMSG &&
                                   strstr(e.message, "short.z") != NULL;
                }
                cr_expect_eq(refused, tried, "%s: %zu of %zu", compressors[i], refused, tried);
                build_well("t.z", "t.img");
                free(data);
        }
}

Test(tar, members_one_behind_the_other_and_garbage)
{
        save_lines("f a 1\nf b 2", "t.tar");
        build_well("t.tar", "plain.img");
        for (size_t i = 0; i < ELEMENTSOF(compressors); i++) {
                struct error e = {};

                shell("head -c 700 t.tar | %s >t.z && tail -c +701 t.tar | %s >>t.z", compressors[i],
                      compressors[i]);
                build_well("t.z", "t.img");
                shell("cmp plain.img t.img && printf garbage >>t.z");
                cr_expect_eq(build("t.z", "t.img", &e), -EBADMSG, "%s: %s", compressors[i], e.message);
                cr_expect_not_null(strstr(e.message, "t.z: byte "), "%s", e.message);
        }
}

Test(tar, frames_of_zstd_that_are_to_be_skipped)
{
        save_lines("f a 1\nf b 2", "t.tar");
        build_well("t.tar", "plain.img");
        shell("zstd -q t.tar && printf '\\120\\052\\115\\030\\004\\0\\0\\0size' >skip && "
              "cat skip t.tar.zst skip >t.z");
        build_well("t.z", "t.img");
        shell("cmp plain.img t.img");
}

Test(tar, every_changed_byte_of_a_compressed_tar)
{
        for (size_t i = 0; i < ELEMENTSOF(compressors); i++) {
                size_t size = 0, refused = 0;
                char *data;

                save_lines("f a 1\nf b 2", "t.tar");
                shell("%s <t.tar >t.z", compressors[i]);
                data = slurp("t.z", &size);
                for (size_t at = 0; at < size; at++) {
                        data[at] ^= 0x10;
                        put("bad.z", data, size);
                        refused += build("bad.z", "bad.img", NULL) < 0;
                        data[at] ^= 0x10;
                }
                /* Some bytes of headers mean nothing: time, name, flags. */
                cr_expect_gt(refused, size / 2, "%s", compressors[i]);
                free(data);
        }
}

Test(tar, windows_that_are_too_large)
{
        struct error e = {};

        shell("truncate -s 70M large && tar -cf t.tar large && rm large && zstd -q --long=26 t.tar && "
              "xz --lzma2=preset=0,dict=64MiB -k t.tar");
        cr_expect_eq(build("t.tar.zst", "t.img", &e), -E2BIG, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "t.tar.zst: byte 0 of the file: a window of at most 32 MiB "
                                             "expected, found more: zstd -dc it first"),
                           "%s", e.message);
        cr_expect_eq(build("t.tar.xz", "t.img", &e), -E2BIG, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "xz -dc it first"), "%s", e.message);
}

/* A member with a larger window than the one before it, which ends anywhere in what is read at a time. */
Test(tar, windows_that_grow)
{
        shell("mkdir t && truncate -s 1M t/large && head -c 300000 /dev/urandom >t/random && "
              "tar -C t -cf t.tar random large");
        build_well("t.tar", "plain.img");
        for (unsigned at = 261120; at < 261120 + 2048; at += 173) {
                shell("head -c %u t.tar | zstd -q --no-check >t.z && tail -c +%u t.tar | zstd -q --long=25 "
                      ">>t.z",
                      at, at + 1);
                build_well("t.z", "t.img");
                shell("cmp plain.img t.img");
        }
}

/* --- memory --- */

#ifdef __SANITIZE_ADDRESS__
#define MEMORY_FACTOR 8 /* of the sanitizer */
#else
#define MEMORY_FACTOR 1
#endif

/* The largest resident set of `verity build`, in KiB. */
static uint64_t memory_of(const char *tar)
{
        struct rusage usage = {};
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                if (!freopen("/dev/null", "w", stdout))
                        _exit(127);
                (void)execl(BIN_DIR "/verity", "verity", "build", tar, "-o", "m.img", NULL);
                _exit(127);
        }
        cr_assert_eq(wait4(pid, &status, 0, &usage), pid);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) != 127);
        return (uint64_t)usage.ru_maxrss;
}

#define ENTRIES 200000u

Test(tar, memory_is_bounded_by_entries, .timeout = 120)
{
        struct tar_writer w = {};
        char name[64];

        for (unsigned i = 0; i < ENTRIES; i++) {
                (void)snprintf(name, sizeof(name), "directory/a-name-of-usual-length-%u", i);
                tar_writer_file(&w, name, "");
        }
        tar_writer_save(&w, "entries.tar");
        cr_expect_lt(memory_of("entries.tar"), MEMORY_FACTOR * (64 * 1024 + ENTRIES * 300 / 1024));
        for (size_t i = 0; i < ELEMENTSOF(hostile); i++) {
                hostile[i].make(&w);
                tar_writer_save(&w, "t.tar");
                cr_expect_lt(memory_of("t.tar"), MEMORY_FACTOR * 64 * 1024, "%s", hostile[i].name);
        }
}

/* Digests of the image's blocks, holes, and windows as large as they may be. */
Test(tar, memory_is_not_bounded_by_bytes, .timeout = 120)
{
        static const char *const tars[] = {"zeros.tar.gz", "sparse.tar", "window.tar.zst", "window.tar.xz"};

        shell("truncate -s 300M zeros && tar -cf - zeros | gzip -1 >zeros.tar.gz && truncate -s 100M zeros "
              "&& "
              "tar -Scf sparse.tar zeros && truncate -s 36M zeros && tar -cf window.tar zeros && zstd -q -k "
              "-1 --long=25 window.tar && xz -k -T1 --lzma2=preset=0,dict=32MiB window.tar");
        for (size_t i = 0; i < ELEMENTSOF(tars); i++) {
                uint64_t memory = memory_of(tars[i]);

                cr_expect_lt(memory, MEMORY_FACTOR * 64 * 1024, "%s: %llu KiB", tars[i],
                             (unsigned long long)memory);
                cr_expect_eq(unlink("m.img"), 0, "%s", tars[i]);
        }
}
