/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk images as `verity rootfs` makes them: what systemd and other tools say of them, and what `verity
 * verify` finds when they are changed. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "scratch.h"

/* Where the partitions of the example lie: it always is the same. */
#define ROOT 1048576
#define ROOT_SIZE "602112"
#define TREE 2097152
#define SIGNATURE 3145728

/* disk.raw and its root hash; trust and foreign, which trusts somebody else. */
static void set_up(void)
{
        scratch_enter();
        cr_assert_eq(setenv("PATH", BIN_DIR ":/usr/sbin:/usr/bin:/sbin:/bin", 1), 0);
        shell("mkdir -p tree/usr/lib tree/etc trust foreign && echo ID=test >tree/usr/lib/os-release && "
              "ln -s ../usr/lib/os-release tree/etc/os-release && seq 100000 >tree/usr/lib/numbers && "
              "verity keygen --purpose=rootfs --key=k --certificate=c.pem --algorithm=p256 && "
              "verity keygen --purpose=rootfs --key=f --certificate=foreign/rootfs.pem --algorithm=p256 && "
              "cp c.pem trust/rootfs.pem && "
              "verity rootfs tree -o disk.raw --key=k --certificate=c.pem >root-hash");
}

TestSuite(rootfs, .init = set_up, .fini = scratch_leave);

Test(rootfs, is_a_discoverable_disk_image)
{
        shell("sfdisk --verify disk.raw");
        shell("systemd-dissect --validate --image-policy=root=signed disk.raw");
        shell("sfdisk --dump disk.raw >dump && grep -c 'attrs=\"GUID:60\"' dump | grep -qx 3");
        shell("h=$(tr a-f A-F <root-hash) && "
              "grep -q \"4F68BCE3-.*uuid=$(echo $h | sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/"
              "\\1-\\2-\\3-\\4-\\5/'), name=\\\"root\\\"\" dump && "
              "grep -q \"2C7357ED-.*uuid=$(echo $h | sed -E 's/^.{32}(.{8})(.{4})(.{4})(.{4})(.{12})/"
              "\\1-\\2-\\3-\\4-\\5/'), name=\\\"root-verity\\\"\" dump && "
              "grep -q '41092B05-.*name=\"root-verity-sig\"' dump");
}

Test(rootfs, its_parts_are_what_other_tools_read)
{
        shell("fsck.erofs --offset=%d disk.raw", ROOT);
        shell("dd if=disk.raw of=root bs=4096 skip=%d count=$((" ROOT_SIZE " / 4096)) status=none && "
              "dd if=disk.raw of=tree-part bs=4096 skip=%d status=none && "
              "veritysetup verify root tree-part $(cat root-hash)",
              ROOT / 4096, TREE / 4096);
        shell("dd if=disk.raw bs=4096 skip=%d count=4 status=none | tr -d '\\0' >json && "
              "python3 -c 'import base64, json; j = json.load(open(\"json\")); "
              "open(\"der\", \"wb\").write(base64.b64decode(j[\"signature\"])); "
              "open(\"hex\", \"w\").write(j[\"rootHash\"])' && test $(cat hex) = $(cat root-hash) && "
              "openssl cms -verify -binary -inform DER -in der -content hex -certfile c.pem -CAfile c.pem "
              "-purpose any -out /dev/null",
              SIGNATURE / 4096);
}

Test(rootfs, same_bytes_from_tree_and_tar_whatever_the_surroundings)
{
        shell("sha256sum <disk.raw >expected");
        shell("umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 verity rootfs tree -o again.raw --key=k "
              "--certificate=c.pem && "
              "sfdisk --dump disk.raw | grep -v sig | sed s/disk.raw// >a && "
              "sfdisk --dump again.raw | grep -v sig | sed s/again.raw// >b && cmp a b");
        shell("verity rootfs tree -o unsigned.raw && verity rootfs tree -o unsigned-2.raw && "
              "cmp unsigned.raw unsigned-2.raw");
        shell("verity keygen --purpose=rootfs --key=r --certificate=r.pem && "
              "verity rootfs tree -o r1 --key=r --certificate=r.pem && "
              "verity rootfs tree -o r2 --key=r --certificate=r.pem && cmp r1 r2");
        shell("tar -C tree --sort=name --owner=0 --group=0 --mtime=@0 -cf t.tar . && "
              "verity rootfs t.tar -o tar.raw && cmp tar.raw unsigned.raw");
}

/* The digest is also in FORMAT.md. Another one is another format. */
Test(rootfs, golden_digest)
{
        shell("mkdir -m 755 t && echo hello >t/hello && chmod 644 t/hello && verity rootfs t -o h.raw && "
              "d=$(sha256sum <h.raw | cut -d' ' -f1) && "
              "test $d = e11550dae2f95161792b01cb1e6ecc0633ca6d091ae15fb2606bbed86b128c67 && grep -q "
              "$d " FORMAT_PAGE);
}

Test(rootfs, other_architectures_and_labels)
{
        shell("verity rootfs tree -o arm.raw --architecture=arm64 --label=my_root-1.2 --key=k "
              "--certificate=c.pem");
        shell("sfdisk --dump arm.raw | grep -q 'B921B045-.*name=\"my_root-1.2\"'");
        shell("sfdisk --dump arm.raw | grep -q '6DB69DE6-.*name=\"my_root-1.2-verity-sig\"'");
        shell("verity verify arm.raw --trust=trust");
}

Test(rootfs, gaps_take_no_space)
{
        shell("test $(du -B 1 disk.raw | cut -f1) -lt $(($(stat -c %%s disk.raw) / 2))");
}

Test(rootfs, json_tells_where_the_partitions_are)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = shell_output("verity rootfs tree -o j.raw --json=short");
        sd_json_variant *disk = NULL, *partitions = NULL;
        uint64_t offset = 0, size = 0;
        struct error e = {};

        cr_assert_eq(json_parse("json", text, &v, &e), 0, "%s", e.message);
        cr_assert_eq(json_object(v, "json", "disk", &disk, &e), 0, "%s", e.message);
        cr_assert_eq(json_array(disk, "disk", "partitions", &partitions, &e), 0, "%s", e.message);
        cr_assert_eq(sd_json_variant_elements(partitions), 2, "unsigned");
        cr_expect_eq(json_unsigned(sd_json_variant_by_index(partitions, 1), "p", "offset", UINT64_MAX,
                                   &offset, &e),
                     0);
        cr_expect_eq(json_unsigned(v, "json", "data_size", UINT64_MAX, &size, &e), 0);
        cr_expect_eq(offset, TREE);
        cr_expect_eq(size, strtoull(ROOT_SIZE, NULL, 10));
}

Test(rootfs, a_signature_made_elsewhere)
{
        shell("verity rootfs tree -o u.raw && verity sign u.raw --root-hash=$(cat root-hash) "
              "--purpose=rootfs "
              "--certificate=c.pem --digest-out=digest && "
              "openssl pkeyutl -sign -inkey k -in digest -pkeyopt digest:sha256 -out raw && "
              "verity rootfs tree -o e.raw --certificate=c.pem --attach=raw && "
              "verity verify e.raw --trust=trust && systemd-dissect --validate --image-policy=root=signed "
              "e.raw");
        shell("echo other >tree/other && ! verity rootfs tree -o f.raw --certificate=c.pem --attach=raw && "
              "test ! -e f.raw");
}

Test(rootfs, what_was_there_stays_until_the_new_one_is_complete)
{
        shell("cp disk.raw before && echo other >tree/other");
        shell("! (ulimit -f 1000; verity rootfs tree -o disk.raw) && cmp disk.raw before && ! ls *.tmp");
        shell("! (ulimit -f 1000; trap '' XFSZ; verity rootfs tree -o disk.raw) && cmp disk.raw before && ! "
              "ls *.tmp");
        shell("verity rootfs tree -o disk.raw && ! cmp -s disk.raw before");
}

struct invocation {
        char line[200];
        int status;
        char says[80];
};

/* Writes one byte of disk.raw; the shell's own idea of places. */
#define CHANGE(at) "printf x | dd of=disk.raw bs=1 conv=notrunc status=none seek=$((" #at ")); "

ParameterizedTestParameters(rootfs, answers)
{
        static struct invocation cases[] = {
                {"verity verify disk.raw --trust=trust", 0, "and the signature a trusted one for rootfs"},
                {"verity verify disk.raw --trust=trust --json=short", 0, "\"purpose\":\"rootfs\""},
                {"verity verify disk.raw --trust=trust --json=short", 0, "\"signature_verified\":true"},
                {"verity verify disk.raw --trust=trust --root-hash=$(cat root-hash)", 0, "match"},
                {"verity verify disk.raw --root-hash=$(cat root-hash)", 0, "match"},
                {"verity verify disk.raw", 2, "--root-hash"},
                {"verity verify disk.raw --trust=foreign", 1, "foreign/rootfs.pem expected"},
                {"verity verify disk.raw --trust=trust --purpose=layer", 1, "purpose"},
                {"verity verify disk.raw --trust=trust --root-hash=$(cat root-hash | tr 0-9 1-90)", 1,
                 "GUID"},
                {"verity verify disk.raw --trust=trust --salt=00", 2, "--no-superblock"},
                {"verity rootfs tree -o u.raw >/dev/null; verity verify u.raw --trust=trust", 1,
                 "signature partition"},
                {CHANGE(1048576 + 500000) "verity verify disk.raw --trust=trust", 1, "data block 122"},
                {CHANGE(2097152 + 4096 + 9) "verity verify disk.raw --trust=trust", 1, "hash tree"},
                {CHANGE(2097152 + 65) "verity verify disk.raw --trust=trust", 1, "superblock"},
                {CHANGE(3145728 + 14) "verity verify disk.raw --trust=trust", 1, "rootHash"},
                {CHANGE(3145728 + 16000) "verity verify disk.raw --trust=trust", 1, "NUL"},
                {CHANGE(1024 + 128 + 17) "verity verify disk.raw --trust=trust", 1, "partition table"},
                {"sfdisk -q --part-uuid disk.raw 1 11111111-1111-1111-1111-111111111111; "
                 "verity verify disk.raw --trust=trust",
                 1, "GUID"},
                {"sfdisk -q --part-uuid disk.raw 2 11111111-1111-1111-1111-111111111111; "
                 "verity verify disk.raw --trust=trust",
                 1, "GUID"},
                {"sfdisk -q --delete disk.raw 2; verity verify disk.raw --trust=trust", 1,
                 "hash tree expected"},
                {"sfdisk -q --delete disk.raw 1; verity verify disk.raw --trust=trust", 1, "root partition"},
                {"verity rootfs tree", 2, "--output"},
                {"verity rootfs absent -o x", 2, "absent"},
                {"verity rootfs tree -o x --key=k", 2, "--certificate"},
                {"verity rootfs tree -o x --label=a/b", 2, "label"},
                {"tar cf t.tar tree; : >contexts; verity rootfs t.tar -o x --file-contexts=contexts", 2,
                 "a directory expected with --file-contexts"},
                {"verity rootfs tree -o x --label=a2345678901234567890123456", 2, "label"},
                {"verity rootfs tree -o x --architecture=vax", 2, "x86-64"},
                {"verity keygen --purpose=layer --key=l --certificate=l.pem; "
                 "verity rootfs tree -o x --key=l --certificate=l.pem",
                 1, "purpose rootfs expected, found layer"},
                {"chmod u+s tree/usr/lib/numbers; verity rootfs tree -o x", 1, "--allow-setuid"},
                {"head -c 5000 /dev/urandom >noise; verity rootfs noise -o x", 1, "noise"},
        };

        return cr_make_param_array(struct invocation, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct invocation *i, rootfs, answers)
{
        char *argv[] = {(char *)"sh", (char *)"-c", i->line, NULL};
        struct process_result result = {};

        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        cr_expect_eq(result.status, i->status, "%s: exit status %d expected, found %d: %s", i->line,
                     i->status, result.status, result.output);
        cr_expect_not_null(strstr(result.output, i->says), "%s: \"%s\" expected, found: %s", i->line, i->says,
                           result.output);
        free(result.output);
        shell("! ls *.tmp x 2>/dev/null");
}
