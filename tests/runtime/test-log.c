/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/group/log.h"

static char directory[] = "/tmp/test-log-XXXXXX", path[64], previous[64];
static struct log_line line;

static void begin(void)
{
        cr_assert_not_null(mkdtemp(directory));
        (void)snprintf(path, sizeof(path), "%s/c.log", directory);
        (void)snprintf(previous, sizeof(previous), "%s/c.log.1", directory);
}

static void end(void)
{
        (void)unlink(path);
        (void)unlink(previous);
        (void)rmdir(directory);
}

static void append(enum log_stream stream, const char *text, size_t n)
{
        cr_assert_eq(log_append(path, stream, &line, text, n), 0);
}

static const char *text_at(sd_json_variant *list, size_t i, const char *field)
{
        return sd_json_variant_string(sd_json_variant_by_key(sd_json_variant_by_index(list, i), field));
}

TestSuite(log, .init = begin, .fini = end);

Test(log, lines)
{
        _cleanup_json_ sd_json_variant *list = NULL, *rest = NULL;
        struct log_position position = {};

        cr_assert_eq(log_read(path, &position, NULL, 0, &list), 0);
        cr_assert_eq(sd_json_variant_elements(list), 0, "no file is no error");
        list = sd_json_variant_unref(list);
        append(LOG_STDOUT, "one\ntw", 6);
        append(LOG_STDOUT, "o\n\nhalf", 7);
        cr_assert_eq(log_read(path, &position, NULL, 0, &list), 0);
        cr_assert_eq(sd_json_variant_elements(list), 3);
        cr_assert_str_eq(text_at(list, 0, "text"), "one");
        cr_assert_str_eq(text_at(list, 1, "text"), "two");
        cr_assert_str_eq(text_at(list, 2, "text"), "");
        cr_assert_str_eq(text_at(list, 0, "stream"), "stdout");
        cr_assert_eq(strlen(text_at(list, 0, "time")), strlen("2026-01-01T00:00:00.000000000Z"));
        cr_assert_eq(log_finish(path, LOG_STDERR, &line), 0);
        cr_assert_eq(log_read(path, &position, NULL, 0, &rest), 0);
        cr_assert_eq(sd_json_variant_elements(rest), 1, "only what is new");
        cr_assert_str_eq(text_at(rest, 0, "text"), "half");
        cr_assert_str_eq(text_at(rest, 0, "stream"), "stderr");
}

Test(log, hostile_bytes)
{
        static const char bytes[] = "a\0b\xff\xc0\x80\xed\xa0\x80\xf0\x9f\x8e\x89\n";
        _cleanup_json_ sd_json_variant *list = NULL;
        struct log_position position = {};

        append(LOG_STDOUT, bytes, sizeof(bytes) - 1);
        cr_assert_eq(log_read(path, &position, NULL, 0, &list), 0);
        cr_assert_str_eq(
                text_at(list, 0, "text"),
                "a\xef\xbf\xbd"
                "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x8e\x89");
}

/* A flood keeps to its bound, and a reader that keeps up loses nothing across the change of files. */
Test(log, a_flood_is_bounded, .timeout = 60)
{
        struct log_position position = {};
        uint64_t expected = 0;
        struct stat st;

        for (unsigned i = 0; i < 60000; i++) {
                char text[128];
                int n = snprintf(text, sizeof(text), "%u %0100d\n", i, 0);

                append(LOG_STDOUT, text, (size_t)n);
                while (i % 500 == 499) {
                        _cleanup_json_ sd_json_variant *list = NULL;
                        size_t k;

                        cr_assert_eq(log_read(path, &position, NULL, 65536, &list), 0);
                        k = sd_json_variant_elements(list);
                        if (k == 0)
                                break;
                        for (size_t j = 0; j < k; j++)
                                cr_assert_eq(strtoull(text_at(list, j, "text"), NULL, 10), expected++);
                }
        }
        cr_assert_eq(expected, 60000);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_leq((uint64_t)st.st_size, LOG_SIZE_MAX);
        cr_assert_eq(stat(previous, &st), 0);
        cr_assert_leq((uint64_t)st.st_size, LOG_SIZE_MAX);
}

Test(log, long_lines_come_in_parts)
{
        static char text[3 * LOG_LINE_MAX];
        _cleanup_json_ sd_json_variant *list = NULL;
        struct log_position position = {};

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\n';
        append(LOG_STDOUT, text, sizeof(text));
        cr_assert_eq(log_read(path, &position, NULL, 0, &list), 0);
        cr_assert_eq(sd_json_variant_elements(list), 3);
        cr_assert_eq(strlen(text_at(list, 2, "text")), LOG_LINE_MAX - 1);
}

Test(log, the_last_lines)
{
        struct log_position position;

        cr_assert_eq(log_seek_tail(path, 3, &position), 0, "no file is no error");
        append(LOG_STDOUT, "1\n2\n", 4);
        cr_assert_eq(rename(path, previous), 0);
        append(LOG_STDOUT, "3\n4\n5\n", 6);
        for (size_t n = 0; n <= 7; n++) {
                _cleanup_json_ sd_json_variant *list = NULL;
                size_t expected = n < 5 ? n : 5, found = 0;

                cr_assert_eq(log_seek_tail(path, n, &position), 0);
                for (bool more = true; more; found += more ? sd_json_variant_elements(list) : 0) {
                        list = sd_json_variant_unref(list);
                        cr_assert_eq(log_read(path, &position, NULL, 0, &list), 0);
                        more = sd_json_variant_elements(list) > 0;
                        if (more && found == 0)
                                cr_assert_eq(text_at(list, 0, "text")[0], (char)('6' - expected));
                }
                cr_assert_eq(found, expected, "%zu of the last %zu", found, n);
        }
}

/* Lines that the filter leaves out are passed over at once, in both files. */
Test(log, by_time)
{
        static const char lines[] = "2026-01-01T00:00:01.500000000Z stdout F a\n"
                                    "2026-01-01T00:00:02.000000000Z stdout F b\n"
                                    "2026-01-01T00:00:03.000000001Z stdout F c\n";
        const uint64_t base = UINT64_C(1767225600) * 1000000;
        struct log_filter filter = {.since_us = base + 2000000, .until_us = base + 3000000};
        _cleanup_json_ sd_json_variant *list = NULL, *rest = NULL;
        struct log_position position = {};
        FILE *f = fopen(previous, "we");

        cr_assert_not_null(f);
        cr_assert_geq(fputs(lines, f), 0);
        cr_assert_eq(fclose(f), 0);
        append(LOG_STDOUT, "now\n", 4);
        cr_assert_eq(log_read(path, &position, &filter, 0, &list), 0);
        cr_assert_eq(sd_json_variant_elements(list), 1);
        cr_assert_str_eq(text_at(list, 0, "text"), "b");
        position = (struct log_position){};
        filter = (struct log_filter){.since_us = base + 4000000};
        cr_assert_eq(log_read(path, &position, &filter, 0, &rest), 0);
        cr_assert_eq(sd_json_variant_elements(rest), 1);
        cr_assert_str_eq(text_at(rest, 0, "text"), "now");
}
