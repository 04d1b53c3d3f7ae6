/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/vm/bare/verityopen.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"
#include "tests/vm/guest/attempts.h"

#define DEVICE "/dev/mapper/case"
#define MOUNTPOINT "/mnt"
#define FILE_MAX ((size_t)16 << 20)
#define ARGUMENTS_MAX 16
#define TIMEOUT_MS 20000

/* What a walk finds: the number of entries below the root, and the sum of all bytes of their names, content,
 * targets and extended attributes, of their modes and device numbers. It is the same in any order. */
struct tree {
        uint64_t entries, sum;
};

struct opening {
        int status; /* of verity open */
        struct tree tree;
        char *name, *arguments; /* arguments: between spaces */
};

static struct tree walked;

static void add_bytes(const char *data, size_t size)
{
        for (size_t i = 0; i < size; i++)
                walked.sum += (unsigned char)data[i];
}

static int add_xattrs(const char *path)
{
        static char names[65536], value[65536];
        ssize_t size = llistxattr(path, names, sizeof(names));

        if (size < 0)
                return -1;
        for (const char *n = names; n < names + size; n += strlen(n) + 1) {
                ssize_t found = lgetxattr(path, n, value, sizeof(value));

                if (found < 0)
                        return -1;
                add_bytes(n, strlen(n));
                add_bytes(value, (size_t)found);
        }
        return 0;
}

static int add_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
        _cleanup_free_ char *content = NULL;
        char target[4096];
        size_t size = 0;
        ssize_t n = 0;

        if (type != FTW_F && type != FTW_D && type != FTW_SL)
                return -1;
        if (at->level == 0)
                return 0;
        if (S_ISREG(st->st_mode) && read_file(AT_FDCWD, path, FILE_MAX, &content, &size, NULL) < 0)
                return -1;
        if (S_ISLNK(st->st_mode))
                n = readlink(path, target, sizeof(target));
        if (n < 0 || add_xattrs(path) < 0)
                return -1;
        walked.entries++;
        walked.sum += st->st_mode + major(st->st_rdev) + minor(st->st_rdev);
        add_bytes(path + at->base, strlen(path + at->base));
        add_bytes(content, size);
        add_bytes(target, (size_t)n);
        return 0;
}

static bool use_device(const struct tree *expected, char *detail, size_t size)
{
        struct outcome o;
        int r;

        if (mount(DEVICE, MOUNTPOINT, "erofs", MS_RDONLY, NULL) < 0) {
                (void)snprintf(detail, size, "mount: %s", strerrorname_np(errno));
                return false;
        }
        walked = (struct tree){0};
        r = nftw(MOUNTPOINT, add_entry, 16, FTW_PHYS);
        o = try_exec(MOUNTPOINT "/helper", HELPER_RAN);
        (void)snprintf(detail, size,
                       "%" PRIu64 " entries of sum %" PRIu64 " expected, found %" PRIu64 " of %" PRIu64
                       "; %s",
                       expected->entries, expected->sum, walked.entries, walked.sum,
                       o.verdict == ATTEMPT_WORKED ? "helper ran" : o.step);
        return umount(MOUNTPOINT) == 0 && r == 0 && o.verdict == ATTEMPT_WORKED &&
               memcmp(&walked, expected, sizeof(walked)) == 0;
}

/* Runs verity with a verb and arguments; detail gets what it printed if the status is another one. */
static bool verity_ends_with(const char *directory, const char *verb, char *arguments, int status,
                             char *detail, size_t size)
{
        char linker[64], program[64], *save = NULL;
        char *argv[ARGUMENTS_MAX + 1] = {linker, (char *)"--library-path", (char *)directory, program,
                                         (char *)verb};
        struct process_result result = {};
        struct error e = {};
        size_t n = 5;

        (void)snprintf(linker, sizeof(linker), "%s/ld.so", directory);
        (void)snprintf(program, sizeof(program), "%s/verity", directory);
        for (char *a = strtok_r(arguments, " ", &save); a && n < ARGUMENTS_MAX;
             a = strtok_r(NULL, " ", &save))
                argv[n++] = a;
        if (process_run(argv, &(struct process_options){.timeout_ms = TIMEOUT_MS}, &result, &e) < 0) {
                (void)snprintf(detail, size, "verity %s: %s", verb, e.message);
                return false;
        }
        (void)snprintf(detail, size, "verity %s: status %d expected, found %d: %.*s", verb, status,
                       result.status, (int)strcspn(result.output, "\n"), result.output);
        free(result.output);
        return result.status == status;
}

static void check_opening(struct tap *tap, const char *directory, const struct opening *o)
{
        char name[256], device[] = "case", detail[1024], closing[1024];
        bool ok = verity_ends_with(directory, "open", o->arguments, o->status, detail, sizeof(detail));

        if (ok && o->status == 0) {
                ok = use_device(&o->tree, detail, sizeof(detail));
                if (!verity_ends_with(directory, "close", device, 0, closing, sizeof(closing))) {
                        ok = false;
                        (void)stpcpy(detail, closing);
                }
        }
        if (ok && access(DEVICE, F_OK) == 0) {
                ok = false;
                (void)stpcpy(detail, DEVICE " is still there");
        }
        (void)snprintf(name, sizeof(name), "verity open: %s", o->name);
        tap_check(tap, ok, name, ok && o->status == 0 ? NULL : detail);
}

void check_verity_open(struct tap *tap, const char *directory)
{
        _cleanup_free_ char *cases = NULL;
        char path[64], *save = NULL;
        struct error e = {};

        (void)snprintf(path, sizeof(path), "%s/cases", directory);
        if (read_file(AT_FDCWD, path, FILE_MAX, &cases, NULL, &e) < 0) {
                tap_check(tap, false, "verity open: the cases are read", e.message);
                return;
        }
        for (char *line = strtok_r(cases, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                struct opening o = {};

                if (sscanf(line, "%d %" SCNu64 " %" SCNu64 " %m[^\t]\t%m[^\n]", &o.status, &o.tree.entries,
                           &o.tree.sum, &o.name, &o.arguments) == 5)
                        check_opening(tap, directory, &o);
                else
                        tap_check(tap, false, "verity open: the cases are read", line);
                free(o.name);
                free(o.arguments);
        }
}
