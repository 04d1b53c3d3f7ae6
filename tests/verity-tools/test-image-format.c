/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FORMAT.md: the bytes of an image, pinned, whatever the surroundings; and what other programs read in them.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/hex.h"
#include "listing.h"
#include "scratch.h"
#include "tar-writer.h"
#include "verity-tools/build.h"

TestSuite(image_format, .init = scratch_enter, .fini = scratch_leave);

static void build(const char *source, const char *output, unsigned threads, char root_hash[static 129])
{
        struct build_options o = {.threads = threads, .allow_setuid = true};
        struct verity_geometry g = {};
        struct error e = {};

        cr_assert_eq(build_image(source, output, &o, &g, &e), 0, "%s", e.message);
        verity_geometry_root_hash(&g, root_hash);
}

/* --- pinned --- */

struct vector {
        const char *name;
        void (*make)(struct tar_writer *w);
        const char *tar, *image, *root_hash; /* SHA-256 of the tar and of the image; root hash */
};

static void make_nothing(struct tar_writer *w)
{
}

static void make_hello(struct tar_writer *w)
{
        tar_writer_directory(w, "./");
        tar_writer_file(w, "./hello", "hello\n");
}

static void make_types(struct tar_writer *w)
{
        static const uint8_t capability[] = {1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
        char target[100];

        memset(target, 't', 99);
        target[99] = '\0';
        tar_writer_header(w,
                          &(struct tar_header){
                                  .name = "./", .type = '5', .mode = 01777, .uid = 1, .gid = 2, .mtime = 3});
        tar_writer_pax(w, "mtime", "1700000000.123456789", 20);
        tar_writer_pax(w, "SCHILY.xattr.user.b", "value", 5);
        tar_writer_file(w, "with-xattr", "");
        tar_writer_pax(w, "SCHILY.acl.access", "user::rw-,user:lisa:r--:1000,group::rwx,mask::r--,other::---",
                       58);
        tar_writer_file(w, "with-acl", "acl");
        tar_writer_pax(w, "SCHILY.xattr.security.capability", capability, sizeof(capability));
        tar_writer_file(w, "with-capability", "capability");
        tar_writer_header(w, &(struct tar_header){.name = "setuid", .mode = 04755});
        tar_writer_header(w, &(struct tar_header){.name = "hard", .link = "with-acl", .type = '1'});
        tar_writer_header(w, &(struct tar_header){.name = "link", .link = target, .type = '2', .mode = 0777});
        tar_writer_header(w,
                          &(struct tar_header){
                                  .name = "character", .type = '3', .mode = 0600, .major = 4, .minor = 300});
        tar_writer_header(w,
                          &(struct tar_header){
                                  .name = "block", .type = '4', .mode = 0600, .major = 259, .minor = 70000});
        tar_writer_header(w, &(struct tar_header){.name = "pipe", .type = '6', .mode = 0644});
        tar_writer_file(w, "opaque/.wh..wh..opq", "");
        tar_writer_file(w, "opaque/.wh.gone", "");
        tar_writer_directory(w, "-before-dot");
        tar_writer_directory(w, "...");
}

static void make_many(struct tar_writer *w)
{
        char name[32], content[5000];

        for (unsigned i = 0; i < 700; i++) {
                (void)snprintf(name, sizeof(name), "many/%06u", i * 7919 % 700);
                tar_writer_file(w, name, i % 3 ? name : "");
        }
        memset(content, 'c', sizeof(content) - 1);
        content[sizeof(content) - 1] = '\0';
        for (unsigned i = 4090; i <= 4099; i++) {
                (void)snprintf(name, sizeof(name), "of-%u", i);
                tar_writer_header(w, &(struct tar_header){.name = name, .mode = 0600, .size = i});
                tar_writer_data(w, content, i);
        }
}

static const struct vector vectors[] = {
        {"nothing", make_nothing, "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
         "cda680e212a7cf1eb0a0069bd48c8019dab008815468e809310a6a0e747df31b",
         "7fee71fe06fcd6d5164e697ad2c4a2e7ef485fd6e8222491f73484ca1b1c88d0"},
        {"hello", make_hello, "6855d25c03a809b00fc39113a9b0bd9f65153edf917b33be9883238c8a4391d6",
         "1f9123eae9eaa9329cbc05aca2e514de63416704b7bd68e5a6f48d3d45e2c63e",
         "8036660cd062bb400401a96174b852b62223c3aedcf244a77dffd8faee49118f"},
        {"types", make_types, "c33eef6cb9424fbce81bd37503a7bf5f0f5858e6e9337c3468f89f1ab3530787",
         "d833d994a1b782b96e57d5c1483beb65f82b723c5b20209de8e16a613e6d66d5",
         "e8c0449d4ae2bfe52a456da66bb7a399f4f7fcaf9692225c9f4c8cfe794e9470"},
        {"many", make_many, "63ea95c6415e3630b0160008fe5efbe5d4134dbcca2f25983cfab7c366563c62",
         "009f6d255de51712fd610a5d34a500c6c919f8705f2c02f5f6a8ddece5106b39",
         "c7694baa6f89b76b555bcef63696de760f217a79a820e996077c0933cf957bec"},
};

static void digest_of(const char *path, char ret[static 65])
{
        size_t size = 0;
        char *data = slurp(path, &size);
        uint8_t hash[32];

        cr_assert_eq(trust_sha256(data, size, hash), 0);
        hex_encode(hash, sizeof(hash), ret);
        free(data);
}

static void make_vector(const struct vector *v)
{
        struct tar_writer w = {};

        v->make(&w);
        tar_writer_save(&w, "v.tar");
}

Test(image_format, pinned_digests)
{
        for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
                const struct vector *v = &vectors[i];
                char root_hash[129], digest[65];

                make_vector(v);
                digest_of("v.tar", digest);
                cr_expect_str_eq(digest, v->tar, "%s: tar %s", v->name, digest);
                build("v.tar", "v.img", 0, root_hash);
                cr_expect_str_eq(root_hash, v->root_hash, "%s: root hash %s", v->name, root_hash);
                digest_of("v.img", digest);
                cr_expect_str_eq(digest, v->image, "%s: image %s", v->name, digest);
        }
}

Test(image_format, the_page_has_the_same_digests)
{
        _cleanup_free_ char *page = slurp(FORMAT_PAGE, NULL);

        for (size_t i = 0; i < ELEMENTSOF(vectors); i++)
                cr_expect(strstr(page, vectors[i].tar) && strstr(page, vectors[i].image) &&
                                  strstr(page, vectors[i].root_hash),
                          "%s", vectors[i].name);
}

/* --- whatever the surroundings --- */

static void build_in(const char *environment, const struct vector *v)
{
        static const char *const masks[] = {"077", "000", "022"};
        char digest[65];

        make_vector(v);
        for (unsigned i = 0; i < 3; i++) {
                shell("umask %s && taskset -c %u env %s %s/verity build v.tar -o v.img --allow-setuid "
                      ">/dev/null",
                      masks[i], i % 2, environment, BIN_DIR);
                digest_of("v.img", digest);
                cr_expect_str_eq(digest, v->image, "%s: %s", v->name, environment);
        }
}

Test(image_format, any_locale_zone_umask)
{
        static const char *const environments[] = {"LC_ALL=C TZ=UTC",
                                                   "LC_ALL=C.UTF-8 TZ=Asia/Tokyo SOURCE_DATE_EPOCH=12345",
                                                   "POSIXLY_CORRECT=1 TZ=America/St_Johns TMPDIR=/nowhere"};

        for (size_t i = 0; i < ELEMENTSOF(environments); i++)
                for (size_t k = 0; k < ELEMENTSOF(vectors); k++)
                        build_in(environments[i], &vectors[k]);
}

Test(image_format, any_number_of_threads)
{
        for (unsigned threads = 1; threads <= 5; threads++)
                for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
                        char root_hash[129];

                        make_vector(&vectors[i]);
                        build("v.tar", "v.img", threads, root_hash);
                        cr_expect_str_eq(root_hash, vectors[i].root_hash, "%s with %u threads",
                                         vectors[i].name, threads);
                }
}

Test(image_format, any_order_in_a_directory)
{
        char forward[129], backward[129];

        shell("mkdir -p a/d b/d && for i in $(seq 100 400); do echo $i >a/d/$i; ln -s $i a/l$i; done && "
              "for i in $(seq 400 -1 100); do ln -s $i b/l$i; echo $i >b/d/$i; done");
        build("a", "a.img", 0, forward);
        build("b", "b.img", 0, backward);
        cr_expect_str_eq(forward, backward);
        shell("cmp a.img b.img");
}

Test(image_format, a_tree_and_its_tar_are_the_same)
{
        char tree[129], tar[129];

        shell("mkdir -p t/b/c t/e && echo x >t/b/c/f && ln t/b/c/f t/e/hard && ln -s ../b t/e/soft && mkfifo "
              "t/e/pipe && "
              "mknod t/e/null c 1 3 && head -c 20000 /dev/zero >t/b/zeros && touch -d @77 t/b/c/f");
        cr_assert_eq(setxattr("t/b/zeros", "user.a", "1", 1, 0), 0);
        build("t", "tree.img", 0, tree);
        shell("tar -C t --sort=name --mtime=@0 --xattrs --format=pax --pax-option=delete=atime,delete=ctime "
              "-cf t.tar .");
        build("t.tar", "tar.img", 0, tar);
        cr_expect_str_eq(tree, tar);
        shell("cmp tree.img tar.img");
}

/* --- what is in them, read by other programs --- */

Test(image_format, fsck_and_veritysetup_agree)
{
        for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
                char root_hash[129];
                struct stat st;
                _cleanup_free_ char *blocks = NULL;

                make_vector(&vectors[i]);
                build("v.tar", "v.img", 0, root_hash);
                blocks = shell_output(
                        "fsck.erofs v.img >/dev/null && dump.erofs -s v.img | sed -n 's/.*blocks: *//p'");
                cr_assert_eq(stat("v.img", &st), 0);
                shell("veritysetup verify v.img v.img %s --hash-offset=$((%s * 4096))", root_hash, blocks);
        }
}

Test(image_format, entries)
{
        _cleanup_free_ char *text = NULL;
        char root_hash[129];

        make_vector(&vectors[2]);
        build("v.tar", "v.img", 0, root_hash);
        text = listing("v.img");
        cr_expect_str_eq(
                text,
                ". d 1777 1:2 5 3.0\n"
                "-before-dot d 0755 0:0 2 0.0\n"
                "... d 0755 0:0 2 0.0\n"
                "block b 0600 0:0 1 0.0 259:70000\n"
                "character c 0600 0:0 1 0.0 4:300\n"
                "hard f 0640 0:0 2 0.0 3 bc806d12 "
                "system.posix_acl_access="
                "0200000001000600ffffffff02000400e803000004000700ffffffff10000400ffffffff20000000ffffffff\n"
                "link l 0777 0:0 1 0.0 -> "
                "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"
                "ttttttt\n"
                "opaque d 0755 0:0 2 0.0 trusted.overlay.opaque=79\n"
                "opaque/gone c 0000 0:0 1 0.0 0:0\n"
                "pipe p 0644 0:0 1 0.0\n"
                "setuid f 4755 0:0 1 0.0 0 00000000\n"
                "with-acl f 0640 0:0 2 0.0 3 bc806d12 "
                "system.posix_acl_access="
                "0200000001000600ffffffff02000400e803000004000700ffffffff10000400ffffffff20000000ffffffff\n"
                "with-capability f 0644 0:0 1 0.0 10 96b1e230 "
                "security.capability=0100000200200000000000000000000000000000\n"
                "with-xattr f 0644 0:0 1 1700000000.123456789 0 00000000 user.b=76616c7565\n");
}

Test(image_format, extraction_is_what_tar_extracts)
{
        char root_hash[129];

        make_vector(&vectors[3]);
        build("v.tar", "v.img", 0, root_hash);
        shell("mkdir x && tar -C x -xf v.tar && fsck.erofs --extract=y --no-preserve v.img && diff -r x y");
}

/* Contents of links and directories behind their inode, from the last that fits a block to the first that
 * does not. */
Test(image_format, inline_to_the_last_byte)
{
        for (unsigned size = 4020; size <= 4040; size++) {
                _cleanup_free_ char *layout = NULL, *target = NULL;
                char root_hash[129];

                shell("rm -rf t && mkdir t && ln -s $(head -c %u /dev/zero | tr '\\0' x) t/l", size);
                build("t", "t.img", 0, root_hash);
                layout = shell_output(
                        "fsck.erofs t.img >/dev/null && dump.erofs --path=/l t.img | grep -o 'Layout: .'");
                cr_expect_str_eq(layout, size <= 4032 ? "Layout: 2" : "Layout: 0", "%u", size);
                target = shell_output(
                        "rm -rf x && fsck.erofs --extract=x t.img >/dev/null && readlink x/l | wc -c");
                cr_expect_eq(strtoul(target, NULL, 10), size + 1);
        }
}

Test(image_format, attributes_across_blocks)
{
        uint8_t value[3000], found[3001];
        struct tar_writer w = {};
        char root_hash[129], name[32];

        fill_pattern(value, sizeof(value));
        for (unsigned i = 0; i < 30; i++) {
                (void)snprintf(name, sizeof(name), "f%u", i);
                value[0] = (uint8_t)i;
                tar_writer_pax(&w, "SCHILY.xattr.user.a", value, sizeof(value) - i);
                tar_writer_file(&w, name, "");
        }
        tar_writer_save(&w, "t.tar");
        build("t.tar", "t.img", 0, root_hash);
        shell("fsck.erofs --extract=x --xattrs t.img");
        for (unsigned i = 0; i < 30; i++) {
                (void)snprintf(name, sizeof(name), "x/f%u", i);
                value[0] = (uint8_t)i;
                cr_assert_eq(getxattr(name, "user.a", found, sizeof(found)), sizeof(value) - i);
                cr_expect_eq(memcmp(found, value, sizeof(value) - i), 0);
        }
}

/* The labels are those that mkfs.erofs gives. */
Test(image_format, labels)
{
        struct build_options o = {.file_contexts = "contexts"};
        _cleanup_free_ char *ours = NULL, *theirs = NULL;
        struct verity_geometry g = {};
        struct error e = {};

        put_text("contexts", "/.*\tsystem_u:object_r:os_t:s0\n/(run|tmp)/.*\t<<none>>\n"
                             "/usr/bin/tool\t--\tsystem_u:object_r:tool_t:s0\n/usr/lib(/"
                             ".*)?\t-d\tsystem_u:object_r:lib_t:s0\n");
        shell("mkdir -p t/usr/bin t/usr/lib/a t/run/x && echo 1 >t/usr/bin/tool && ln -s tool t/usr/bin/link "
              "&& "
              "ln t/usr/bin/tool t/hard && echo 2 >t/usr/lib/a/f && mkfifo t/run/x/p && find t -exec touch "
              "-h -d @0 {} + && "
              "mkfs.erofs --quiet -T0 -Uclear --file-contexts=contexts m.img t");
        cr_assert_eq(build_image("t", "t.img", &o, &g, &e), 0, "%s", e.message);
        ours = listing("t.img");
        theirs = listing("m.img");
        cr_expect_str_eq(ours, theirs);
        cr_expect_not_null(strstr(ours, "security.selinux="));
}
