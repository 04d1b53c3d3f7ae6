/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `verity inspect` says of our images, of others, of disks and of what is none. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "scratch.h"

static void set_up(void)
{
        scratch_enter();
        cr_assert_eq(setenv("PATH", BIN_DIR ":/usr/sbin:/usr/bin:/sbin:/bin", 1), 0);
        shell("mkdir -p t/d && seq 1 5000 >t/f && ln t/f t/d/again && ln -s f t/l && mkfifo t/p && "
              "verity build t -o t.img >hash");
}

TestSuite(inspect, .init = set_up, .fini = scratch_leave);

/* The object `part` of what inspect says. */
static sd_json_variant *inspect(const char *arguments, const char *part, sd_json_variant **ret_whole)
{
        _cleanup_free_ char *text = shell_output("verity inspect %s --json=short", arguments);

        cr_assert_eq(json_parse(arguments, text, ret_whole, NULL), 0, "%s", text);
        return sd_json_variant_by_key(*ret_whole, part);
}

static uint64_t number(sd_json_variant *v, const char *field)
{
        struct error e = {};
        uint64_t n = 0;

        cr_assert_eq(json_unsigned(v, "inspect", field, UINT64_MAX, &n, &e), 0, "%s", e.message);
        return n;
}

Test(inspect, our_image)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *erofs = inspect("t.img", "erofs", &v), *verity = sd_json_variant_by_key(v, "verity");
        const char *s = NULL;

        cr_assert_eq(json_string(erofs, "inspect", "profile", &s, NULL), 0);
        cr_expect_str_eq(s, "holdfast-erofs-1");
        cr_expect_eq(number(erofs, "inodes"), 5);
        cr_expect_eq(number(erofs, "files"), 1);
        cr_expect_eq(number(erofs, "directories"), 2);
        cr_expect_eq(number(erofs, "links"), 1);
        cr_expect_eq(number(erofs, "special"), 1);
        cr_expect_eq(number(erofs, "content"), 23893);
        cr_expect_eq(number(erofs, "privileged"), 0);
        cr_expect(sd_json_variant_boolean(sd_json_variant_by_key(erofs, "fit")));
        cr_expect_eq(number(verity, "hash_offset"), number(erofs, "size"));
        cr_expect_null(sd_json_variant_by_key(verity, "root_hash"), "it is not the image's to say");
        cr_expect_null(sd_json_variant_by_key(v, "disk"));
}

Test(inspect, an_image_that_was_ours_is_not_any_more)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *erofs;

        /* The owner of the root: 64 bytes and 24 into the metadata, which is the last block. */
        shell("printf '\\1' | dd of=t.img bs=1 seek=$(( $(verity inspect t.img --json=short | "
              "sed 's/.*\"hash_offset\":\\([0-9]*\\).*/\\1/') - 4096 + 88 )) conv=notrunc");
        erofs = inspect("t.img", "erofs", &v);
        cr_expect_eq(number(erofs, "inodes"), 5);
        cr_expect_null(sd_json_variant_by_key(erofs, "profile"));
}

Test(inspect, an_image_of_mkfs_without_a_tree)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *erofs, *paths;
        const char *s = NULL;

        shell("chmod u+s t/f && mkfs.erofs --quiet -zlz4 m.img t");
        erofs = inspect("m.img", "erofs", &v);
        cr_expect_null(sd_json_variant_by_key(erofs, "profile"));
        cr_expect_null(sd_json_variant_by_key(v, "verity"));
        cr_expect_eq(number(erofs, "compressed"), 1);
        cr_expect_eq(number(erofs, "privileged"), 1);
        paths = sd_json_variant_by_key(erofs, "privileged_paths");
        cr_expect_str_eq(sd_json_variant_string(sd_json_variant_by_index(paths, 0)), "d/again");
        cr_assert_eq(json_string(erofs, "inspect", "unfit_because", &s, NULL), 0);
        cr_expect_not_null(strstr(s, "/d/again: a file without setuid"), "%s", s);
}

Test(inspect, a_disk)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *disk, *partitions = NULL;

        shell("verity rootfs t -o disk.raw");
        disk = inspect("disk.raw", "disk", &v);
        cr_assert_eq(json_array(disk, "inspect", "partitions", &partitions, NULL), 0);
        cr_expect_eq(sd_json_variant_elements(partitions), 2);
        cr_expect_eq(number(sd_json_variant_by_key(v, "erofs"), "inodes"), 5);
        cr_expect_eq(number(sd_json_variant_by_key(v, "verity"), "hash_offset"),
                     number(sd_json_variant_by_index(partitions, 1), "offset"));
}

Test(inspect, a_tree_over_something_else)
{
        _cleanup_json_ sd_json_variant *v = NULL;

        shell("head -c 81920 /dev/zero >data && verity format data --hash-file=tree --hash=sha512 "
              ">/dev/null");
        cr_expect_eq(number(inspect("data --hash-file=tree", "verity", &v), "data_size"), 81920);
        cr_expect_null(sd_json_variant_by_key(v, "erofs"));
}

Test(inspect, what_is_none)
{
        shell("head -c 81920 /dev/zero >data; verity inspect data 2>m; test $? = 1 && grep -q magic m");
        shell("verity inspect absent; test $? = 2");
        shell("verity inspect t; test $? = 2");
        shell("verity inspect t.img --hash-offset=0 2>m; test $? = 1 && grep -q 'at offset 0' m");
        shell("head -c 3000 t.img >short; verity inspect short 2>m; test $? = 1 && grep -q EROFS m");
}
