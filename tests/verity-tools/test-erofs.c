/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The EROFS reader: what mkfs.erofs writes in its variants, each lie that an image can tell, and every byte
 * of one changed. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "scratch.h"
#include "verity-tools/erofs-diff.h"

TestSuite(erofs, .init = scratch_enter, .fini = scratch_leave);

/* A tree with each kind of entry that a user can make, a large directory, links and attributes. */
static void make_tree(void)
{
        static const char *const noted[] = {"t/a", "t/dir/seq", "t/dir/sub"};

        shell("mkdir -p t/dir/sub t/empty t/many && echo hello >t/a && : >t/dir/nothing && "
              "seq 1 20000 >t/dir/seq && head -c 8192 t/dir/seq >t/dir/two-blocks && ln t/a t/dir/again && "
              "ln -s dir/seq t/link && mkfifo t/pipe && chmod 1777 t/empty && "
              "head -c 300000 /dev/zero >t/zeros && cat t/dir/seq >>t/zeros && "
              "for i in $(seq 1 400); do echo $i >t/many/a-name-of-some-length-$i; done");
        for (size_t i = 0; i < ELEMENTSOF(noted); i++)
                cr_assert_eq(setxattr(noted[i], "user.note", "abc", 3, 0), 0, "%s", noted[i]);
        cr_assert_eq(setxattr("t/zeros", "user.other.name", "x", 1, 0), 0);
        shell("touch -d @1000000000.5 t/dir/seq");
}

/* --- what mkfs.erofs writes --- */

struct listing {
        FILE *out;
        struct erofs_image *image;
};

static void print_content(struct listing *l, const struct erofs_inode *inode)
{
        uint8_t *data = malloc((size_t)inode->size + 1);
        uint32_t sum = 0;
        struct error e = {};

        cr_assert_eq(erofs_inode_pread(l->image, inode, 0, data, (size_t)inode->size, &e), 0, "%s",
                     e.message);
        for (size_t i = 0; i < inode->size; i++)
                sum = (sum ^ data[i]) * 16777619u;
        free(data);
        (void)fprintf(l->out, " %08" PRIx32, sum);
}

static void print_entry(struct listing *l, const struct erofs_entry *entry)
{
        const struct erofs_inode *i = &entry->inode;
        _cleanup_free_ char *target = NULL;
        struct erofs_xattrs x = {};
        struct error e = {};

        (void)fprintf(l->out, "/%s %o %u %u %u", entry->path, i->mode, i->uid, i->gid, i->nlink);
        if (!S_ISDIR(i->mode))
                (void)fprintf(l->out, " %" PRIu64, i->size);
        if (S_ISREG(i->mode) && !erofs_inode_is_compressed(i))
                print_content(l, i);
        if (S_ISLNK(i->mode)) {
                cr_assert_eq(erofs_inode_readlink(l->image, i, &target, &e), 0, "%s", e.message);
                (void)fprintf(l->out, " -> %s", target);
        }
        cr_assert_eq(erofs_inode_xattrs(l->image, i, &x, &e), 0, "%s", e.message);
        for (size_t n = 0; n < x.n; n++)
                (void)fprintf(l->out, " %s=%.*s", x.items[n].name, (int)x.items[n].size, x.items[n].value);
        erofs_xattrs_done(&x);
        (void)fputc('\n', l->out);
}

/* One line an entry, to be freed. */
static char *list(const char *path)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL;
        _cleanup_(erofs_walk_free_ptr) struct erofs_walk *w = NULL;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        const struct erofs_entry *entry = NULL;
        struct error e = {};
        char *text = NULL;
        size_t size = 0;
        struct listing l;
        int r;

        cr_assert_eq(erofs_image_open(fd, 0, &image, &e), 0, "%s: %s", path, e.message);
        cr_assert_eq(erofs_walk_new(image, &w, &e), 0);
        l = (struct listing){.image = image, .out = open_memstream(&text, &size)};
        while ((r = erofs_walk_next(w, &entry, &e)) > 0)
                print_entry(&l, entry);
        cr_assert_eq(r, 0, "%s: %s", path, e.message);
        (void)fclose(l.out);
        return text;
}

static size_t count(const char *text, char c)
{
        size_t n = 0;

        for (; *text; text++)
                n += *text == c;
        return n;
}

struct variant {
        char options[96];
        bool compressed;
};

ParameterizedTestParameters(erofs, variants)
{
        static struct variant cases[] = {
                {"-T0", false},
                {"-Enoinline_data", false},
                {"-T0 --mkfs-time", false},
                {"-Eforce-inode-compact", false},
                {"-Eforce-inode-extended", false},
                {"--chunksize=4096", false},
                {"--chunksize=65536 -Eforce-chunk-indexes", false},
                {"-x1", false},
                {"--xattr-prefix=user.other.", false},
                {"--root-xattr-isize=64", false},
                {"-b512", false},
                {"-b2048", false},
                {"-zlz4", true},
                {"-zlz4hc,12 -C65536", true},
                {"-zzstd", true},
                {"-zlzma", true},
                {"-zdeflate", true},
                {"-zlz4 -Elegacy-compress", true},
                {"-zlz4 -Eztailpacking", true},
                {"-zlz4 -Eall-fragments", true},
                {"-zlz4 -Ededupe", true},
                {"-zlz4 -Efragments,dedupe,ztailpacking -C16384", true},
        };

        return cr_make_param_array(struct variant, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct variant *v, erofs, variants)
{
        _cleanup_free_ char *plain = NULL, *text = NULL, *expected = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct error e = {};
        int small = strncmp(v->options, "-b", 2) == 0;

        make_tree();
        shell("mkfs.erofs --quiet plain.img t && mkfs.erofs --quiet %s v.img t && fsck.erofs v.img",
              v->options);
        text = list("v.img");
        expected = shell_output("find t | wc -l");
        cr_expect_eq((int)count(text, '\n'), atoi(expected), "%s: %s names expected, found:\n%s", v->options,
                     expected, text);
        plain = list("plain.img");
        cr_expect(v->compressed || strcmp(plain, text) == 0, "%s: expected\n%s\nfound\n%s", v->options, plain,
                  text);
        fd = open("v.img", O_RDONLY | O_CLOEXEC);
        cr_expect_eq(erofs_check_fit(fd, 0, UINT64_MAX, false, &e), small ? -EBADMSG : 0, "%s: %s",
                     v->options, e.message);
}

Test(erofs, the_listing_is_the_tree)
{
        _cleanup_free_ char *text = NULL, *theirs = NULL, *ours = NULL;

        make_tree();
        shell("mkfs.erofs --quiet t.img t");
        text = list("t.img");
        put_text("ours", text);
        theirs = shell_output("cd t && find . -printf '/%%P %%m %%U %%G %%n %%l\\n' | LC_ALL=C sort");
        ours = shell_output(
                "awk '{print $1, substr($2, length($2)-3)+0, $3, $4, $5, $NF ~ /seq$/ && / -> / ? "
                "$NF : \"\"}' ours | LC_ALL=C sort");
        cr_expect_str_eq(ours, theirs);
        cr_expect_not_null(strstr(text, "user.note=abc\n"), "%s", text);
        cr_expect_not_null(strstr(text, " user.other.name=x\n"), "%s", text);
}

/* --- lies --- */

/* A small image in memory, to be changed. */
struct picture {
        int fd;
        uint8_t *data;
        size_t size;
};

static struct picture picture_of(const char *path)
{
        struct picture p = {.fd = memfd_create("image", MFD_CLOEXEC)};

        p.data = (uint8_t *)slurp(path, &p.size);
        /* Without its checksum a changed superblock is believed. */
        p.data[EROFS_SUPER_OFFSET + offsetof(struct erofs_super, feature_compat)] &=
                (uint8_t)~EROFS_COMPAT_SB_CHKSUM;
        cr_assert_eq(pwrite_full(p.fd, p.data, p.size, 0), 0);
        return p;
}

static void picture_done(struct picture *p)
{
        (void)close_fd(p->fd);
        free(p->data);
}

/* The offset of an inode in the image. */
static uint64_t find(const struct picture *p, const char *path, struct erofs_inode *ret)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL;
        _cleanup_(erofs_walk_free_ptr) struct erofs_walk *w = NULL;
        const struct erofs_entry *entry = NULL;

        cr_assert_eq(erofs_image_open(p->fd, 0, &image, NULL), 0);
        cr_assert_eq(erofs_walk_new(image, &w, NULL), 0);
        while (erofs_walk_next(w, &entry, NULL) > 0)
                if (strcmp(entry->path, path) == 0) {
                        *ret = entry->inode;
                        return entry->inode.offset;
                }
        cr_assert(false, "%s", path);
        return 0;
}

/* Walks, reads attributes, links and content: 0, or the first error. */
static int read_all(int fd, struct error *e)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL;
        _cleanup_(erofs_walk_free_ptr) struct erofs_walk *w = NULL;
        const struct erofs_entry *entry = NULL;
        static uint8_t buf[4096];
        int r;

        r = erofs_image_open(fd, 0, &image, e);
        if (r >= 0)
                r = erofs_walk_new(image, &w, e);
        while (r >= 0 && (r = erofs_walk_next(w, &entry, e)) > 0) {
                _cleanup_free_ char *target = NULL;
                struct erofs_xattrs x = {};
                uint64_t size = entry->inode.size;

                r = erofs_inode_xattrs(image, &entry->inode, &x, e);
                erofs_xattrs_done(&x);
                if (r >= 0 && S_ISLNK(entry->inode.mode))
                        r = erofs_inode_readlink(image, &entry->inode, &target, e);
                if (r >= 0 && S_ISREG(entry->inode.mode) && !erofs_inode_is_compressed(&entry->inode) &&
                    size > 0)
                        r = erofs_inode_pread(image, &entry->inode,
                                              size > sizeof(buf) ? size - sizeof(buf) : 0, buf,
                                              size < sizeof(buf) ? (size_t)size : sizeof(buf), e);
        }
        return r;
}

struct lie {
        char options[48], path[16]; /* whose inode is changed; "": the superblock */
        size_t offset, size;
        uint64_t value;
        char says[64];
};

#define SUPER(field) offsetof(struct erofs_super, field)
#define INODE(field) offsetof(struct erofs_inode_extended, field)

ParameterizedTestParameters(erofs, lies)
{
        static struct lie cases[] = {
                {"", "", SUPER(magic), 4, 0xE0F5E1E3, "magic"},
                {"", "", SUPER(blkszbits), 1, 8, "blocks of 512 to 4096"},
                {"", "", SUPER(blkszbits), 1, 16, "blocks of 512 to 4096"},
                {"", "", SUPER(blkszbits), 1, 255, "blocks of 512 to 4096"},
                {"", "", SUPER(dirblkbits), 1, 1, "directory blocks"},
                {"", "", SUPER(blocks), 4, 0, "blocks expected"},
                {"", "", SUPER(blocks), 4, 1000, "found 1000"},
                {"", "", SUPER(feature_incompat), 4, 0x80, "found 0x80"},
                {"", "", SUPER(root_nid), 2, 0xffff, "65535"},
                {"", "", SUPER(meta_blkaddr), 4, 0xffffffff, "metadata below"},
                {"", "d", INODE(format), 2, 0xb, "layout 0 to 4 expected, found 5"},
                {"", "d", INODE(format), 2, 0x21, "layout 0 to 4 expected, found 16"},
                {"", "d", INODE(mode), 2, 0xf000, "file type"},
                {"", "d", INODE(mode), 2, 0100644, "/d: the type of mode 0100644 expected, found type 2"},
                {"", "d", INODE(size), 8, UINT64_MAX, "/d: "},
                {"", "d", INODE(size), 8, 0, "not both"},
                {"", "d", INODE(size), 8, 11, "a name expected"},
                {"", "f", INODE(size), 8, UINT64_C(1) << 63, "below 2^63"},
                {"", "f", INODE(size), 8, UINT64_C(1) << 62, "content below"},
                {"", "f", INODE(size), 8, 4096 * 3 - 1, "inline tail"},
                {"", "f", INODE(location), 4, 0xfffffffe, "/f: EROFS: inode"},
                {"", "f", INODE(xattr_count), 2, 1, "the header alone"},
                {"", "f", INODE(xattr_count), 2, 0xffff, "attributes in the image"},
                {"", "l", INODE(size), 8, 0, "a link of"},
                {"", "l", INODE(size), 8, 5, "without NUL"},
                {"--chunksize=4096", "f", INODE(location), 4, 0x40, "chunk format"},
                {"--chunksize=4096", "f", INODE(size), 8, UINT64_C(1) << 50, "a table of"},
                {"-zlz4", "z", INODE(location), 4, 0xffff, "compressed content"},
        };

        return cr_make_param_array(struct lie, cases, ELEMENTSOF(cases));
}

static struct picture small_picture(const char *options)
{
        shell("rm -rf t && mkdir -p t/d && seq 1 2000 >t/f && ln -s abc t/l && echo x >t/d/x && "
              "head -c 20000 /dev/zero >t/z && "
              "mkfs.erofs --quiet -T0 -Eforce-inode-extended %s t.img t",
              options);
        return picture_of("t.img");
}

ParameterizedTest(struct lie *l, erofs, lies)
{
        struct picture p = small_picture(l->options);
        struct erofs_inode inode;
        struct error e = {};
        uint64_t at = l->path[0] ? find(&p, l->path, &inode) : EROFS_SUPER_OFFSET;
        uint8_t value[8];

        cr_assert_eq(read_all(p.fd, &e), 0, "%s", e.message);
        for (size_t i = 0; i < l->size; i++)
                value[i] = (uint8_t)(l->value >> (8 * i));
        cr_assert_eq(pwrite_full(p.fd, value, l->size, at + l->offset), 0);
        cr_expect_eq(read_all(p.fd, &e), -EBADMSG, "%s +%zu", l->path, l->offset);
        cr_expect_not_null(strstr(e.message, l->says), "\"%s\" expected, found: %s", l->says, e.message);
        picture_done(&p);
}

/* The offset of the block of a small directory. */
static uint64_t directory_at(const struct picture *p, const char *path, struct erofs_inode *inode)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL;
        uint64_t offset = 0, size;

        (void)find(p, path, inode);
        cr_assert_eq(erofs_image_open(p->fd, 0, &image, NULL), 0);
        cr_assert_eq(erofs_inode_map(image, inode, 0, &offset, &size, NULL), 0);
        return offset;
}

/* The names of "d" are ".", ".." and "x", in that order. */
Test(erofs, lies_of_directories)
{
        static const struct {
                unsigned entry;
                size_t offset, size;
                uint64_t value;
                const char *says;
        } lies[] = {
                {0, 8, 2, 0, "behind whole entries"},
                {0, 8, 2, 37, "behind whole entries"},
                {0, 8, 2, 0xffff, "behind whole entries"},
                {1, 8, 2, 36, "rise within"},
                {1, 8, 2, 0xffff, "rise within"},
                {2, 8, 2, 0xffff, "rise within"},
                {2, 10, 1, 2, "/d/x: the type of mode 0100644 expected, found type 2"},
                {2, 0, 8, UINT64_MAX, "/d/x"},
                {0, 0, 8, 1, "for itself"},
                {1, 0, 8, 1, "for itself"},
                {3, 0, 1, '/', "slash"},
                {3, 3, 1, '/', "slash"},
                {3, 3, 1, 0, "1 to 255"},
                {3, 1, 1, 0, "without NUL"},
                {3, 3, 1, '-', "order"},
        };

        for (size_t i = 0; i < ELEMENTSOF(lies); i++) {
                struct picture p = small_picture("");
                struct erofs_inode inode;
                struct error e = {};
                uint64_t at = directory_at(&p, "d", &inode) + lies[i].entry * sizeof(struct erofs_dirent) +
                              lies[i].offset;

                for (size_t n = 0; n < lies[i].size; n++)
                        p.data[at + n] = (uint8_t)(lies[i].value >> (8 * n));
                cr_assert_eq(pwrite_full(p.fd, p.data, p.size, 0), 0);
                cr_expect_eq(read_all(p.fd, &e), -EBADMSG, "%zu", i);
                cr_expect_not_null(strstr(e.message, lies[i].says), "%zu: \"%s\" expected, found: %s", i,
                                   lies[i].says, e.message);
                picture_done(&p);
        }
}

Test(erofs, a_directory_in_itself)
{
        struct picture p = small_picture("");
        struct erofs_inode root, d;
        struct error e = {};
        uint64_t at = directory_at(&p, "", &root);

        (void)find(&p, "d", &d);
        for (size_t i = at; i < at + root.size; i++)
                if (memcmp(p.data + i, &d.nid, sizeof(d.nid)) == 0)
                        memcpy(p.data + i, &root.nid, sizeof(root.nid));
        cr_assert_eq(pwrite_full(p.fd, p.data, p.size, 0), 0);
        cr_expect_eq(read_all(p.fd, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "/d: a directory with one name"), "%s", e.message);
        picture_done(&p);
}

/* Where the attribute's name stands in the image. */
static size_t find_text(const struct picture *p, const char *text)
{
        const uint8_t *found = memmem(p->data, p->size, text, strlen(text));

        cr_assert_not_null(found, "%s", text);
        return (size_t)(found - p->data);
}

Test(erofs, lies_of_attributes)
{
        static const struct {
                int offset; /* from the name */
                uint8_t value;
                const char *says;
        } lies[] = {
                {-4, 200, "of the inode's size"},
                {-2, 200, "of the inode's size"},
                {-3, 9, "known prefix"},
                {-3, 0x80, "known prefix"},
                {1, 0, "without NUL"},
                {-12, 200, "shared"},
        };

        shell("mkdir t && echo a >t/a");
        cr_assert_eq(setxattr("t/a", "user.note", "abcd", 4, 0), 0);
        shell("mkfs.erofs --quiet -T0 -x9 t.img t");
        for (size_t i = 0; i < ELEMENTSOF(lies); i++) {
                struct picture p = picture_of("t.img");
                struct error e = {};

                p.data[find_text(&p, "note") + (size_t)(ssize_t)lies[i].offset] = lies[i].value;
                cr_assert_eq(pwrite_full(p.fd, p.data, p.size, 0), 0);
                cr_expect_eq(read_all(p.fd, &e), -EBADMSG, "%zu", i);
                cr_expect_not_null(strstr(e.message, lies[i].says), "%zu: \"%s\" expected, found: %s", i,
                                   lies[i].says, e.message);
                picture_done(&p);
        }
}

Test(erofs, depth_is_bounded)
{
        struct error e = {};
        struct picture p;

        shell("mkdir -p t/$(yes a | head -1023 | tr '\\n' /) && mkfs.erofs --quiet t.img t");
        p = picture_of("t.img");
        cr_expect_eq(read_all(p.fd, &e), 0, "%s", e.message);
        picture_done(&p);
        shell("mkdir -p t/$(yes a | head -1024 | tr '\\n' /) && mkfs.erofs --quiet t.img t");
        p = picture_of("t.img");
        cr_expect_eq(read_all(p.fd, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "1024 levels"), "%s", e.message);
        picture_done(&p);
}

/* What stands before the superblock could be digests: of an image that the same root hash covers, with a tree
 * one level higher. */
Test(erofs, bytes_before_the_superblock_are_not_signed)
{
        struct picture p = small_picture("");
        struct error e = {};
        uint64_t at[] = {0, EROFS_SUPER_OFFSET - 1};

        cr_expect_eq(erofs_check_fit(p.fd, 0, p.size, false, &e), 0, "%s", e.message);
        for (size_t i = 0; i < ELEMENTSOF(at); i++) {
                cr_assert_eq(pwrite_full(p.fd, "x", 1, at[i]), 0);
                cr_expect_eq(erofs_check_fit(p.fd, 0, p.size, true, &e), -EBADMSG);
                cr_expect_not_null(strstr(e.message, "zeros before the superblock"), "%s", e.message);
                cr_assert_eq(pwrite_full(p.fd, "", 1, at[i]), 0);
        }
        picture_done(&p);
}

/* Chunks are looked at before an image is signed, not when it is listed. */
Test(erofs, lies_of_chunks)
{
        static const struct erofs_chunk_index lies[] = {{.block = 0xfffffffe}, {.block = 1, .device = 1}};

        for (size_t i = 0; i < ELEMENTSOF(lies); i++) {
                struct picture p = small_picture("--chunksize=4096 -Eforce-chunk-indexes");
                struct erofs_inode inode;
                struct error e = {};
                uint64_t at = find(&p, "f", &inode) + sizeof(struct erofs_inode_extended);

                cr_expect_eq(erofs_check_fit(p.fd, 0, p.size, false, &e), 0, "%s", e.message);
                cr_assert_eq(pwrite_full(p.fd, &lies[i], sizeof(lies[i]), at + sizeof(lies[i])), 0);
                cr_expect_eq(erofs_check_fit(p.fd, 0, p.size, true, &e), -EBADMSG);
                cr_expect_eq(strncmp(e.message, "/f: ", 4), 0, "%s", e.message);
                picture_done(&p);
        }
}

static int no_difference(void *userdata, const struct erofs_difference *d, struct error *e)
{
        return error_set(e, -EUCLEAN, "%s", d->path);
}

/* A hole of 2^43 bytes is not read, not even to be compared. */
Test(erofs, holes_take_no_time)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *image = NULL;
        struct erofs_diff_result result = {};
        uint64_t size = UINT64_C(1) << 43;
        uint8_t byte = 0xff;
        uint32_t chunks;
        struct erofs_inode inode;
        struct error e = {};
        struct picture p;
        uint64_t at;

        shell("mkdir t && truncate -s 1M t/hole && "
              "mkfs.erofs --quiet -T0 -Eforce-inode-extended --chunksize=4096 t.img t");
        p = picture_of("t.img");
        at = find(&p, "hole", &inode);
        chunks = (inode.location & EROFS_CHUNK_INDEXES) | EROFS_CHUNK_BLOCK_BITS;
        cr_assert_eq(pwrite_full(p.fd, &size, sizeof(size), at + INODE(size)), 0);
        cr_assert_eq(pwrite_full(p.fd, &chunks, sizeof(chunks), at + INODE(location)), 0);
        cr_assert_eq(erofs_image_open(p.fd, 0, &image, &e), 0, "%s", e.message);
        cr_assert_eq(erofs_inode_read(image, inode.nid, &inode, &e), 0, "%s", e.message);
        cr_expect_eq(inode.size, size);
        cr_expect_eq(erofs_inode_pread(image, &inode, size - 1, &byte, 1, &e), 0, "%s", e.message);
        cr_expect_eq(byte, 0);
        cr_expect_eq(erofs_diff(image, image, no_difference, NULL, &result, &e), 0, "%s", e.message);
        picture_done(&p);
}

/* --- every byte changed --- */

ParameterizedTestParameters(erofs, each_byte_changed)
{
        static struct variant cases[] = {
                {"-T0", false},
                {"--chunksize=4096", false},
                {"-zlz4 -Eall-fragments --xattr-prefix=user.no", true},
                {"-x1 --xattr-prefix=user.no", false},
        };

        return cr_make_param_array(struct variant, cases, ELEMENTSOF(cases));
}

/* Whatever the reader says, it must say it soon and touch nothing that is not its own. */
ParameterizedTest(struct variant *v, erofs, each_byte_changed)
{
        static const uint8_t flips[] = {0x01, 0xff};
        unsigned accepted = 0, tried = 0;
        struct picture p;

        shell("mkdir -p t/d && seq 1 1000 >t/f && ln -s abc t/l && echo x >t/d/x && mkfifo t/p && ln t/f "
              "t/d/f");
        cr_assert_eq(setxattr("t/f", "user.note", "abcd", 4, 0), 0);
        cr_assert_eq(setxattr("t/d", "user.note", "abcd", 4, 0), 0);
        shell("mkfs.erofs --quiet %s t.img t", v->options);
        p = picture_of("t.img");
        for (size_t i = EROFS_SUPER_OFFSET; i < p.size; i++)
                for (size_t f = 0; f < ELEMENTSOF(flips) && p.data[i] + p.data[i ^ 1] != 0; f++) {
                        uint8_t byte = p.data[i] ^ flips[f];
                        struct error e = {};
                        int r;

                        cr_assert_eq(pwrite_full(p.fd, &byte, 1, i), 0);
                        r = read_all(p.fd, &e);
                        cr_expect(r >= 0 || e.message[0] != '\0', "offset %zu", i);
                        cr_expect(r == 0 || r == -EBADMSG || r == -EOPNOTSUPP, "offset %zu: %d: %s", i, r,
                                  e.message);
                        accepted += r == 0;
                        tried++;
                        r = erofs_check_fit(p.fd, 0, p.size, false, &e);
                        cr_expect(r == 0 || r == -EBADMSG || r == -EOPNOTSUPP, "offset %zu: %d: %s", i, r,
                                  e.message);
                        cr_assert_eq(pwrite_full(p.fd, &p.data[i], 1, i), 0);
                }
        cr_expect_gt(tried, 1000);
        cr_expect_lt(accepted, tried);
        picture_done(&p);
}
