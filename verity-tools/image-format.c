/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A hash tree for data of any kind, as `veritysetup format` makes it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>

#include "base/file.h"
#include "image-file.h"
#include "output.h"

static int copy(int from, int to, uint64_t size, struct error *e)
{
        off_t at = 0;

        while ((uint64_t)at < size) {
                uint64_t left = size - (uint64_t)at;
                ssize_t n = sendfile(to, from, &at, left < SSIZE_MAX ? (size_t)left : SSIZE_MAX);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return error_errno(e, n < 0 ? -errno : -EIO, "copying at %jd", (intmax_t)at);
        }
        return 0;
}

/* All of the data is to be covered, and none of it overwritten. */
static int make_geometry(const struct image_format_options *o, uint64_t size, struct verity_geometry *ret,
                         struct error *e)
{
        struct image_file_options known = *o->image;
        uint64_t block = known.hash_block_size ?: 4096;
        int r;

        if (known.hash_offset == IMAGE_FILE_NO_OFFSET)
                known.hash_offset = o->output ? (size + block - 1) / block * block : 0;
        r = image_file_geometry(&known, size, ret, e);
        if (r < 0)
                return r;
        if (known.data_blocks == 0 && verity_data_size(ret) != size)
                return error_set(e, -EINVAL,
                                 "whole blocks of %" PRIu32 " bytes expected, found %" PRIu64
                                 " bytes; see --data-block-size and --data-blocks",
                                 ret->data_block_size, size);
        if (verity_data_size(ret) > size)
                return error_set(e, -EINVAL, "%" PRIu64 " bytes of data expected, found %" PRIu64,
                                 verity_data_size(ret), size);
        if (o->output && known.hash_offset < size)
                return error_set(e, -EINVAL,
                                 "--hash-offset: behind the %" PRIu64
                                 " bytes of data expected, found %" PRIu64,
                                 size, known.hash_offset);
        return 0;
}

/* The superblock fills the room up to the tree. */
static int write_superblock(int fd, const struct verity_geometry *g, const uint8_t *uuid, struct error *e)
{
        uint8_t block[4096] = {};
        int r;

        if (g->no_superblock)
                return 0;
        verity_superblock_write(g, uuid ?: g->root_hash, block);
        r = pwrite_full(fd, block, (size_t)(verity_tree_offset(g) - g->hash_offset), g->hash_offset);
        return r < 0 ? error_errno(e, r, "verity superblock") : 0;
}

int image_format(const char *path, const struct image_format_options *o, struct verity_geometry *ret,
                 struct error *e)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_(output_done) struct output out = OUTPUT_NONE;
        struct verity_geometry g = {};
        uint64_t size = 0;
        int r;

        if (!o->output == !o->image->hash_file)
                return error_set(e, -EINVAL, "either --output= or --hash-file= expected");
        if (fd < 0)
                return error_errno(e, -errno, "%s", path);
        r = file_size(fd, &size);
        r = r < 0 ? error_errno(e, r, "%s", path) : make_geometry(o, size, &g, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        r = output_begin(o->output ?: o->image->hash_file, &out, e);
        if (r >= 0 && o->output)
                r = copy(fd, out.fd, size, e);
        if (r >= 0)
                r = verity_tree_write(o->output ? out.fd : fd, out.fd, &g, o->tree, e);
        if (r >= 0)
                r = write_superblock(out.fd, &g, o->uuid, e);
        if (r >= 0)
                r = output_publish(&out, e);
        if (r < 0)
                return error_prefix(e, r, "%s", out.path ?: path);
        *ret = g;
        return 0;
}
