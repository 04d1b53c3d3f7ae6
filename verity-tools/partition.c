/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Partitions as the kernel found them. It tells their names, but Linux 6.12 not their GUIDs: those are looked
 * up in the GPT that the kernel accepted, at the entry of the partition's number. Nothing found here is
 * trusted; dm-verity checks what is on it. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "internal.h"

#define SYSFS_FILE_MAX 4096

struct gpt_header {
        uint8_t signature[8];
        uint8_t skipped[64];
        uint64_t entries_lba;
        uint32_t n_entries;
        uint32_t entry_size;
} __attribute__((packed));

struct gpt_guid {
        uint32_t a;
        uint16_t b, c;
        uint8_t d[8];
} __attribute__((packed));

static int read_sysfs_number(int dirfd, const char *path, uint64_t *ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        char *end;
        int r;

        r = read_file(dirfd, path, SYSFS_FILE_MAX, &text, NULL, e);
        if (r < 0)
                return r;
        errno = 0;
        *ret = strtoull(text, &end, 10);
        if (errno != 0 || end == text || (*end != '\n' && *end != '\0'))
                return error_set(e, -EIO, "%s: a number expected, found \"%.40s\"", path, text);
        return 0;
}

/* Copies the value of KEY= from a uevent text; cut at size. */
static bool uevent_value(const char *text, const char *key, char *ret, size_t size)
{
        size_t n = strlen(key);

        for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (strncmp(line, key, n) == 0 && line[n] == '=') {
                        (void)snprintf(ret, size, "%.*s", (int)strcspn(line + n + 1, "\n"), line + n + 1);
                        return true;
                }
        return false;
}

static void format_guid(const struct gpt_guid *g, char ret[static 37])
{
        (void)snprintf(ret, 37, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", le32toh(g->a),
                       le16toh(g->b), le16toh(g->c), g->d[0], g->d[1], g->d[2], g->d[3], g->d[4], g->d[5],
                       g->d[6], g->d[7]);
}

/* Fills in type and GUID of the partition, where the disk has a GPT with an entry of its number. */
static int read_entry(const char *disk, uint64_t sector, struct partition *p, struct error *e)
{
        _cleanup_close_ int fd = open(disk, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        struct gpt_header header;
        struct gpt_guid guids[2]; /* an entry begins with the type, then the unique GUID */
        uint64_t offset;
        uint32_t n, size;
        int r;

        if (fd < 0)
                return error_errno(e, -errno, "%s", disk);
        r = pread_full(fd, &header, sizeof(header), sector);
        if (r < 0)
                return error_errno(e, r, "%s: partition table", disk);
        n = le32toh(header.n_entries);
        size = le32toh(header.entry_size);
        offset = le64toh(header.entries_lba);
        if (memcmp(header.signature, "EFI PART", 8) != 0 || p->number < 1 || p->number > n || size < 128 ||
            size > 4096 || offset > INT64_MAX / sector - UINT32_MAX)
                return 0;
        r = pread_full(fd, guids, sizeof(guids), offset * sector + (uint64_t)(p->number - 1) * size);
        if (r < 0)
                return error_errno(e, r, "%s: partition table", disk);
        format_guid(&guids[0], p->type);
        if (p->uuid[0] == '\0')
                format_guid(&guids[1], p->uuid);
        return 0;
}

/* The name of the disk that holds the partition: the directory above the one that the sysfs link points to.
 */
static int parent_disk(int sys_fd, const char *name, char *ret, size_t size)
{
        char target[PATH_MAX], *slash;
        ssize_t n = readlinkat(sys_fd, name, target, sizeof(target) - 1);

        if (n < 0)
                return -errno;
        target[n] = '\0';
        slash = strrchr(target, '/');
        if (!slash)
                return -EIO;
        *slash = '\0';
        slash = strrchr(target, '/');
        if (snprintf(ret, size, "%s", slash ? slash + 1 : target) >= (int)size)
                return -ENAMETOOLONG;
        return 0;
}

/* 1: filled. 0: the device is no partition, or has gone. */
static int describe(int sys_fd, const char *dev, const char *name, struct partition *ret, struct error *e)
{
        struct partition p = {};
        char path[NAME_MAX + 64], device[32];
        _cleanup_free_ char *uevent = NULL;
        uint64_t number = 0, sectors = 0;
        int r;

        (void)snprintf(path, sizeof(path), "%s/partition", name);
        r = file_exists(sys_fd, path);
        if (r <= 0)
                return r < 0 && r != -ENOTDIR ? error_errno(e, r, "%s", path) : 0;
        r = read_sysfs_number(sys_fd, path, &number, e);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        (void)snprintf(path, sizeof(path), "%s/size", name);
        r = read_sysfs_number(sys_fd, path, &sectors, e);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        (void)snprintf(path, sizeof(path), "%s/uevent", name);
        r = read_file(sys_fd, path, SYSFS_FILE_MAX, &uevent, NULL, e);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = parent_disk(sys_fd, name, p.disk, sizeof(p.disk));
        if (r < 0)
                return r == -ENOENT ? 0 : error_errno(e, r, "%s: its disk", name);
        if (!uevent_value(uevent, "DEVNAME", device, sizeof(device)))
                return error_set(e, -EIO, "%s: DEVNAME= expected, not found", path);
        (void)snprintf(p.path, sizeof(p.path), "%s/%s", dev, device);
        (void)uevent_value(uevent, "PARTNAME", p.label, sizeof(p.label));
        (void)uevent_value(uevent, "PARTUUID", p.uuid, sizeof(p.uuid));
        p.number = (unsigned)number;
        p.size = sectors * 512;
        *ret = p;
        return 1;
}

/* Kernels tell no types, and many no GUIDs. */
static int fill_guids(int sys_fd, const char *dev, struct partition *p, struct error *e)
{
        char path[PATH_MAX];
        uint64_t sector = 0;
        int r;

        if (p->type[0] != '\0')
                return 0;
        (void)snprintf(path, sizeof(path), "%s/queue/logical_block_size", p->disk);
        r = read_sysfs_number(sys_fd, path, &sector, e);
        if (r < 0)
                return r;
        if (sector < 512 || sector > 65536)
                return error_set(e, -EIO, "%s: 512 to 65536 expected, found %" PRIu64, path, sector);
        (void)snprintf(path, sizeof(path), "%s/%s", dev, p->disk);
        return read_entry(path, sector, p, e);
}

static int matches(int sys_fd, const char *dev, enum partition_key key, const char *value, const char *disk,
                   struct partition *p, struct error *e)
{
        int r;

        if (disk && strcmp(p->disk, disk) != 0)
                return 0;
        if (key == PARTITION_LABEL)
                return strcmp(p->label, value) == 0;
        r = fill_guids(sys_fd, dev, p, e);
        return r < 0 ? r : strcasecmp(key == PARTITION_TYPE ? p->type : p->uuid, value) == 0;
}

int partition_find(const char *sys_block, const char *dev, enum partition_key key, const char *value,
                   const char *disk, struct partition *ret, struct error *e)
{
        static const char *const names[] = {
                [PARTITION_LABEL] = "name", [PARTITION_UUID] = "GUID", [PARTITION_TYPE] = "type"};
        _cleanup_closedir_ DIR *d = opendir(sys_block);
        struct partition found = {}, p = {};
        int r;

        if (!d)
                return error_errno(e, -errno, "%s", sys_block);
        for (struct dirent *entry; (entry = readdir(d));) {
                if (entry->d_name[0] == '.')
                        continue;
                r = describe(dirfd(d), dev, entry->d_name, &p, e);
                if (r > 0)
                        r = matches(dirfd(d), dev, key, value, disk, &p, e);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                if (found.path[0] != '\0')
                        return error_set(e, -ENOTUNIQ,
                                         "one partition with the %s %s expected, found %s and %s", names[key],
                                         value, found.path, p.path);
                found = p;
        }
        if (found.path[0] == '\0')
                return error_set(e, -ENOENT, "a partition with the %s %s expected%s%s, found none",
                                 names[key], value, disk ? " on the disk " : "", disk ?: "");
        r = fill_guids(dirfd(d), dev, &found, e);
        if (r < 0)
                return r;
        *ret = found;
        return 0;
}

int partition_find_by_label(const char *label, const char *disk, struct partition *ret, struct error *e)
{
        return partition_find("/sys/class/block", "/dev", PARTITION_LABEL, label, disk, ret, e);
}

int partition_find_by_uuid(const char *uuid, const char *disk, struct partition *ret, struct error *e)
{
        return partition_find("/sys/class/block", "/dev", PARTITION_UUID, uuid, disk, ret, e);
}

int partition_find_by_type(const char *type, const char *disk, struct partition *ret, struct error *e)
{
        return partition_find("/sys/class/block", "/dev", PARTITION_TYPE, type, disk, ret, e);
}
