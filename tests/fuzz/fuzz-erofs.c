/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole image: the check of loaders, and the reader with all that it can be asked. */
#include "base/file.h"
#include "fuzz.h"
#include "verity-tools/erofs-diff.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define IMAGE_MAX 16384

static void read_entry(struct erofs_image *image, const struct erofs_inode *inode)
{
        static uint8_t buf[IMAGE_MAX];
        _cleanup_free_ char *target = NULL;
        struct erofs_xattrs x = {};

        if (erofs_inode_xattrs(image, inode, &x, NULL) >= 0)
                for (size_t i = 1; i < x.n; i++)
                        PROMISE(strcmp(x.items[i - 1].name, x.items[i].name) < 0);
        erofs_xattrs_done(&x);
        if (erofs_inode_readlink(image, inode, &target, NULL) >= 0)
                PROMISE(strlen(target) == inode->size);
        if (S_ISREG(inode->mode) && inode->size > 0)
                (void)erofs_inode_pread(image, inode, 0, buf,
                                        inode->size < sizeof(buf) ? (size_t)inode->size : sizeof(buf), NULL);
}

static void read_image(int fd)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL;
        _cleanup_(erofs_walk_free_ptr) struct erofs_walk *w = NULL;
        const struct erofs_entry *entry = NULL;

        if (erofs_image_open(fd, 0, &image, NULL) < 0 || erofs_walk_new(image, &w, NULL) < 0)
                return;
        while (erofs_walk_next(w, &entry, NULL) > 0) {
                PROMISE(strlen(entry->path) <= EROFS_PATH_MAX && entry->path[0] != '/');
                read_entry(image, &entry->inode);
        }
}

static int differs(void *userdata, const struct erofs_difference *d, struct error *e)
{
        __builtin_trap();
}

/* An image does not differ from itself. */
static void judge_image(int fd)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL, *same = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        struct erofs_diff_result result = {};

        if (erofs_image_open(fd, 0, &image, NULL) < 0 || erofs_image_open(fd, 0, &same, NULL) < 0)
                return;
        (void)erofs_diff(image, same, differs, NULL, &result, NULL);
        (void)erofs_describe(image, &v, NULL);
        (void)erofs_check_fit(fd, 0, IMAGE_MAX, false, NULL);
}

/* The checksum does not stand in the way. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t bytes[IMAGE_MAX];
        _cleanup_close_ int fd = memfd_create("erofs", MFD_CLOEXEC);
        struct erofs_info info = {};

        if (size > sizeof(bytes))
                return 0;
        memset(bytes, 0, sizeof(bytes));
        memcpy(bytes, data, size);
        bytes[EROFS_SUPER_OFFSET + offsetof(struct erofs_super, feature_compat)] &=
                (uint8_t)~EROFS_COMPAT_SB_CHKSUM;
        PROMISE(pwrite_full(fd, bytes, sizeof(bytes), 0) == 0);
        if (erofs_check(fd, &info, NULL) >= 0)
                PROMISE(info.block_size == 4096 && info.blocks >= 1 && info.blocks <= sizeof(bytes) / 4096 &&
                        info.feature_incompat == 0);
        read_image(fd);
        judge_image(fd);
        return 0;
}
