/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/process.h"

static char dir[] = "/tmp/test-base-XXXXXX";

static void enter_directory(void)
{
        cr_assert_not_null(mkdtemp(dir));
        cr_assert_eq(chdir(dir), 0);
}

static void leave_directory(void)
{
        char *argv[] = {(char *)"rm", (char *)"-rf", dir, NULL};

        cr_assert_eq(process_check(argv, NULL, NULL), 0);
}

/* --- escape --- */

Test(escape, text_from_strangers)
{
        static const struct {
                const char *text, *shown;
        } cases[] = {
                {"", ""},
                {"plain name", "plain name"},
                {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x94\x92", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x94\x92"},
                {"\x1b[31m\n\t\x7f", "\\x1b[31m\\x0a\\x09\\x7f"},
                {"\\x41", "\\x5cx41"},
                {"\xc2\x9b", "\\xc2\\x9b"},                   /* a control character beyond ASCII */
                {"\xc0\xaf", "\\xc0\\xaf"},                   /* longer than need be */
                {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},          /* the same */
                {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* half of a pair of UTF-16 */
                {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* above the last character */
                {"\xc3", "\\xc3"},                            /* cut off */
                {"\xe2\x82", "\\xe2\\x82"},
                {"\xf0\x9f\x94", "\\xf0\\x9f\\x94"},
                {"\xff\xfe", "\\xff\\xfe"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *shown = escape_text(cases[i].text);

                cr_expect_str_eq(shown, cases[i].shown, "%zu", i);
        }
}

/* --- hex --- */

Test(hex, round_trip)
{
        const uint8_t bytes[] = {0x00, 0x7f, 0x80, 0xff};
        uint8_t again[4];
        char text[9];

        hex_encode(bytes, sizeof(bytes), text);
        cr_expect_str_eq(text, "007f80ff");
        cr_expect_eq(hex_decode(text, again, 4), 0);
        cr_expect_eq(memcmp(bytes, again, 4), 0);
        cr_expect_eq(hex_decode("007F80FF", again, 4), 0, "both cases are read");
}

Test(hex, refuses)
{
        static const char *const bad[] = {"",     "0",    "00",   "00000", "000000",
                                          "zz00", "0x00", "00 0", "00\n0", "+1-1"};
        uint8_t out[2] = {0xaa, 0xaa};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                cr_expect_eq(hex_decode(bad[i], out, 2), -EINVAL, "%s", bad[i]);
}

/* --- files --- */

Test(file, atomic_write_replaces_and_leaves_nothing, .init = enter_directory, .fini = leave_directory)
{
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t n = 0;
        DIR *d;

        cr_assert_eq(write_file_atomic(AT_FDCWD, "f", "old", 3, 0600, NULL), 0);
        cr_assert_eq(write_file_atomic(AT_FDCWD, "f", "newer", 5, 0640, NULL), 0);
        cr_assert_eq(read_file(AT_FDCWD, "f", 100, &text, &n, NULL), 0);
        cr_expect_str_eq(text, "newer");
        cr_expect_eq(n, 5);
        cr_assert_eq(stat("f", &st), 0);
        cr_expect_eq(st.st_mode & 07777, 0640);
        d = opendir(".");
        n = 0;
        while (readdir(d))
                n++;
        closedir(d);
        cr_expect_eq(n, 3, "., .. and the file");
}

Test(file, new_file_never_replaces, .init = enter_directory, .fini = leave_directory)
{
        _cleanup_free_ char *text = NULL;
        struct error e = {};

        cr_assert_eq(write_file_new(AT_FDCWD, "f", "old", 3, 0600, NULL), 0);
        cr_expect_eq(write_file_new(AT_FDCWD, "f", "new", 3, 0600, &e), -EEXIST);
        cr_expect_not_null(strstr(e.message, "f"));
        cr_assert_eq(read_file(AT_FDCWD, "f", 100, &text, NULL, NULL), 0);
        cr_expect_str_eq(text, "old");
}

Test(file, read_has_limits, .init = enter_directory, .fini = leave_directory)
{
        struct error e = {};
        char *text = NULL;
        size_t n = 0;

        cr_assert_eq(write_file_atomic(AT_FDCWD, "f", "a\0b", 3, 0600, NULL), 0);
        cr_expect_eq(read_file(AT_FDCWD, "f", 2, &text, &n, &e), -EFBIG);
        cr_expect_eq(read_file(AT_FDCWD, "f", 100, &text, NULL, &e), -EINVAL, "a NUL in text");
        cr_expect_eq(read_file(AT_FDCWD, "absent", 100, &text, &n, &e), -ENOENT);
        cr_expect_not_null(strstr(e.message, "absent"));
        cr_expect_null(text, "outputs are written on success only");
        cr_assert_eq(read_file(AT_FDCWD, "f", 3, &text, &n, NULL), 0);
        cr_expect_eq(n, 3);
        free(text);
        cr_assert_eq(read_file(AT_FDCWD, "/proc/self/status", 1 << 16, &text, &n, NULL), 0,
                     "a file without a size");
        cr_expect_gt(n, 100);
        free(text);
}

Test(file, exists, .init = enter_directory, .fini = leave_directory)
{
        cr_assert_eq(symlink("nowhere", "link"), 0);
        cr_expect_eq(file_exists(AT_FDCWD, "link"), 1, "a dangling link is there");
        cr_expect_eq(file_exists(AT_FDCWD, "absent"), 0);
        cr_expect_lt(file_exists(AT_FDCWD, "link/below"), 1);
}

Test(file, positioned_reads_end_early, .init = enter_directory, .fini = leave_directory)
{
        _cleanup_close_ int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        char buf[8];

        cr_assert_eq(pwrite_full(fd, "12345678", 8, 4), 0);
        cr_expect_eq(pread_full(fd, buf, 8, 4), 0);
        cr_expect_eq(memcmp(buf, "12345678", 8), 0);
        cr_expect_eq(pread_full(fd, buf, 8, 5), -EIO);
}

Test(file, directories_are_made_once, .init = enter_directory, .fini = leave_directory)
{
        cr_expect_eq(make_directories("a/b/c", 0700, NULL), 0);
        cr_expect_eq(make_directories("a/b/c", 0700, NULL), 0);
        cr_expect_eq(file_exists(AT_FDCWD, "a/b/c"), 1);
        cr_assert_eq(write_file_new(AT_FDCWD, "a/f", "", 0, 0600, NULL), 0);
        cr_expect_lt(make_directories("a/f/d", 0700, NULL), 0);
}

/* --- JSON --- */

Test(json, fields)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *sub = NULL;
        struct error e = {};
        const char *s = NULL;
        uint64_t n = 0;

        cr_assert_eq(json_parse("t", "{\"s\":\"x\",\"n\":18446744073709551615,\"o\":{},\"a\":[1]}", &v, &e),
                     0);
        cr_expect_eq(json_string(v, "t", "s", &s, &e), 0);
        cr_expect_str_eq(s, "x");
        cr_expect_eq(json_unsigned(v, "t", "n", UINT64_MAX, &n, &e), 0);
        cr_expect_eq(n, UINT64_MAX);
        cr_expect_eq(json_unsigned(v, "t", "n", 10, &n, &e), -ERANGE);
        cr_expect_eq(json_object(v, "t", "o", &sub, &e), 0);
        cr_expect_eq(json_array(v, "t", "a", &sub, &e), 0);
        cr_expect_eq(json_string(v, "t", "n", &s, &e), -EINVAL);
        cr_expect_not_null(strstr(e.message, "\"n\""), "the message names the field");
        cr_expect_eq(json_string(v, "t", "absent", &s, &e), -EINVAL);
}

Test(json, bad_text_names_the_place)
{
        static const char *const bad[] = {"", "{", "{\"a\":}", "[1,]", "{\"a\":1}x", "\"\\u0000\"", "nul"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_json_ sd_json_variant *v = NULL;
                struct error e = {};

                cr_expect_lt(json_parse("name.json", bad[i], &v, &e), 0, "%s", bad[i]);
                cr_expect_eq(strncmp(e.message, "name.json:", 10), 0, "%s", e.message);
        }
}

static int parse_many(const char *item, size_t n, struct error *e)
{
        size_t size = strlen(item);
        _cleanup_free_ char *text = malloc(n * size + sizeof("[1]"));
        _cleanup_json_ sd_json_variant *v = NULL;
        char *to = text;

        cr_assert_not_null(text);
        *to++ = '[';
        for (size_t i = 0; i < n; i++)
                to = mempcpy(to, item, size);
        (void)stpcpy(to, "1]");
        return json_parse("many", text, &v, e);
}

Test(json, values_are_bounded)
{
        struct error e = {};

        cr_expect_eq(parse_many("1,", JSON_VALUES_MAX - 1, &e), 0, "%s", e.message);
        cr_expect_eq(parse_many("1,", JSON_VALUES_MAX, &e), -E2BIG);
        cr_expect_not_null(strstr(e.message, "many: at most 262144 values"), "%s", e.message);
        cr_expect_eq(parse_many("{\"a\":1},", JSON_VALUES_MAX / 2, &e), -E2BIG);
        cr_expect_eq(parse_many("\",,,\\\",,,\",", JSON_VALUES_MAX / 4, &e), 0, "%s", e.message);
}

Test(json, depth_is_bounded)
{
        char *deep = calloc(1, 100001);
        struct error e = {};
        sd_json_variant *v = NULL;

        memset(deep, '[', 100000);
        cr_expect_lt(json_parse("deep", deep, &v, &e), 0);
        free(deep);
}

/* --- processes --- */

Test(process, status_and_output)
{
        char *argv[] = {(char *)"sh", (char *)"-c", (char *)"echo out; echo err >&2; exit 7", NULL};
        struct process_result result = {};
        struct error e = {};

        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        cr_expect_eq(result.status, 7);
        cr_expect_str_eq(result.output, "out\nerr\n");
        free(result.output);
        cr_expect_eq(process_check(argv, NULL, &e), -EPROTO);
        cr_expect_not_null(strstr(e.message, "found 7: err"), "%s", e.message);
}

Test(process, signal_is_128_and_its_number)
{
        char *argv[] = {(char *)"sh", (char *)"-c", (char *)"kill -9 $$", NULL};
        struct process_result result = {};

        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        cr_expect_eq(result.status, 128 + 9);
        free(result.output);
}

Test(process, deadline)
{
        char *argv[] = {(char *)"sleep", (char *)"30", NULL};
        struct process_options o = {.timeout_ms = 50};
        struct process_result result = {};

        cr_expect_eq(process_run(argv, &o, &result, NULL), -ETIMEDOUT);
}

Test(process, descriptors_are_closed_but_those_kept)
{
        _cleanup_close_ int leaked = open("/dev/null", O_RDONLY), kept = open("/dev/zero", O_RDONLY);
        char *argv[] = {(char *)"sh", (char *)"-c", (char *)"readlink /proc/self/fd/3; ls /proc/self/fd",
                        NULL};
        struct process_options o = {.keep_fds = &kept, .n_keep = 1};
        struct process_result result = {};

        cr_assert_eq(process_run(argv, &o, &result, NULL), 0);
        cr_expect_str_eq(result.output, "/dev/zero\n0\n1\n2\n3\n4\n", "4 is the directory that ls reads");
        free(result.output);
}

Test(process, output_is_bounded)
{
        char *argv[] = {(char *)"sh", (char *)"-c", (char *)"head -c 1000000 /dev/zero | tr '\\0' x", NULL};
        struct process_result result = {};

        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        cr_expect_eq(strlen(result.output), 64 * 1024);
        free(result.output);
}
