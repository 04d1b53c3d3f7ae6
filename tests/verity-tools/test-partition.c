/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Partitions in a sysfs and a /dev made of files, as Linux shows them; the GPT is sfdisk's. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "verity-tools/internal.h"

#define UUID_A "11111111-2222-3333-4444-555555555501"
#define UUID_B "11111111-2222-3333-4444-5555555555ff"

static void put_disk(const char *disk)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "devices/%s/queue/logical_block_size", disk);
        put_text(path, "512\n");
}

static void put_partition(const char *disk, unsigned number, const char *label)
{
        char path[128], text[256], target[128];

        (void)snprintf(path, sizeof(path), "devices/%s/%s%u/partition", disk, disk, number);
        (void)snprintf(text, sizeof(text), "%u\n", number);
        put_text(path, text);
        (void)snprintf(path, sizeof(path), "devices/%s/%s%u/size", disk, disk, number);
        put_text(path, "8\n");
        (void)snprintf(path, sizeof(path), "devices/%s/%s%u/uevent", disk, disk, number);
        (void)snprintf(text, sizeof(text), "MAJOR=254\nDEVNAME=%s%u\nDEVTYPE=partition\nPARTN=%u\n%s%s\n",
                       disk, number, number, label ? "PARTNAME=" : "", label ?: "");
        put_text(path, text);
        (void)snprintf(path, sizeof(path), "block/%s%u", disk, number);
        (void)snprintf(target, sizeof(target), "../devices/%s/%s%u", disk, disk, number);
        cr_assert_eq(symlink(target, path), 0);
}

/* vda has three partitions, vdb one whose name one of them has too. */
static void set_up(void)
{
        scratch_enter();
        cr_assert_eq(mkdir("block", 0755), 0);
        put_disk("vda");
        put_disk("vdb");
        cr_assert_eq(symlink("../devices/vda", "block/vda"), 0);
        cr_assert_eq(symlink("../devices/vdb", "block/vdb"), 0);
        put_partition("vda", 1, "root");
        put_partition("vda", 2, "both");
        put_partition("vda", 3, NULL);
        put_partition("vdb", 1, "both");
        shell("mkdir dev && truncate -s 4M dev/vda dev/vdb && "
              "printf 'label: gpt\\nsize=1M, name=root, uuid=%s\\nsize=1M, name=both, "
              "uuid=%s\\nsize=512K\\n' | sfdisk -q dev/vda && "
              "printf 'label: gpt\\nsize=1M, name=both, uuid=%s\\n' | sfdisk -q dev/vdb",
              UUID_A, UUID_B, UUID_B);
}

TestSuite(partition, .init = set_up, .fini = scratch_leave);

static int find(enum partition_key key, const char *value, const char *disk, struct partition *ret,
                struct error *e)
{
        return partition_find("block", "dev", key, value, disk, ret, e);
}

Test(partition, by_label)
{
        struct partition p = {};
        struct error e = {};

        cr_assert_eq(find(PARTITION_LABEL, "root", NULL, &p, &e), 0, "%s", e.message);
        cr_expect_str_eq(p.path, "dev/vda1");
        cr_expect_str_eq(p.disk, "vda");
        cr_expect_str_eq(p.uuid, UUID_A);
        cr_expect_eq(p.size, 4096);
        cr_expect_eq(find(PARTITION_LABEL, "roo", NULL, &p, &e), -ENOENT);
        cr_expect_eq(find(PARTITION_LABEL, "root", "vdb", &p, &e), -ENOENT);
        cr_expect_eq(find(PARTITION_LABEL, "", "vdb", &p, &e), -ENOENT);
}

Test(partition, by_uuid)
{
        struct partition p = {};
        struct error e = {};

        cr_assert_eq(find(PARTITION_UUID, UUID_A, NULL, &p, &e), 0, "%s", e.message);
        cr_expect_str_eq(p.path, "dev/vda1");
        cr_assert_eq(find(PARTITION_UUID, "11111111-2222-3333-4444-5555555555FF", "vda", &p, &e), 0, "%s",
                     e.message);
        cr_expect_str_eq(p.path, "dev/vda2");
        cr_expect_eq(find(PARTITION_UUID, "11111111-2222-3333-4444-555555555502", NULL, &p, &e), -ENOENT);
}

Test(partition, by_type)
{
        struct partition p = {};
        struct error e = {};

        shell("sfdisk -q --part-type dev/vda 3 4D21B016-B534-45C2-A9FB-5C16E091FD2D");
        cr_assert_eq(find(PARTITION_TYPE, "4d21b016-b534-45c2-a9fb-5c16e091fd2d", "vda", &p, &e), 0, "%s",
                     e.message);
        cr_expect_str_eq(p.path, "dev/vda3");
        cr_expect_str_eq(p.type, "4d21b016-b534-45c2-a9fb-5c16e091fd2d");
        cr_expect_eq(find(PARTITION_TYPE, p.type, "vdb", &p, &e), -ENOENT);
        cr_expect_eq(find(PARTITION_TYPE, "0fc63daf-8483-4772-8e79-3d69d8477de4", "vda", &p, &e), -ENOTUNIQ);
}

Test(partition, duplicates_are_an_error)
{
        struct partition p = {};
        struct error e = {};

        cr_expect_eq(find(PARTITION_LABEL, "both", NULL, &p, &e), -ENOTUNIQ);
        cr_expect_not_null(strstr(e.message, "dev/vdb1"), "%s", e.message);
        cr_expect_eq(find(PARTITION_UUID, UUID_B, NULL, &p, &e), -ENOTUNIQ);
        cr_expect_eq(find(PARTITION_LABEL, "both", "vdb", &p, &e), 0);
        cr_expect_str_eq(p.path, "dev/vdb1");
}

Test(partition, the_kernels_uuid_goes_first)
{
        struct partition p = {};

        put_text("devices/vda/vda1/uevent", "DEVNAME=vda1\nPARTN=1\nPARTNAME=root\nPARTUUID=abc\n");
        cr_assert_eq(find(PARTITION_UUID, "ABC", NULL, &p, NULL), 0);
        cr_expect_str_eq(p.path, "dev/vda1");
}

Test(partition, a_disk_without_gpt_has_no_uuids)
{
        struct partition p = {};

        shell("truncate -s 0 dev/vda && truncate -s 4M dev/vda");
        cr_expect_eq(find(PARTITION_UUID, UUID_A, NULL, &p, NULL), -ENOENT);
        cr_assert_eq(find(PARTITION_LABEL, "root", NULL, &p, NULL), 0,
                     "the name still comes from the kernel");
        cr_expect_str_eq(p.uuid, "");
}

Test(partition, lying_gpt_headers)
{
        /* Entries at the end of the number space, entries of 4 GiB, no entries. */
        static const struct {
                const char *bytes;
                unsigned offset;
        } lies[] = {
                {"\\377\\377\\377\\377\\377\\377\\377\\177", 512 + 72},
                {"\\377\\377\\377\\377", 512 + 84},
                {"\\000\\000\\000\\000", 512 + 80},
        };
        struct partition p = {};

        for (size_t i = 0; i < ELEMENTSOF(lies); i++) {
                shell("printf '%s' | dd of=dev/vda bs=1 seek=%u conv=notrunc", lies[i].bytes, lies[i].offset);
                cr_expect_eq(find(PARTITION_UUID, UUID_A, "vda", &p, NULL), -ENOENT, "%s", lies[i].bytes);
        }
        shell("truncate -s 100 dev/vda");
        cr_expect_eq(find(PARTITION_UUID, UUID_A, "vda", &p, NULL), -EIO);
}
