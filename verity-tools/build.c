/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "build-internal.h"
#include "output.h"

int builder_add(struct builder *b, const char *source, struct error *e)
{
        _cleanup_close_ int fd = open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        const struct build_tar tar = {.fd = fd, .name = source};
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(e, -errno, "%s", source);
        if (S_ISDIR(st.st_mode))
                return builder_add_tree(b, source, e);
        if (b->o.file_contexts)
                return error_set(e, -EINVAL, "%s: a directory expected with --file-contexts, found a file",
                                 source);
        return builder_add_tar(b, &tar, e);
}

/* hash_fd: where superblock and tree go, or -1 for behind the data. */
static int build(const char *source, int fd, int hash_fd, const struct build_options *o,
                 struct verity_geometry *ret, struct error *e)
{
        const struct builder_options options = {
                .fd = fd,
                .file_contexts = o->file_contexts,
                .allow_setuid = o->allow_setuid,
                .threads = o->threads,
                .progress = o->progress,
                .userdata = o->userdata,
        };
        _cleanup_(builder_free_ptr) struct builder *b = NULL;
        uint64_t size = 0;
        int r;

        r = builder_new(&options, &b, e);
        if (r >= 0)
                r = builder_add(b, source, e);
        if (r >= 0)
                r = builder_end_data(b, &size, e);
        if (r >= 0)
                r = builder_finish(b, hash_fd, 0, ret, e);
        return r;
}

/* The hash file first: an image without its tree is what a reader must not find. */
static int publish(struct output *data, struct output *hash, struct error *e)
{
        int r = hash->path ? output_publish(hash, e) : 0;

        return r < 0 ? r : output_publish(data, e);
}

int build_image(const char *source, const char *output, const struct build_options *o,
                struct verity_geometry *ret, struct error *e)
{
        _cleanup_(output_done) struct output data = OUTPUT_NONE, hash = OUTPUT_NONE;
        struct verity_geometry g = {};
        int r;

        if (o->hash_output && output_same(output, o->hash_output))
                return error_set(e, -EINVAL, "%s: another file than %s expected for the hash tree",
                                 o->hash_output, output);
        r = output_begin(output, &data, e);
        if (r >= 0 && o->hash_output)
                r = output_begin(o->hash_output, &hash, e);
        if (r >= 0)
                r = build(source, data.fd, hash.fd, o, &g, e);
        if (r >= 0)
                r = publish(&data, &hash, e);
        if (r < 0)
                return r;
        *ret = g;
        return 0;
}
