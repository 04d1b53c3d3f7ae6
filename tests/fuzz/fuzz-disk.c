/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Partition tables that lie: the input changes header and entries of a sound one, whose checksums are then
 * made to hold, so that what lies behind them is reached. */
#include <isa-l/crc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "verity-tools/disk-image.h"

#define HEADER 92   /* bytes of the header */
#define LOCATION 24 /* where it says where it lies, the first of what may change */
#define ENTRIES ((size_t)32 * DISK_SECTOR)
#define CHANGED (2 * DISK_SECTOR + ENTRIES)

static void write_sound_disk(int fd)
{
        const struct disk_architecture *a = disk_architecture_from_name("x86-64");
        struct disk_image d = {.n_partitions = DISK_ROLES};

        for (enum disk_role role = 0; role < DISK_ROLES; role++) {
                d.partitions[role] = (struct disk_partition){
                        .offset = (role + 1) * DISK_ALIGNMENT, .size = 4096, .type = a->types[role]};
                d.partitions[role].uuid.bytes[0] = (uint8_t)(role + 1);
        }
        PROMISE(disk_image_write(fd, &d, NULL) == 0);
}

static uint32_t read32(const uint8_t *p)
{
        uint32_t n;

        memcpy(&n, p, sizeof(n));
        return n;
}

static void settle(uint8_t *header, const uint8_t *entries)
{
        uint64_t bytes = (uint64_t)read32(header + 80) * read32(header + 84);
        uint32_t crc = crc32_gzip_refl(0, entries, bytes < ENTRIES ? bytes : ENTRIES);

        memcpy(header + 88, &crc, 4);
        memset(header + 16, 0, 4);
        crc = crc32_gzip_refl(0, header, HEADER);
        memcpy(header + 16, &crc, 4);
}

static void change(uint8_t *disk, const uint8_t *data, size_t size)
{
        uint8_t *header = disk + DISK_SECTOR, *entries = header + DISK_SECTOR;

        for (size_t i = 0; i < size && i < HEADER - LOCATION; i++)
                header[LOCATION + i] ^= data[i];
        for (size_t i = HEADER - LOCATION; i < size && i < HEADER - LOCATION + ENTRIES; i++)
                entries[i - (HEADER - LOCATION)] ^= data[i];
        settle(header, entries);
}

static void expect_sound(int fd, const struct disk_image *d)
{
        const struct disk_partition *roles[DISK_ROLES];
        _cleanup_json_ sd_json_variant *v = NULL;
        struct stat st;

        PROMISE(fstat(fd, &st) == 0);
        PROMISE(d->n_partitions <= DISK_PARTITIONS_MAX);
        for (size_t i = 0; i < d->n_partitions; i++) {
                const struct disk_partition *p = &d->partitions[i];

                PROMISE(p->offset <= (uint64_t)st.st_size && p->size <= (uint64_t)st.st_size - p->offset);
        }
        if (disk_image_find_root(d, roles, NULL, NULL) == 0)
                PROMISE(roles[DISK_ROOT]);
        PROMISE(disk_image_to_json(d, &v) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t sound[CHANGED], disk[CHANGED];
        static int fd = -EBADF;
        struct disk_image d;

        if (fd < 0) {
                fd = memfd_create("disk", MFD_CLOEXEC);
                write_sound_disk(fd);
                PROMISE(pread(fd, sound, sizeof(sound), 0) == sizeof(sound));
        }
        memcpy(disk, sound, sizeof(disk));
        change(disk, data, size);
        PROMISE(pwrite(fd, disk, sizeof(disk), 0) == sizeof(disk));
        if (disk_image_read(fd, &d, NULL) >= 0)
                expect_sound(fd, &d);
        return 0;
}
