/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Partition tables: what other tools read of ours, and what is refused. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "scratch.h"
#include "verity-tools/disk-image.h"

TestSuite(disk, .init = scratch_enter, .fini = scratch_leave);

#define MIB (UINT64_C(1) << 20)

static struct disk_image example(const char *architecture)
{
        const struct disk_architecture *a = disk_architecture_from_name(architecture);
        struct disk_image d = {
                .uuid = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 87, 08, 89, 10, 11, 12, 13, 14, 15, 16),
                .n_partitions = DISK_ROLES};

        cr_assert_not_null(a);
        for (enum disk_role role = 0; role < DISK_ROLES; role++) {
                d.partitions[role] = (struct disk_partition){.offset = (role + 1) * MIB,
                                                             .size = 4096 * (role + 1),
                                                             .type = a->types[role],
                                                             .uuid = d.uuid,
                                                             .read_only = role != DISK_ROOT};
                d.partitions[role].uuid.bytes[15] = (uint8_t)role;
                (void)snprintf(d.partitions[role].label, sizeof(d.partitions[role].label), "part-%d é", role);
        }
        return d;
}

static void write_disk(const char *path, const struct disk_image *d)
{
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        struct error e = {};

        cr_assert_eq(disk_image_write(fd, d, &e), 0, "%s", e.message);
}

static int read_disk(const char *path, struct disk_image *ret, struct error *e)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

        cr_assert_eq(disk_image_probe(fd), 1);
        return disk_image_read(fd, ret, e);
}

Test(disk, reads_what_it_wrote)
{
        struct disk_image d = example("x86-64"), again = {};
        const struct disk_partition *roles[DISK_ROLES];
        const char *architecture = NULL;
        struct error e = {};

        write_disk("d", &d);
        cr_assert_eq(read_disk("d", &again, &e), 0, "%s", e.message);
        cr_assert_eq(again.n_partitions, 3);
        cr_expect(sd_id128_equal(again.uuid, d.uuid));
        for (size_t i = 0; i < 3; i++) {
                const struct disk_partition *p = &d.partitions[i], *q = &again.partitions[i];

                cr_expect_eq(p->offset, q->offset);
                cr_expect_eq(p->size, q->size);
                cr_expect(sd_id128_equal(p->type, q->type));
                cr_expect(sd_id128_equal(p->uuid, q->uuid));
                cr_expect_eq(strncmp(p->label, q->label, 7), 0);
                cr_expect_str_eq(q->label + 7, "??", "of an e with an accent");
                cr_expect_eq(p->read_only, q->read_only);
        }
        cr_assert_eq(disk_image_find_root(&again, roles, &architecture, &e), 0);
        cr_expect_str_eq(architecture, "x86-64");
        cr_expect_eq(roles[DISK_ROOT_VERITY_SIG], &again.partitions[2]);
}

Test(disk, other_tools_read_it)
{
        struct disk_image d = example("arm64");

        write_disk("d", &d);
        shell("sfdisk --verify d");
        shell("sfdisk --json d >json && grep -qi b921b045-1df0-41c3-af44-4c6f280d3fae json");
        shell("sfdisk --dump d | grep -q 'start= *4096, size= *16, .*attrs=\"GUID:60\"'");
        shell("sfdisk --dump d | grep -qi 'label-id: 01020304-0506-8708-8910-111213141516'");
        shell("test \"$(blkid -p -o value -s PTTYPE d)\" = gpt");
}

Test(disk, types_are_those_of_the_specification)
{
        _cleanup_free_ char *names = strdup(DISK_ARCHITECTURES), *rest = names;
        static const char *const suffixes[] = {"", "-verity", "-verity-sig"};

        for (const char *name; (name = strsep(&rest, "|"));)
                for (enum disk_role role = 0; role < DISK_ROLES; role++) {
                        const struct disk_architecture *a = disk_architecture_from_name(name);
                        _cleanup_free_ char *id =
                                shell_output("systemd-id128 show --value root-%s%s", name, suffixes[role]);
                        sd_id128_t known;

                        cr_assert_not_null(a, "%s", name);
                        cr_assert_eq(sd_id128_from_string(id, &known), 0);
                        cr_expect(sd_id128_equal(a->types[role], known), "%s%s", name, suffixes[role]);
                }
        cr_expect_null(disk_architecture_from_name("vax"));
}

Test(disk, same_bytes_always)
{
        struct disk_image d = example("x86-64");

        write_disk("a", &d);
        write_disk("b", &d);
        shell("cmp a b");
}

struct damage {
        char line[120];
        char says[60];
};

Test(disk, damage_is_refused)
{
        static const struct damage damages[] = {
                {"printf x | dd of=d bs=1 seek=560 conv=notrunc", "primary"},  /* header */
                {"printf x | dd of=d bs=1 seek=1100 conv=notrunc", "primary"}, /* entries */
                {"printf x | dd of=d bs=1 seek=$(($(stat -c %s d) - 512)) conv=notrunc", "backup"},
                {"printf x | dd of=d bs=1 seek=$(($(stat -c %s d) - 5000)) conv=notrunc", "backup"},
                {"truncate -s -4096 d", "GPT"},
                {"truncate -s 1M d", "GPT"},
                {"truncate -s +1M d", "mismatch"},
                {"printf '\\377\\377' | dd of=d bs=1 seek=594 conv=notrunc", "128 entries"},
                {"printf '\\377' | dd of=d bs=1 seek=$(($(stat -c %s d) - 512 + 85)) conv=notrunc",
                 "128 entries"},
        };
        struct disk_image d = example("x86-64"), again;

        for (size_t i = 0; i < ELEMENTSOF(damages); i++) {
                struct error e = {};

                write_disk("d", &d);
                shell("%s", damages[i].line);
                cr_expect_eq(read_disk("d", &again, &e), -EBADMSG, "%s", damages[i].line);
                cr_expect_not_null(strstr(e.message, damages[i].says), "%s: %s", damages[i].line, e.message);
        }
}

/* Sets first and last sector of the second partition in both tables, with the checksums that then hold. */
static const char move_partition[] =
        "import struct, sys, zlib\n"
        "d = bytearray(open('d', 'rb').read())\n"
        "first, last = int(sys.argv[1]), int(sys.argv[2])\n"
        "for header in (512, len(d) - 512):\n"
        "    entries, = struct.unpack_from('<Q', d, header + 72)\n"
        "    struct.pack_into('<QQ', d, entries * 512 + 128 + 32, first, last)\n"
        "    crc = zlib.crc32(d[entries * 512:entries * 512 + 128 * 128])\n"
        "    struct.pack_into('<I', d, header + 88, crc)\n"
        "    struct.pack_into('<I', d, header + 16, 0)\n"
        "    struct.pack_into('<I', d, header + 16, zlib.crc32(d[header:header + 92]))\n"
        "open('d', 'wb').write(d)\n";

Test(disk, partitions_elsewhere_are_refused)
{
        static const char *const places[] = {
                "2050 4000",                /* over the first partition */
                "5000 4999",                /* ends before it begins */
                "6200 6300",                /* behind the end of the disk */
                "0 4000",                   /* over the table itself */
                "4096 18446744073709551615" /* without end */
        };
        struct disk_image d = example("x86-64"), again;

        put_text("move.py", move_partition);
        write_disk("d", &d);
        shell("python3 move.py 4096 4111");
        cr_assert_eq(read_disk("d", &again, NULL), 0, "where it was");
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                struct error e = {};

                write_disk("d", &d);
                shell("python3 move.py %s", places[i]);
                cr_expect_eq(read_disk("d", &again, &e), -EBADMSG, "%s", places[i]);
                cr_expect_neq(e.message[0], '\0');
        }
}

Test(disk, several_roots_are_refused)
{
        struct disk_image d = example("x86-64");
        const struct disk_partition *roles[DISK_ROLES];
        struct error e = {};

        d.partitions[2].type = d.partitions[0].type;
        cr_expect_eq(disk_image_find_root(&d, roles, NULL, &e), -EBADMSG);
        d.partitions[2].type = disk_architecture_from_name("x86")->types[DISK_ROOT];
        cr_expect_eq(disk_image_find_root(&d, roles, NULL, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "x86-64 and x86"));
        d.n_partitions = 0;
        cr_expect_eq(disk_image_find_root(&d, roles, NULL, &e), -EBADMSG);
}
