/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/process.h"
#include "build-internal.h"

/* A temporary name that is removed unless it was renamed. */
static void unlink_name(char **name)
{
        if (*name) {
                (void)unlink(*name);
                free(*name);
        }
}

int temporary_beside(const char *path, char **ret_name, int *ret_fd, struct error *e)
{
        char *name = NULL;
        uint64_t random;
        int fd;

        if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
                return error_errno(e, -EIO, "%s: random name", path);
        if (asprintf(&name, "%s.%016" PRIx64 ".tmp", path, random) < 0)
                return -ENOMEM;
        fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0) {
                int r = error_errno(e, -errno, "%s", name);

                free(name);
                return r;
        }
        *ret_name = name;
        *ret_fd = fd;
        return 0;
}

/* mkfs.erofs says what is wrong in lines that begin with "<E>"; the first is the cause. */
static int run_mkfs(char *const argv[], const struct process_options *process, struct error *e)
{
        _cleanup_free_ char *output = NULL;
        struct process_result result = {};
        const char *cause;
        int r;

        r = process_run(argv, process, &result, e);
        if (r < 0)
                return r;
        output = result.output;
        if (result.status == 0)
                return 0;
        if (result.status == 127)
                return error_set(e, -ENOENT,
                                 "mkfs.erofs: program of erofs-utils expected on PATH, not found");
        cause = strstr(output, "<E>") ?: output;
        return error_set(e, -EPROTO, "mkfs.erofs: exit status 0 expected, found %d: %.*s", result.status,
                         (int)strcspn(cause, "\n"), cause);
}

/* mkfs.erofs with a fixed profile: uncompressed, time 0, no UUID, files without inline tails. Where
 * SOURCE_DATE_EPOCH is set, mkfs.erofs takes it over -T. */
static int make_erofs(const char *source, bool tar, int keep_fd, const char *out,
                      const struct build_options *o, struct error *e)
{
        struct process_options process = {.keep_fds = &keep_fd, .n_keep = keep_fd >= 0 ? 1 : 0};
        _cleanup_free_ char *contexts = NULL;
        const char *argv[16] = {"env",    "-u",  "SOURCE_DATE_EPOCH", "mkfs.erofs",     "--quiet",
                                "-b4096", "-T0", "-Uclear",           "-Enoinline_data"};
        size_t n = 9;

        if (o->file_contexts) {
                if (asprintf(&contexts, "--file-contexts=%s", o->file_contexts) < 0) {
                        contexts = NULL;
                        return -ENOMEM;
                }
                argv[n++] = contexts;
        }
        if (tar) {
                argv[n++] = "--tar=f";
                argv[n++] = "--aufs";
        }
        argv[n++] = out;
        argv[n++] = source;
        return run_mkfs((char *const *)argv, &process, e);
}

/* Superblock and tree, behind the data or in a file of their own. The superblock's UUID says nothing; it is
 * derived from the root hash so that the bytes are always the same. */
static int append_tree(int data_fd, int hash_fd, struct verity_geometry *g, const struct build_options *o,
                       struct error *e)
{
        uint8_t block[4096] = {};
        int r;

        r = verity_tree_write(data_fd, hash_fd, g, o->progress, o->userdata, e);
        if (r < 0)
                return r;
        verity_superblock_write(g, g->root_hash, block);
        r = pwrite_full(hash_fd, block, sizeof(block), g->hash_offset);
        if (r >= 0 && (fsync(hash_fd) < 0 || fsync(data_fd) < 0))
                r = -errno;
        return r < 0 ? error_errno(e, r, "hash tree") : 0;
}

/* The EROFS image at path gets its tree. hash_fd: where to, or -1 for behind the data. */
static int add_verity(const char *path, int hash_fd, const struct build_options *o,
                      struct verity_geometry *ret, struct error *e)
{
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        struct verity_geometry g = {};
        struct erofs_info info = {};
        uint64_t size;
        int r;

        if (fd < 0)
                return error_errno(e, -errno, "%s", path);
        r = erofs_check(fd, &info, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        size = info.blocks * info.block_size;
        if (ftruncate(fd, (off_t)size) < 0)
                return error_errno(e, -errno, "%s", path);
        r = verity_geometry_profile(size, hash_fd >= 0 ? 0 : size, NULL, &g, e);
        if (r < 0)
                return r;
        r = append_tree(fd, hash_fd >= 0 ? hash_fd : fd, &g, o, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        *ret = g;
        return 0;
}

/* mkfs.erofs opens the normalised archive through our descriptor, so that nobody can put another in its
 * place. */
static int erofs_from_tar(int source_fd, const char *name, const char *out, const struct build_options *o,
                          struct error *e)
{
        _cleanup_(unlink_name) char *tar = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = temporary_beside(out, &tar, &fd, e);
        if (r >= 0)
                r = tar_normalise(source_fd, name, fd, o->allow_setuid, e);
        return r < 0 ? r : make_erofs("/proc/self/fd/3", true, fd, out, o, e);
}

int build_from_tar(int source_fd, const char *name, const char *out, const struct build_options *o,
                   struct verity_geometry *ret, struct error *e)
{
        int r;

        r = erofs_from_tar(source_fd, name, out, o, e);
        return r < 0 ? r : add_verity(out, -EBADF, o, ret, e);
}

static int erofs_from_tree(const char *source, const char *out, const struct build_options *o,
                           struct error *e)
{
        int r = o->allow_setuid ? 0 : tree_refuse_setuid(AT_FDCWD, source, e);

        return r < 0 ? r : make_erofs(source, false, -EBADF, out, o, e);
}

static int erofs_from(const char *source, const char *out, const struct build_options *o, struct error *e)
{
        _cleanup_close_ int fd = open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(e, -errno, "%s", source);
        if (S_ISDIR(st.st_mode))
                return erofs_from_tree(source, out, o, e);
        if (o->file_contexts)
                return error_set(e, -EINVAL, "%s: a directory expected with --file-contexts, found a file",
                                 source);
        return erofs_from_tar(fd, source, out, o, e);
}

/* The hash file first: an image without its tree is what a reader must not find. */
static int publish(const char *data, const char *output, const char *hash, const char *hash_output,
                   struct error *e)
{
        if (hash && rename(hash, hash_output) < 0)
                return error_errno(e, -errno, "%s", hash_output);
        if (rename(data, output) < 0)
                return error_errno(e, -errno, "%s", output);
        return 0;
}

int build_image(const char *source, const char *output, const struct build_options *o,
                struct verity_geometry *ret, struct error *e)
{
        _cleanup_(unlink_name) char *data = NULL, *hash = NULL;
        _cleanup_close_ int data_fd = -EBADF, hash_fd = -EBADF;
        struct verity_geometry g = {};
        int r;

        r = temporary_beside(output, &data, &data_fd, e);
        if (r >= 0 && o->hash_output)
                r = temporary_beside(o->hash_output, &hash, &hash_fd, e);
        if (r >= 0)
                r = erofs_from(source, data, o, e);
        if (r >= 0)
                r = add_verity(data, hash_fd, o, &g, e);
        if (r >= 0)
                r = publish(data, output, hash, o->hash_output, e);
        if (r < 0)
                return r;
        *ret = g;
        return 0;
}

int build_read_geometry(int data_fd, int hash_fd, const char *root_hash, struct verity_geometry *ret,
                        struct error *e)
{
        struct verity_geometry g = {};
        struct erofs_info info = {};
        uint64_t size;
        int r;

        r = erofs_check(data_fd, &info, e);
        if (r < 0)
                return r;
        size = info.blocks * info.block_size;
        r = verity_geometry_profile(size, hash_fd == data_fd ? size : 0, root_hash, &g, e);
        if (r >= 0)
                r = verity_superblock_compare(hash_fd, &g, e);
        if (r < 0)
                return r;
        *ret = g;
        return 0;
}
