/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A group's volumes, really mounted, in a mount namespace of the test's own. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/group/internal.h"
#include "runtime/layer/layer.h"

static char directory[] = "/tmp/test-volume-XXXXXX", path[128];
static struct manager manager;

static struct group *make_group(void)
{
        static const char text[] =
                "name: g\nproperties:\n  containers:\n"
                "  - {name: a, properties: {image: i, resources: {requests: {cpu: 1, memoryInGB: 0.5}}}}\n"
                "  volumes: [{name: data, emptyDir: {}}, {name: key, secret: {a: aGVsbG8=, b: ''}}]\n";
        struct definition *d = NULL;

        cr_assert_eq(definition_parse("f", text, strlen(text), &d, NULL), 0);
        return group_new(&manager, d);
}

static const char *in(const char *name)
{
        (void)snprintf(path, sizeof(path), "%s/volumes/g/%s", directory, name);
        return path;
}

static void begin(void)
{
        cr_assert_eq(unshare(CLONE_NEWNS), 0, "needs root");
        cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
        cr_assert_not_null(mkdtemp(directory));
        manager.options = (struct manager_options){.run = directory, .state = directory};
}

static void end(void)
{
        cr_assert_eq(remove_tree(directory, NULL), 0);
}

TestSuite(volume, .init = begin, .fini = end);

Test(volume, made_and_removed)
{
        _cleanup_(group_free_ptr) struct group *g = make_group();
        _cleanup_free_ char *text = NULL;
        struct error e = {};
        struct statvfs fs;
        struct stat st;

        cr_assert_eq(volumes_make(g, &e), 0, "%s", e.message);
        cr_assert_eq(statvfs(in("data"), &fs), 0);
        cr_assert_eq(fs.f_blocks * fs.f_frsize, 512ull << 20, "as much as the group may use");
        cr_assert_eq(fs.f_flag & (ST_NOEXEC | ST_NOSUID | ST_NODEV), ST_NOEXEC | ST_NOSUID | ST_NODEV);
        cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0777, "whatever user its containers have");
        cr_assert_eq(statvfs(in("key"), &fs), 0);
        cr_assert_eq(fs.f_flag & (ST_NOEXEC | ST_NOSUID | ST_NODEV), ST_NOEXEC | ST_NOSUID | ST_NODEV);
        cr_assert_eq(read_file(AT_FDCWD, in("key/a"), 100, &text, NULL, &e), 0, "%s", e.message);
        cr_assert_str_eq(text, "hello");
        cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0400);
        cr_assert(stat(in("key/b"), &st) == 0 && st.st_size == 0);

        volumes_remove(&manager, "g");
        cr_assert_eq(file_exists(AT_FDCWD, in("")), 0);
        volumes_remove(&manager, "g");
}

/* A group that was killed while it was prepared is prepared again. */
Test(volume, made_again)
{
        _cleanup_(group_free_ptr) struct group *g = make_group();
        struct error e = {};

        cr_assert_eq(volumes_make(g, &e), 0, "%s", e.message);
        cr_assert_eq(write_file_atomic(AT_FDCWD, in("data/x"), "x", 1, 0600, &e), 0, "%s", e.message);
        cr_assert_eq(volumes_make(g, &e), 0, "%s", e.message);
        cr_assert_eq(file_exists(AT_FDCWD, in("data/x")), 0);
        cr_assert_eq(file_exists(AT_FDCWD, in("key/a")), 1);
        volumes_remove(&manager, "g");
        cr_assert_eq(is_mount_point(in("data")), 0, "one mount, not two");
}
