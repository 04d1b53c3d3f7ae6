/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "runtime/group/internal.h"

static char directory[] = "/tmp/test-usage-XXXXXX";

static void begin(void)
{
        cr_assert_not_null(mkdtemp(directory));
}

static void end(void)
{
        cr_assert_eq(remove_tree(directory, NULL), 0);
}

TestSuite(usage, .init = begin, .fini = end);

static void put(const char *file, const char *text)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s", directory, file);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

Test(usage, of_a_cgroup)
{
        struct usage usage;

        cr_assert_eq(usage_read(directory, &usage), -ENOENT);
        put("cpu.stat", "core_sched.force_idle_usec 9\nusage_usec 1234567\nuser_usec 1\n");
        put("memory.current", "1048576\n");
        put("memory.max", "max\n");
        put("pids.current", "3\n");
        cr_assert_eq(usage_read(directory, &usage), 0);
        cr_assert_eq(usage.cpu_us, 1234567);
        cr_assert_eq(usage.memory, 1048576);
        cr_assert_eq(usage.memory_max, UINT64_MAX);
        cr_assert_eq(usage.processes, 3);
        put("memory.max", "2097152\n");
        cr_assert_eq(usage_read(directory, &usage), 0);
        cr_assert_eq(usage.memory_max, 2097152);
}

Test(usage, of_something_else)
{
        static const char *const damages[][2] = {{"cpu.stat", "usage_usec\n"},
                                                 {"cpu.stat", "user_usec 1\n"},
                                                 {"cpu.stat", ""},
                                                 {"memory.current", ""},
                                                 {"memory.current", "-1\n"},
                                                 {"pids.current", "99999999999999999999\n"}};
        struct usage usage;

        for (size_t i = 0; i < ELEMENTSOF(damages); i++) {
                put("cpu.stat", "usage_usec 1\n");
                put("memory.current", "1\n");
                put("memory.max", "1\n");
                put("pids.current", "1\n");
                put(damages[i][0], damages[i][1]);
                cr_assert_eq(usage_read(directory, &usage), -EBADMSG, "%s: %s", damages[i][0], damages[i][1]);
        }
}
