/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity open, verity close */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "base/log.h"
#include "program.h"

/* Loop devices over the files: the kernel's devices are made of devices. They go with their last user. */
static int open_image(const char *path, const char *name, struct error *e)
{
        _cleanup_(image_file_done) struct image_file i = IMAGE_FILE_NONE;
        _cleanup_close_ int data_loop = -EBADF, hash_loop = -EBADF;
        _cleanup_free_ char *signature = NULL;
        char data[32], hash[32];
        size_t size = 0;
        int r = 0;

        if (!options.image.root_hash)
                return error_set(e, -EINVAL, "--root-hash=HEX expected, found none");
        if (options.signature)
                r = read_file(AT_FDCWD, options.signature, TRUST_SIGNATURE_MAX, &signature, &size, e);
        if (r >= 0)
                r = image_file_open(path, &options.image, &i, e);
        if (r >= 0)
                r = loop_attach(i.data_fd, 0, 0, &data_loop, data, e);
        if (r >= 0 && !i.same_file)
                r = loop_attach(i.hash_fd, 0, 0, &hash_loop, hash, e);
        if (r < 0)
                return r;
        return verity_open_device(name, data, i.same_file ? data : hash, &i.geometry, signature, size,
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
