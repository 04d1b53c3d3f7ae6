/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity open, verity close */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "base/log.h"
#include "build.h"
#include "program.h"

static int open_files(const char *path, struct verity_geometry *g, int *ret_data, int *ret_hash,
                      char data[static 32], char hash[static 32], struct error *e)
{
        _cleanup_close_ int data_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), hash_fd = -EBADF;
        int r;

        if (data_fd < 0)
                return error_errno(e, -errno, "%s", path);
        if (options.hash_file) {
                hash_fd = open(options.hash_file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
                if (hash_fd < 0)
                        return error_errno(e, -errno, "%s", options.hash_file);
        }
        r = build_read_geometry(data_fd, hash_fd >= 0 ? hash_fd : data_fd, options.root_hash, g, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        r = loop_attach(data_fd, 0, 0, ret_data, data, e);
        if (r < 0 || hash_fd < 0)
                return r;
        return loop_attach(hash_fd, 0, 0, ret_hash, hash, e);
}

static int open_image(const char *path, const char *name, struct error *e)
{
        _cleanup_close_ int data_loop = -EBADF, hash_loop = -EBADF;
        _cleanup_free_ char *signature = NULL;
        char data[32], hash[32];
        struct verity_geometry g = {};
        size_t size = 0;
        int r;

        if (!options.root_hash)
                return error_set(e, -EINVAL, "--root-hash=HEX expected, found none");
        if (options.signature) {
                r = read_file(AT_FDCWD, options.signature, TRUST_SIGNATURE_MAX, &signature, &size, e);
                if (r < 0)
                        return r;
        }
        r = open_files(path, &g, &data_loop, &hash_loop, data, hash, e);
        if (r < 0)
                return r;
        return verity_open_device(name, data, hash_loop >= 0 ? hash : data, &g, signature, size,
                                  VERITY_CORRUPTION_ERROR, e);
}

int verb_open(int argc, char **argv)
{
        struct error e = {};
        int r = open_image(argv[0], argv[1], &e);

        if (r < 0)
                return fail(r, &e);
        return printf("/dev/mapper/%s\n", argv[1]) < 0 ? EXIT_COULD_NOT_TRY : 0;
}

int verb_close(int argc, char **argv)
{
        struct error e = {};
        int r = verity_close_device(argv[0], options.deferred, &e);

        return r < 0 ? fail(r, &e) : 0;
}
