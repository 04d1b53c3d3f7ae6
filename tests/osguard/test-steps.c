/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What osguard decides, without a boot. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "osguard/osguard.h"

Test(cmdline, equal)
{
        cr_expect_eq(cmdline_check("a b=c\n", "a b=c", NULL), 0);
        cr_expect_eq(cmdline_check("a b=c", "a b=c", NULL), 0);
}

struct line {
        char found[64];
};

ParameterizedTestParameters(cmdline, different)
{
        static struct line lines[] = {{"a b=c \n"}, {"a b=c d\n"}, {"a b=\n"},    {"\n"},
                                      {""},         {" a b=c\n"},  {"a b=c\n\n"}, {"a B=c\n"}};

        return cr_make_param_array(struct line, lines, sizeof(lines) / sizeof(lines[0]));
}

ParameterizedTest(struct line *l, cmdline, different)
{
        struct error e = {};

        cr_expect_eq(cmdline_check(l->found, "a b=c", &e), -EPERM, "\"%s\" must differ", l->found);
        cr_expect(strstr(e.message, "expected"));
}

#define HASH "00000000000000000000000000000000000000000000000000000000000000ff"
#define UUID "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"

static const char good[] =
        "{\"version\":1,\"name\":\"holdfast\",\"variant\":\"prod\",\"security_version\":3,\"cmdline\":\"a "
        "b\","
        "\"root\":{\"partition_uuid\":\"" UUID "\",\"verity_partition_uuid\":\"" UUID
        "\",\"signature_partition_uuid\":\"" UUID "\","
        "\"root_hash\":\"" HASH "\",\"algorithm\":\"sha256\",\"salt\":\"" HASH "\",\"data_block_size\":4096,"
        "\"hash_block_size\":4096,\"data_size\":40960,\"hash_offset\":0},"
        "\"policies\":{\"ipe_boot\":{\"name\":\"b\",\"version\":\"1.0.0\",\"sha256\":\"" HASH "\"},"
        "\"ipe_host\":{\"name\":\"h\",\"version\":\"1.2.3\",\"sha256\":\"" HASH
        "\"},\"selinux\":{\"sha256\":\"" HASH "\"}},"
        "\"modules\":[\"erofs\",\"loop\"]}";

Test(image, good)
{
        _cleanup_(image_done) struct image image = {};
        struct error e = {};

        cr_assert_eq(image_parse(good, strlen(good), &image, &e), 0, "%s", e.message);
        cr_expect_str_eq(image.variant, "prod");
        cr_expect_eq(image.security_version, 3);
        cr_expect_str_eq(image.cmdline, "a b");
        cr_expect_eq(image.root.data_blocks, 10);
        cr_expect_eq(image.ipe_host.version[1], 2);
        cr_expect_str_eq(image.modules[1], "loop");
        cr_expect_null(image.modules[2]);
}

struct change {
        char from[48], to[64];
};

/* Each change to the good text must be refused. */
ParameterizedTestParameters(image, bad)
{
        static struct change changes[] = {
                {"\"version\":1", "\"version\":2"},
                {"\"version\":1", "\"version\":0"},
                {"\"version\":1", "\"version\":\"1\""},
                {"\"prod\"", "\"production\""},
                {"\"variant\"", "\"other\""},
                {"\"security_version\":3", "\"security_version\":-1"},
                {"\"security_version\":3", "\"security_version\":99999999999"},
                {"\"cmdline\":\"a b\"", "\"cmdline\":5"},
                {"\"partition_uuid\":\"4f68", "\"partition_uuid\":\"4F68"},
                {"\"partition_uuid\":\"4f68", "\"partition_uuid\":\"../68"},
                {"\"algorithm\":\"sha256\"", "\"algorithm\":\"md5\""},
                {"\"data_size\":40960", "\"data_size\":40961"},
                {"\"data_size\":40960", "\"data_size\":0"},
                {"\"data_block_size\":4096", "\"data_block_size\":4095"},
                {"\"root_hash\":\"00", "\"root_hash\":\"zz"},
                {"\"root_hash\":\"00", "\"root_hash\":\""},
                {"\"1.0.0\"", "\"1.0\""},
                {"\"1.0.0\"", "\"1.0.0x\""},
                {"[\"erofs\"", "[7"},
                {"\"modules\":[", "\"modules\":{"},
                {"}", ""},
        };

        return cr_make_param_array(struct change, changes, sizeof(changes) / sizeof(changes[0]));
}

ParameterizedTest(struct change *c, image, bad)
{
        const char *at = strstr(good, c->from);
        struct image image = {};
        struct error e = {};
        char text[4096];

        cr_assert(at, "%s", c->from);
        (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, c->to, at + strlen(c->from));
        cr_expect_lt(image_parse(text, strlen(text), &image, &e), 0, "%s", text);
        cr_expect(e.message[0], "a message for %s", c->to);
}

Test(image, nul_inside)
{
        struct image image = {};

        cr_expect_eq(image_parse("{}\0", 3, &image, NULL), -EINVAL);
}

Test(directory, emptied_but_not_across_mounts)
{
        char path[] = "/tmp/osguard-test-XXXXXX";
        struct error e = {};
        int fd;

        cr_assert(mkdtemp(path));
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(fd, 0);
        cr_assert_eq(mkdirat(fd, "a", 0755), 0);
        cr_assert_eq(mkdirat(fd, "a/b", 0755), 0);
        cr_assert_eq(mkdirat(fd, "m", 0755), 0);
        cr_assert_eq(write_file_atomic(fd, "a/b/file", "x", 1, 0600, &e), 0, "%s", e.message);
        cr_assert_eq(symlinkat("/etc", fd, "link"), 0);
        cr_assert_eq(fchdir(fd), 0);
        cr_assert_eq(mount("tmpfs", "m", "tmpfs", 0, NULL), 0);
        cr_assert_eq(write_file_atomic(fd, "m/kept", "x", 1, 0600, &e), 0, "%s", e.message);
        cr_expect_eq(directory_empty(fd, &e), 0, "%s", e.message);
        cr_expect_eq(file_exists(fd, "a"), 0);
        cr_expect_eq(file_exists(fd, "link"), 0);
        cr_expect_eq(file_exists(fd, "m/kept"), 1);
        cr_expect_eq(file_exists(AT_FDCWD, "/etc/passwd"), 1);
        cr_expect_eq(umount("m"), 0);
        close(fd);
}
