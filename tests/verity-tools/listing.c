/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listing.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "verity-tools/erofs-read.h"

static char letter(mode_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFDIR:
                return 'd';
        case S_IFLNK:
                return 'l';
        case S_IFCHR:
                return 'c';
        case S_IFBLK:
                return 'b';
        case S_IFIFO:
                return 'p';
        default:
                return 'f';
        }
}

static void print_content(FILE *out, struct erofs_image *image, const struct erofs_inode *inode)
{
        uint32_t sum = 0;
        uint8_t buffer[65536];

        for (uint64_t at = 0; at < inode->size; at += sizeof(buffer)) {
                size_t n = inode->size - at < sizeof(buffer) ? (size_t)(inode->size - at) : sizeof(buffer);

                cr_assert_eq(erofs_inode_pread(image, inode, at, buffer, n, NULL), 0);
                sum = crc32_gzip_refl(sum, buffer, n);
        }
        (void)fprintf(out, " %" PRIu64 " %08x", inode->size, sum);
}

static void print_xattrs(FILE *out, struct erofs_image *image, const struct erofs_inode *inode)
{
        struct erofs_xattrs x = {};
        struct error e = {};

        cr_assert_eq(erofs_inode_xattrs(image, inode, &x, &e), 0, "%s", e.message);
        for (size_t i = 0; i < x.n; i++) {
                (void)fprintf(out, " %s=", x.items[i].name);
                for (size_t k = 0; k < x.items[i].size; k++)
                        (void)fprintf(out, "%02x", x.items[i].value[k]);
        }
        erofs_xattrs_done(&x);
}

static void print_entry(FILE *out, struct erofs_image *image, const struct erofs_entry *entry)
{
        const struct erofs_inode *i = &entry->inode;
        char *target = NULL;

        (void)fprintf(out, "%s %c %04o %u:%u %u %" PRId64 ".%u", entry->path[0] ? entry->path : ".",
                      letter(i->mode), i->mode & 07777, i->uid, i->gid, i->nlink, i->mtime, i->mtime_nsec);
        if (S_ISREG(i->mode))
                print_content(out, image, i);
        else if (S_ISLNK(i->mode)) {
                cr_assert_eq(erofs_inode_readlink(image, i, &target, NULL), 0);
                (void)fprintf(out, " -> %s", target);
                free(target);
        } else if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
                (void)fprintf(out, " %u:%u", major(i->rdev), minor(i->rdev));
        print_xattrs(out, image, i);
        (void)fputc('\n', out);
}

char *listing(const char *image_path)
{
        _cleanup_close_ int fd = open(image_path, O_RDONLY | O_CLOEXEC);
        struct erofs_image *image = NULL;
        struct erofs_walk *walk = NULL;
        const struct erofs_entry *entry;
        struct error e = {};
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        int r;

        cr_assert_not_null(out);
        cr_assert_eq(erofs_image_open(fd, 0, &image, &e), 0, "%s: %s", image_path, e.message);
        cr_assert_eq(erofs_walk_new(image, &walk, &e), 0, "%s: %s", image_path, e.message);
        while ((r = erofs_walk_next(walk, &entry, &e)) > 0)
                print_entry(out, image, entry);
        cr_assert_eq(r, 0, "%s: %s", image_path, e.message);
        erofs_walk_free(walk);
        erofs_image_free(image);
        cr_assert_eq(fclose(out), 0);
        return text;
}
