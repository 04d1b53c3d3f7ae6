/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity open, verity close */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "program.h"

/* Loop devices over the files: the kernel's devices are made of devices. They go with their last user. */
struct loops {
        int data_fd, hash_fd;
        char data[32], hash[32]; /* paths */
};

static void loops_done(struct loops *l)
{
        (void)close_fd(l->data_fd);
        (void)close_fd(l->hash_fd);
}

static int attach(const struct image_file *i, struct loops *l, struct error *e)
{
        const struct verity_geometry *g = &i->geometry;
        uint32_t block = g->data_block_size < g->hash_block_size ? g->data_block_size : g->hash_block_size;
        int r;

        r = loop_attach(i->data_fd, i->data_offset, block, &l->data_fd, l->data, e);
        if (r < 0)
                return r;
        if (i->same_file && i->data_offset == 0) {
                (void)stpcpy(l->hash, l->data);
                return 0;
        }
        return loop_attach(i->hash_fd, 0, block, &l->hash_fd, l->hash, e);
}

static int open_device(const char *path, const char *name, struct error *e)
{
        _cleanup_(loops_done) struct loops loops = {.data_fd = -EBADF, .hash_fd = -EBADF};
        _cleanup_(image_file_done) struct image_file i = IMAGE_FILE_NONE;
        _cleanup_free_ uint8_t *signature = NULL;
        size_t size = 0;
        int r;

        options.image.claimed_root_hash = true;
        r = open_image(path, &i, e);
        if (r >= 0 && (options.signature || i.signature_size > 0))
                r = read_signature(&i, &signature, &size, e);
        if (r >= 0)
                r = attach(&i, &loops, e);
        if (r < 0)
                return r;
        return verity_open_device(name, loops.data, loops.hash, &i.geometry, signature, size,
                                  VERITY_CORRUPTION_ERROR, e);
}

static int print_device(const char *name)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        char path[PATH_MAX];
        int r;

        (void)snprintf(path, sizeof(path), "/dev/mapper/%s", name);
        if (options.json == JSON_OFF)
                return puts(path) < 0 ? -EIO : 0;
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("device", path));
        return r < 0 ? r : json_print(v, options.json);
}

int verb_open(int argc, char **argv)
{
        struct error e = {};
        int r = open_device(argv[0], argv[1], &e);

        if (r >= 0)
                r = print_device(argv[1]);
        return r < 0 ? fail(r, &e) : 0;
}

int verb_close(int argc, char **argv)
{
        struct error e = {};
        int r = verity_close_device(argv[0], options.deferred, &e);

        if (r >= 0 && options.json != JSON_OFF)
                r = print_device(argv[0]);
        return r < 0 ? fail(r, &e) : 0;
}
