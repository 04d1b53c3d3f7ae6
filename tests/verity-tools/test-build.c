/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images from trees and tars: what is in them, that the same input gives the same bytes, and what is refused.
 */
#include <archive.h>
#include <archive_entry.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "scratch.h"
#include "verity-tools/build-internal.h"
#include "verity-tools/image-file.h"
#include "verity-tools/internal.h"

TestSuite(build, .init = scratch_enter, .fini = scratch_leave);

static int build(const char *source, const char *output, struct verity_geometry *g, struct error *e)
{
        struct build_options o = {};

        return build_image(source, output, &o, g, e);
}

static size_t files_here(void)
{
        _cleanup_closedir_ DIR *d = opendir(".");
        size_t n = 0;

        while (d && readdir(d))
                n++;
        return n - 2;
}

static void make_tree(void)
{
        shell("mkdir -p t/usr/bin t/etc && head -c 100000 /dev/zero >t/usr/bin/zero && echo hello >t/etc/a "
              "&& ln t/etc/a t/etc/b && "
              "ln -s ../etc/a t/usr/link && mkfifo t/pipe && chmod 750 t/etc && chmod 755 t t/usr t/usr/bin "
              "&& chmod 640 t/etc/a && "
              "chmod 644 t/usr/bin/zero t/pipe && chown 7:8 t/etc/a");
}

/* --- what is in them --- */

Test(build, fsck_extracts_the_tree)
{
        struct verity_geometry g = {};
        struct error e = {};
        _cleanup_free_ char *before = NULL, *after = NULL;

        make_tree();
        cr_assert_eq(build("t", "t.img", &g, &e), 0, "%s", e.message);
        shell("fsck.erofs --extract=out t.img");
        before = shell_output("cd t && find . -printf '%%p %%y %%m %%U:%%G %%n %%l\\n' | sort && cat etc/a "
                              "&& cksum usr/bin/zero");
        after = shell_output("cd out && find . -printf '%%p %%y %%m %%U:%%G %%n %%l\\n' | sort && cat etc/a "
                             "&& cksum usr/bin/zero");
        cr_expect_str_eq(before, after);
}

Test(build, veritysetup_verifies)
{
        struct verity_geometry g = {};
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        struct build_options o = {.hash_output = "t.hash"};
        struct error e = {};

        make_tree();
        cr_assert_eq(build("t", "t.img", &g, &e), 0, "%s", e.message);
        verity_geometry_root_hash(&g, root_hash);
        shell("veritysetup verify t.img t.img %s --hash-offset=%llu", root_hash,
              (unsigned long long)g.hash_offset);
        cr_assert_eq(build_image("t", "t.data", &o, &g, &e), 0, "%s", e.message);
        cr_expect_eq(g.hash_offset, 0);
        shell("veritysetup verify t.data t.hash %s", root_hash);
}

Test(build, whiteouts_become_overlayfs)
{
        struct verity_geometry g = {};
        struct error e = {};
        _cleanup_free_ char *out = NULL;

        shell("mkdir -p l/d && touch l/.wh.gone l/d/.wh..wh..opq l/d/f && tar -C l -cf l.tar .");
        cr_assert_eq(build("l.tar", "l.img", &g, &e), 0, "%s", e.message);
        shell("fsck.erofs --extract=out --xattrs l.img");
        out = shell_output("cd out && find . -printf '%%p %%y\\n' | sort && stat -c %%t:%%T gone");
        cr_expect_str_eq(out, ". d\n./d d\n./d/f f\n./gone c\n0:0");
        shell("dump.erofs --path=/d l.img | grep -q 'Xattr size: [1-9]'");
}

/* --- the same bytes --- */

Test(build, golden)
{
        struct verity_geometry g = {};
        struct error e = {};
        char root_hash[2 * VERITY_DIGEST_MAX + 1];

        make_tree();
        cr_assert_eq(build("t", "t.img", &g, &e), 0, "%s", e.message);
        verity_geometry_root_hash(&g, root_hash);
        cr_expect_str_eq(root_hash, "b7d7d4a7d0dcb4b98652691d023cfd17153be4592b69b3237e4f6259d0fcded1");
}

Test(build, same_bytes_from_tree_tar_and_any_surroundings)
{
        struct verity_geometry g = {};
        struct error e = {};

        make_tree();
        cr_assert_eq(build("t", "tree.img", &g, &e), 0, "%s", e.message);
        shell("tar -C t --sort=name --mtime=@0 -cf t.tar . && gzip -k t.tar && zstd -q t.tar && xz -k t.tar "
              "&& "
              "tar -C t --sort=name --mtime=@0 --format=pax -cf pax.tar . && "
              "tar -C t --sort=name --mtime=@0 --format=ustar -cf ustar.tar .");
        cr_assert_eq(setenv("TZ", "Asia/Tokyo", 1), 0);
        cr_assert_eq(setenv("LC_ALL", "C", 1), 0);
        cr_assert_eq(setenv("SOURCE_DATE_EPOCH", "12345", 1), 0);
        (void)umask(077);
        static const char *const sources[] = {"t",        "t.tar",   "t.tar.gz", "t.tar.zst",
                                              "t.tar.xz", "pax.tar", "ustar.tar"};
        for (size_t i = 0; i < ELEMENTSOF(sources); i++) {
                cr_assert_eq(build(sources[i], "again.img", &g, &e), 0, "%s: %s", sources[i], e.message);
                shell("cmp tree.img again.img");
        }
}

/* --- refused --- */

static void set_capability(const char *path)
{
        shell("setcap cap_net_raw+ep %s", path);
}

Test(build, setuid_in_a_tree)
{
        struct build_options allow = {.allow_setuid = true};
        struct verity_geometry g = {};
        struct error e = {};

        make_tree();
        shell("chmod g+s t/etc");
        cr_expect_eq(build("t", "t.img", &g, &e), 0, "setgid directories are harmless: %s", e.message);
        shell("rm t.img && chmod u+s t/usr/bin/zero");
        cr_expect_eq(build("t", "t.img", &g, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "t/usr/bin/zero"), "%s", e.message);
        cr_expect_eq(files_here(), 1, "nothing is left behind");
        cr_expect_eq(build_image("t", "t.img", &allow, &g, &e), 0, "%s", e.message);
        shell("chmod u-s,g+s t/usr/bin/zero");
        cr_expect_eq(build("t", "t.img", &g, &e), -EBADMSG);
        shell("chmod g-s t/usr/bin/zero");
        set_capability("t/usr/bin/zero");
        cr_expect_eq(build("t", "t.img", &g, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "capabilities"), "%s", e.message);
}

/* A tar with one entry, and 5 bytes of data if it is a file. */
struct entry {
        char name[300], link[64], xattr[40];
        unsigned type, mode;
        bool hard;
        int error;
};

static void write_tar(const struct entry *t)
{
        struct archive *a = archive_write_new();
        struct archive_entry *entry = archive_entry_new();

        cr_assert_eq(archive_write_set_format_pax(a), ARCHIVE_OK);
        cr_assert_eq(archive_write_open_filename(a, "t.tar"), ARCHIVE_OK);
        archive_entry_set_pathname(entry, t->name);
        archive_entry_set_filetype(entry, t->type);
        archive_entry_set_perm(entry, (mode_t)t->mode);
        if (t->hard)
                archive_entry_set_hardlink(entry, t->link);
        else if (t->type == AE_IFLNK)
                archive_entry_set_symlink(entry, t->link);
        else if (t->type == AE_IFREG)
                archive_entry_set_size(entry, 5);
        if (t->xattr[0])
                archive_entry_xattr_add_entry(entry, t->xattr, "\1\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                                              20);
        cr_assert_eq(archive_write_header(a, entry), ARCHIVE_OK, "%s", archive_error_string(a));
        if (t->type == AE_IFREG && !t->hard)
                cr_assert_eq(archive_write_data(a, "hello", 5), 5);
        archive_entry_free(entry);
        cr_assert_eq(archive_write_close(a), ARCHIVE_OK);
        archive_write_free(a);
}

ParameterizedTestParameters(build, entries)
{
        static struct entry cases[16] = {
                {.name = "usr/bin/a", .type = AE_IFREG, .mode = 0755},
                {.name = "/abs", .type = AE_IFREG, .mode = 0755},
                {.name = "./a//b/./c", .type = AE_IFREG, .mode = 0644},
                {.name = "a/..b/...", .type = AE_IFREG, .mode = 0644},
                {.name = "link", .link = "/../../etc/passwd", .type = AE_IFLNK, .mode = 0777},
                {.name = "x", .type = AE_IFREG, .mode = 0644, .xattr = "user.a"},
                {.name = "x", .type = AE_IFREG, .mode = 0644, .xattr = "trusted.overlay.redirect"},
                {.name = "..", .type = AE_IFDIR, .mode = 0755, .error = -EBADMSG},
                {.name = "../x", .type = AE_IFREG, .mode = 0644, .error = -EBADMSG},
                {.name = "a/../../x", .type = AE_IFREG, .mode = 0644, .error = -EBADMSG},
                {.name = "hard",
                 .link = "../../etc/passwd",
                 .type = AE_IFREG,
                 .hard = true,
                 .error = -EBADMSG},
                {.name = "s", .type = AE_IFREG, .mode = 04755, .error = -EBADMSG},
                {.name = "s", .type = AE_IFREG, .mode = 02755, .error = -EBADMSG},
                {.name = "c",
                 .type = AE_IFREG,
                 .mode = 0755,
                 .xattr = "security.capability",
                 .error = -EBADMSG},
                {.name = "hard", .link = "absent", .type = AE_IFREG, .hard = true, .error = -EBADMSG},
                {.type = AE_IFREG, .mode = 0644, .error = -EBADMSG},
        };

        memset(cases[15].name, 'x', 256);
        return cr_make_param_array(struct entry, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct entry *t, build, entries)
{
        struct verity_geometry g = {};
        struct error e = {};

        write_tar(t);
        cr_expect_eq(build("t.tar", "t.img", &g, &e), t->error, "%s: %s", t->name, e.message);
        cr_expect_eq(files_here(), t->error ? 1 : 2, "nothing is left behind");
}

Test(build, overlayfs_marks_do_not_pass)
{
        const struct entry t = {
                .name = "x", .type = AE_IFREG, .mode = 0644, .xattr = "trusted.overlay.redirect"};
        struct verity_geometry g = {};
        struct error e = {};

        write_tar(&t);
        cr_assert_eq(build("t.tar", "t.img", &g, &e), 0, "%s", e.message);
        shell("dump.erofs --path=/x t.img | grep -q 'Xattr size: 0'");
}

Test(build, every_truncation_of_a_gzip_tar)
{
        struct verity_geometry g = {};
        size_t size = 0, failed = 0;
        char *data;

        shell("mkdir t && head -c 3000 /dev/urandom >t/a && tar -C t -czf t.tgz .");
        data = slurp("t.tgz", &size);
        for (size_t n = 0; n + 8 < size; n += 97) {
                put("short.tgz", data, n);
                failed += build("short.tgz", "t.img", &g, NULL) < 0;
        }
        cr_expect_eq(failed, (size - 8 + 96) / 97);
        cr_expect_eq(file_exists(AT_FDCWD, "t.img"), 0);
        free(data);
}

Test(build, sparse_files_are_filled_and_bombs_refused)
{
        struct verity_geometry g = {};
        struct error e = {};

        shell("mkdir t && truncate -s 1M t/a && echo end >>t/a && tar -C t -Scf t.tar . && test $(stat -c "
              "%%s t.tar) -lt 100000");
        cr_assert_eq(build("t.tar", "t.img", &g, &e), 0, "%s", e.message);
        shell("fsck.erofs --extract=out t.img && cmp t/a out/a");
        shell("truncate -s 10G t/a && tar -C t -Scf t.tar . && rm t.img");
        cr_expect_eq(build("t.tar", "t.img", &g, &e), -E2BIG);
        cr_expect_not_null(strstr(e.message, "holes"), "%s", e.message);
        cr_expect_eq(files_here(), 3, "nothing is left behind");
}

Test(build, no_tar_at_all)
{
        struct verity_geometry g = {};
        struct error e = {};

        put_text("text", "hello, this is no archive\n");
        cr_expect_eq(build("text", "t.img", &g, &e), -EBADMSG, "%s", e.message);
        put_text("empty", "");
        cr_expect_eq(build("empty", "t.img", &g, &e), -EBADMSG, "%s", e.message);
        cr_expect_eq(build("absent", "t.img", &g, &e), -ENOENT);
        cr_expect_eq(build("text", "nowhere/t.img", &g, &e), -ENOENT);
        cr_expect_eq(files_here(), 2);
}

Test(build, an_old_output_survives_a_failure)
{
        struct verity_geometry g = {};
        _cleanup_free_ char *text = NULL;

        put_text("t.img", "old");
        put_text("text", "no archive");
        cr_expect_lt(build("text", "t.img", &g, NULL), 0);
        text = slurp("t.img", NULL);
        cr_expect_str_eq(text, "old");
}

static void run_line(void *userdata, uint64_t done, uint64_t total)
{
        shell("%s", (const char *)userdata);
}

Test(build, a_file_that_changes_while_it_is_read)
{
        static const char *const lines[] = {"echo more >>t/a", "truncate -s 10 t/a", "chmod 600 t/a",
                                            "touch t/a"};

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                struct build_options o = {.progress = run_line, .userdata = (void *)lines[i]};
                struct verity_geometry g = {};
                struct error e = {};

                shell("rm -rf t && mkdir t && head -c 3000000 /dev/zero >t/a");
                cr_expect_eq(build_image("t", "t.img", &o, &g, &e), -EBUSY, "%s: %s", lines[i], e.message);
                cr_expect_not_null(strstr(e.message, "t/a: a file that nobody changes"), "%s", e.message);
                cr_expect_eq(files_here(), 1, "nothing is left behind");
        }
}

Test(build, the_deepest_directory)
{
        struct verity_geometry g = {};
        struct error e = {};

        shell("mkdir -m 755 -p t/$(seq -s / 257) && chmod 755 t && tar -cf t.tar --owner=0 --group=0 "
              "--mtime=@0 -C t .");
        cr_expect_eq(build("t", "t.img", &g, &e), 0, "%s", e.message);
        cr_expect_eq(build("t.tar", "tar.img", &g, &e), 0, "%s", e.message);
        shell("cmp t.img tar.img && touch t/$(seq -s / 257)/more && tar -cf t.tar -C t .");
        cr_expect_eq(build("t", "t.img", &g, &e), -E2BIG);
        cr_expect_eq(build("t.tar", "tar.img", &g, &e), -E2BIG);
}

Test(build, trees_that_are_refused)
{
        struct verity_geometry g = {};
        struct error e = {};

        shell("mkdir -p t/$(seq -s / 300)");
        cr_expect_eq(build("t", "t.img", &g, &e), -E2BIG);
        cr_expect_not_null(strstr(e.message, "at most 256 levels"), "%s", e.message);
        shell("mkdir s && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s/socket\")'");
        cr_expect_eq(build("s", "t.img", &g, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "s/socket: file, directory, link"), "%s", e.message);
        cr_expect_eq(files_here(), 2, "nothing is left behind");
}

/* Old or new, whenever the writer is killed; what it had begun has no name, but for the moment between
 * getting one and t.img. */
Test(build, killed_at_any_moment)
{
        struct verity_geometry g = {};
        size_t finished = 0;

        shell("mkdir t && head -c 30000000 /dev/urandom >t/a && tar -cf t.tar t");
        cr_assert_eq(build("t.tar", "good.img", &g, NULL), 0);
        for (unsigned i = 0; i < 40; i++) {
                put_text("t.img", "old");
                shell("timeout -s KILL %f %s/verity build t.tar -o t.img >/dev/null || test $? = 137",
                      0.001 + i * 0.003, BIN_DIR);
                shell("for f in t.img*; do test \"$(cat $f | head -c 3)\" = old || cmp $f good.img; done; rm "
                      "-f t.img.*.tmp");
                shell("test $(ls | wc -l) = 4");
                finished += file_exists(AT_FDCWD, "t.img") == 1;
        }
        cr_expect_eq(finished, 40);
}

Test(build, no_space)
{
        shell("mkdir m t && head -c 8000000 /dev/urandom >t/a && tar -cf t.tar t && unshare -m sh -c '"
              "mount -t tmpfs -o size=4m tmpfs m && echo old >m/t.img && "
              "{ %s/verity build t.tar -o m/t.img 2>message; test $? = 2; } && grep -q \"No space\" message "
              "&& "
              "{ %s/verity build t -o m/t.img 2>message; test $? = 2; } && "
              "{ %s/verity build t -o t.data --hash-file=m/t.img 2>message; test $? = 0; } && "
              "! head -c 8000000 /dev/zero >m/fill 2>/dev/null && { %s/verity build t -o t.data2 "
              "--hash-file=m/t.hash "
              "2>message; test $? = 2; } && "
              "test ! -e t.data2 && test $(ls m | wc -l) = 2'",
              BIN_DIR, BIN_DIR, BIN_DIR, BIN_DIR);
}

/* As in a chroot where nobody mounted it. The sanitizer cannot start without. */
#ifndef __SANITIZE_ADDRESS__
Test(build, without_proc)
{
        shell("mkdir t && echo 1 >t/a && %s/verity build t -o with.img && "
              "unshare -m sh -c 'mount -t tmpfs none /proc && %s/verity build t -o without.img' && "
              "cmp with.img without.img && test $(ls | wc -l) = 3",
              BIN_DIR, BIN_DIR);
}
#endif

Test(build, an_image_and_its_tree_are_two_files)
{
        const struct build_options o = {.hash_output = "./t.img"};
        struct verity_geometry g;
        struct error e = {};

        shell("mkdir t");
        cr_expect_eq(build_image("t", "t.img", &o, &g, &e), -EINVAL);
        cr_expect_not_null(strstr(e.message, "another file than t.img expected"), "%s", e.message);
        shell("test $(ls) = t");
}

Test(build, geometry_is_read_back)
{
        const struct image_file_options options = {.hash_offset = IMAGE_FILE_NO_OFFSET};
        _cleanup_(image_file_done) struct image_file i = IMAGE_FILE_NONE;
        struct verity_geometry g = {};
        struct error e = {};

        make_tree();
        cr_assert_eq(build("t", "t.img", &g, &e), 0, "%s", e.message);
        cr_assert_eq(image_file_open("t.img", &options, &i, &e), 0, "%s", e.message);
        cr_expect_eq(i.geometry.root_hash_size, 0, "a root hash is never read from the image");
        cr_expect_eq(memcmp(i.uuid, g.root_hash, sizeof(i.uuid)), 0);
        cr_expect_str_eq(i.geometry.algorithm, g.algorithm);
        cr_expect_eq(i.geometry.data_blocks, g.data_blocks);
        cr_expect_eq(i.geometry.hash_offset, g.hash_offset);
        cr_expect_eq(i.geometry.salt_size, g.salt_size);
}
