/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two images: each kind of difference once, and what the exit status says. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/process.h"
#include "scratch.h"

static void set_up(void)
{
        scratch_enter();
        cr_assert_eq(setenv("PATH", BIN_DIR ":/usr/sbin:/usr/bin:/sbin:/bin", 1), 0);
        shell("mkdir -p a/d/e a/d-e a/old/deep && seq 1 5000 >a/f && ln -s f a/l && echo x >a/d/e/x && "
              "echo y >a/d-e/y && touch a/old/deep/z && mkfifo a/p && truncate -s 1M a/hole && "
              "cp -a a b");
}

TestSuite(diff, .init = set_up, .fini = scratch_leave);

/* Exit status and output of diff after this change of b. */
static void expect_diff(const char *change, const char *mkfs, int status, const char *says)
{
        char line[600];
        char *argv[] = {(char *)"sh", (char *)"-c", line, NULL};
        struct process_result result = {};

        (void)snprintf(line, sizeof(line),
                       "exec 2>&1; cd b && %s && cd .. && mkfs.erofs --quiet %s a.img a && "
                       "mkfs.erofs --quiet %s b.img b && verity diff a.img b.img",
                       change, mkfs, mkfs);
        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        cr_expect_eq(result.status, status, "%s: exit status %d expected, found %d: %s", change, status,
                     result.status, result.output);
        cr_expect(says[0] ? strstr(result.output, says) != NULL : result.output[0] == '\0',
                  "%s: \"%s\" expected, found: %s", change, says, result.output);
        free(result.output);
}

struct change {
        char line[64];
        char says[96];
};

ParameterizedTestParameters(diff, changes)
{
        static struct change cases[] = {
                {"true", ""},
                {"touch -r f new", "added   /new\n"},
                {"rm f", "removed /f\n"},
                {"rm -r old", "removed /old/\n"},
                {"rm d/e/x", "removed /d/e/x\n"},
                {"rm p && mkdir p", "changed /p: type 010644 -> 040755\n"},
                {"chmod 600 f", "changed /f: mode 100644 -> 100600\n"},
                {"chown -h 1:2 l", "changed /l: owner 0:0 -> 1:2\n"},
                {"touch -d @1 f", "changed /f: mtime\n"},
                {"ln -sfn d l", "changed /l: target\n"},
                {"sed -i s/4999/4998/ f", "changed /f: content\n"},
                {"echo >>f", "changed /f: size 23893 -> 23894, content\n"},
                {"printf 1 | dd of=hole bs=1 seek=500000 conv=notrunc", "changed /hole: content\n"},
                {"rm p && mknod p c 1 3", "changed /p: type 010644 -> 020644\n"},
                {"printf '' >\"$(printf 'a\\033b')\"", "added   /a\\x1bb\n"},
        };

        return cr_make_param_array(struct change, cases, ELEMENTSOF(cases));
}

/* Times differ only where the case is about them. */
ParameterizedTest(struct change *c, diff, changes)
{
        const char *times = strstr(c->says, "mtime") ? "" : "-T0";

        expect_diff(c->line, times, c->says[0] ? 1 : 0, c->says);
        if (strcmp(times, "-T0") == 0) {
                shell("rm -r b && cp -a a b");
                expect_diff(c->line, "-T0 --chunksize=4096", c->says[0] ? 1 : 0, c->says);
        }
}

Test(diff, extended_attributes)
{
        cr_assert_eq(setxattr("a/f", "user.note", "1", 1, 0), 0);
        cr_assert_eq(setxattr("b/f", "user.note", "2", 1, 0), 0);
        expect_diff("true", "-T0", 1, "changed /f: xattrs\n");
        cr_assert_eq(setxattr("b/f", "user.note", "1", 1, 0), 0);
        expect_diff("true", "-T0 -x9", 0, "");
        cr_assert_eq(removexattr("b/f", "user.note"), 0);
        expect_diff("true", "-T0", 1, "changed /f: xattrs\n");
}

Test(diff, compressed_content_is_not_taken_for_the_same)
{
        expect_diff("true", "-T0 -zlz4", 2, "compressed files of the same size");
        expect_diff("chmod 600 f", "-T0 -zlz4", 1, "changed /f: mode");
}

Test(diff, an_image_of_ours_and_one_of_mkfs)
{
        shell("verity build a -o ours.img && mkfs.erofs --quiet -T0 theirs.img a && "
              "verity diff ours.img theirs.img");
        shell("verity rootfs a -o disk.raw && verity diff ours.img disk.raw");
}

Test(diff, json_tells_all)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *differences = NULL;
        uint64_t n = 0;

        shell("verity build a -o a.img && rm -r b/old && chmod 600 b/f && touch b/new && verity build b -o "
              "b.img");
        text = shell_output("verity diff a.img b.img --json=short || test $? = 1");
        cr_assert_eq(json_parse("json", text, &v, NULL), 0, "%s", text);
        cr_expect_eq(json_unsigned(v, "json", "added", 9, &n, NULL), 0);
        cr_expect_eq(n, 1);
        cr_expect_eq(json_unsigned(v, "json", "removed", 9, &n, NULL), 0);
        cr_expect_eq(n, 3);
        cr_expect_eq(json_unsigned(v, "json", "changed", 9, &n, NULL), 0);
        cr_expect_eq(n, 1);
        cr_assert_eq(json_array(v, "json", "differences", &differences, NULL), 0);
        cr_expect_eq(sd_json_variant_elements(differences), 5);
}

Test(diff, what_is_no_image)
{
        shell("mkfs.erofs --quiet a.img a; verity diff a.img a/f; test $? = 1; verity diff a.img absent; "
              "test $? = 2; "
              "verity diff a.img; test $? = 2");
}
