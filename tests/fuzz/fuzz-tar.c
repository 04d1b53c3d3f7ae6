/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "fuzz.h"
#include "verity-tools/build.h"
#include "verity-tools/erofs-read.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* What comes out is an image that our reader takes, with every check it has, and no file in it is setuid. */
static void check_image(int fd)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL;
        _cleanup_(erofs_walk_free_ptr) struct erofs_walk *walk = NULL;
        const struct erofs_entry *entry;
        int r;

        PROMISE(erofs_image_open(fd, 0, &image, NULL) == 0);
        PROMISE(erofs_walk_new(image, &walk, NULL) == 0);
        while ((r = erofs_walk_next(walk, &entry, NULL)) > 0)
                PROMISE(!S_ISREG(entry->inode.mode) || (entry->inode.mode & 06000) == 0);
        PROMISE(r == 0);
}

static void build(int in, int out)
{
        const struct builder_options options = {.fd = out, .threads = 1};
        const struct build_tar tar = {.fd = in, .name = "input"};
        _cleanup_(builder_free_ptr) struct builder *b = NULL;
        struct verity_geometry g = {};
        uint64_t size = 0;

        PROMISE(builder_new(&options, &b, NULL) == 0);
        if (builder_add_tar(b, &tar, NULL) < 0 || builder_end_data(b, &size, NULL) < 0)
                return;
        if (builder_finish(b, -EBADF, 0, &g, NULL) == 0)
                check_image(out);
}

/* Gives a block the magic and the checksum of a header: otherwise hardly any input would get past them. */
static void make_header(uint8_t *block)
{
        unsigned sum = 0;
        char text[8];

        memcpy(block + 257, "ustar\00000", 8);
        memset(block + 148, ' ', 8);
        for (size_t i = 0; i < 512; i++)
                sum += block[i];
        (void)snprintf(text, sizeof(text), "%06o", sum);
        memcpy(block + 148, text, 7);
}

/* What comes out lies in memory here: a file that claims to be large must fail to be written, not fill the
 * machine. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        static const struct rlimit limit = {.rlim_cur = 4u << 20, .rlim_max = 4u << 20};

        PROMISE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        return 0;
}

/* The input is a row of headers of 64 bytes each: 32 of the name, 32 of the fields from the mode on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_close_ int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
        uint64_t at = 0;

        (void)signal(SIGXFSZ, SIG_IGN); /* here, since libFuzzer takes the signal for itself at its start */
        for (; size >= 64; data += 64, size -= 64, at += 512) {
                uint8_t block[512] = {};

                memcpy(block, data, 32);
                memcpy(block + 100, data + 32, 8);
                memcpy(block + 124, data + 40, 12);
                block[156] = data[52];
                memcpy(block + 157, data + 53, 11);
                make_header(block);
                PROMISE(pwrite_full(in, block, sizeof(block), at) == 0);
        }
        PROMISE(pwrite_full(in, data, size, at) == 0);
        PROMISE(lseek(in, 0, SEEK_SET) == 0);
        build(in, out);
        return 0;
}
