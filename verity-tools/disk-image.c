/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk-image.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <libfdisk/libfdisk.h>
#include <string.h>
#include <systemd/sd-gpt.h>

#include "base/file.h"

/* The backup of header and entries. */
#define TAIL_SECTORS 33

#define READ_ONLY_BIT 60 /* of a partition's attributes */

#define ARCHITECTURE(text, id)                                                                               \
        {                                                                                                    \
                text,                                                                                        \
                {                                                                                            \
                        SD_GPT_ROOT_##id, SD_GPT_ROOT_##id##_VERITY, SD_GPT_ROOT_##id##_VERITY_SIG           \
                }                                                                                            \
        }

static const struct disk_architecture architectures[] = {
        ARCHITECTURE("x86-64", X86_64),     ARCHITECTURE("arm64", ARM64),
        ARCHITECTURE("arm", ARM),           ARCHITECTURE("loongarch64", LOONGARCH64),
        ARCHITECTURE("ppc64-le", PPC64_LE), ARCHITECTURE("riscv64", RISCV64),
        ARCHITECTURE("s390x", S390X),       ARCHITECTURE("x86", X86),
};

const struct disk_architecture *disk_architecture_from_name(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(architectures); i++)
                if (strcmp(architectures[i].name, name) == 0)
                        return &architectures[i];
        return NULL;
}

DEFINE_CLEANUP(struct fdisk_context *, fdisk_unref_context)
DEFINE_CLEANUP(struct fdisk_partition *, fdisk_unref_partition)
DEFINE_CLEANUP(struct fdisk_parttype *, fdisk_unref_parttype)
DEFINE_CLEANUP(struct fdisk_script *, fdisk_unref_script)
DEFINE_CLEANUP(struct fdisk_table *, fdisk_unref_table)

/* libfdisk tells what is wrong by asking. The first warning is kept. */
static int take_warning(struct fdisk_context *cxt, struct fdisk_ask *ask, void *userdata)
{
        struct error *warning = userdata;

        if ((fdisk_is_ask(ask, WARN) || fdisk_is_ask(ask, WARNX)) && warning->message[0] == '\0')
                (void)error_set(warning, -EBADMSG, "%s", fdisk_ask_print_get_mesg(ask));
        return 0;
}

static int open_context(int fd, bool read_only, struct error *warning, struct fdisk_context **ret,
                        struct error *e)
{
        _cleanup_(fdisk_unref_context_ptr) struct fdisk_context *cxt = fdisk_new_context();
        int r;

        if (!cxt)
                return -ENOMEM;
        r = fdisk_set_ask(cxt, take_warning, warning);
        if (r >= 0)
                r = fdisk_save_user_sector_size(cxt, DISK_SECTOR, DISK_SECTOR);
        if (r >= 0)
                r = fdisk_assign_device_by_fd(cxt, fd, "disk", read_only);
        if (r < 0)
                return error_errno(e, r, "partition table");
        *ret = TAKE_PTR(cxt);
        return 0;
}

/* --- writing --- */

uint64_t disk_image_size(uint64_t end)
{
        return (end + (uint64_t)TAIL_SECTORS * DISK_SECTOR + 4095) & ~UINT64_C(4095);
}

static int add_partition(struct fdisk_context *cxt, const struct disk_partition *p, size_t number)
{
        _cleanup_(fdisk_unref_partition_ptr) struct fdisk_partition *pa = fdisk_new_partition();
        _cleanup_(fdisk_unref_parttype_ptr) struct fdisk_parttype *type = NULL;
        char text[SD_ID128_UUID_STRING_MAX];
        int r;

        type = fdisk_label_parse_parttype(fdisk_get_label(cxt, NULL), sd_id128_to_uuid_string(p->type, text));
        if (!pa || !type)
                return -ENOMEM;
        r = fdisk_partition_set_type(pa, type);
        if (r >= 0)
                r = fdisk_partition_set_partno(pa, number);
        if (r >= 0)
                r = fdisk_partition_set_start(pa, p->offset / DISK_SECTOR);
        if (r >= 0)
                r = fdisk_partition_set_size(pa, p->size / DISK_SECTOR);
        if (r >= 0)
                r = fdisk_partition_size_explicit(pa, 1);
        if (r >= 0)
                r = fdisk_partition_set_uuid(pa, sd_id128_to_uuid_string(p->uuid, text));
        if (r >= 0)
                r = fdisk_partition_set_name(pa, p->label);
        if (r >= 0)
                r = fdisk_add_partition(cxt, pa, NULL);
        return r < 0 || !p->read_only
                       ? r
                       : fdisk_gpt_set_partition_attrs(cxt, number, UINT64_C(1) << READ_ONLY_BIT);
}

/* An empty table. Its first usable sector would else depend on the size of the disk. */
static int create_table(struct fdisk_context *cxt, sd_id128_t uuid)
{
        _cleanup_(fdisk_unref_script_ptr) struct fdisk_script *script = fdisk_new_script(cxt);
        char text[SD_ID128_UUID_STRING_MAX];
        int r;

        if (!script)
                return -ENOMEM;
        r = fdisk_script_set_header(script, "first-lba", "2048");
        if (r >= 0)
                r = fdisk_set_script(cxt, script);
        if (r >= 0)
                r = fdisk_create_disklabel(cxt, "gpt");
        (void)fdisk_set_script(cxt, NULL); /* the two hold each other */
        return r < 0 ? r : fdisk_set_disklabel_id_from_string(cxt, sd_id128_to_uuid_string(uuid, text));
}

int disk_image_write(int fd, const struct disk_image *d, struct error *e)
{
        _cleanup_(fdisk_unref_context_ptr) struct fdisk_context *cxt = NULL;
        struct error warning = {};
        uint64_t end = 0;
        int r;

        for (size_t i = 0; i < d->n_partitions; i++)
                if (d->partitions[i].offset + d->partitions[i].size > end)
                        end = d->partitions[i].offset + d->partitions[i].size;
        if (ftruncate(fd, (off_t)disk_image_size(end)) < 0)
                return error_errno(e, -errno, "disk image of %" PRIu64 " bytes", disk_image_size(end));
        r = open_context(fd, false, &warning, &cxt, e);
        if (r < 0)
                return r;
        r = create_table(cxt, d->uuid);
        for (size_t i = 0; r >= 0 && i < d->n_partitions; i++)
                r = add_partition(cxt, &d->partitions[i], i);
        if (r >= 0)
                r = fdisk_write_disklabel(cxt);
        if (r >= 0)
                r = fdisk_deassign_device(cxt, true);
        if (r < 0)
                return error_errno(e, r, "partition table: %s", warning.message);
        return 0;
}

/* --- reading --- */

static const char magic[8] = {'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T'};

/* What of a header is looked at here; little endian. */
struct gpt_header {
        char magic[8];
        uint8_t unused[24];
        uint64_t backup; /* sector of the other header */
        uint8_t unused2[40];
        uint32_t n_entries, entry_size;
};

int disk_image_probe(int fd)
{
        char found[sizeof(magic)];
        ssize_t n = pread(fd, found, sizeof(found), DISK_SECTOR);

        if (n < 0)
                return -errno;
        return n == sizeof(found) && memcmp(found, magic, sizeof(found)) == 0;
}

/* libfdisk takes as much memory as a header says that its table is long. */
static int check_header(int fd, uint64_t sector, uint64_t *ret_backup, struct error *e)
{
        struct gpt_header h;
        ssize_t n;

        if (sector > INT64_MAX / DISK_SECTOR)
                return 0;
        n = pread(fd, &h, sizeof(h), (off_t)(sector * DISK_SECTOR));
        if (n < 0)
                return error_errno(e, -errno, "partition table");
        if (n != sizeof(h) || memcmp(h.magic, magic, sizeof(h.magic)) != 0)
                return 0;
        *ret_backup = le64toh(h.backup);
        if (le32toh(h.n_entries) > DISK_PARTITIONS_MAX || le32toh(h.entry_size) != 128)
                return error_set(e, -EBADMSG,
                                 "partition table: at most %d entries of 128 bytes expected, found %" PRIu32
                                 " of %" PRIu32,
                                 DISK_PARTITIONS_MAX, le32toh(h.n_entries), le32toh(h.entry_size));
        return 0;
}

/* The primary header, the backup that it names, and the one at the end. */
static int check_headers(int fd, struct error *e)
{
        uint64_t size = 0, backup = 1, ignored;
        int r = file_size(fd, &size);

        if (r < 0)
                return error_errno(e, r, "partition table");
        r = check_header(fd, 1, &backup, e);
        if (r >= 0)
                r = check_header(fd, backup, &ignored, e);
        if (r >= 0 && size >= DISK_SECTOR)
                r = check_header(fd, size / DISK_SECTOR - 1, &ignored, e);
        return r;
}

static int take_id(const char *text, sd_id128_t *ret)
{
        return text ? sd_id128_from_string(text, ret) : -EBADMSG;
}

static void take_label(const char *name, char ret[static DISK_LABEL_SIZE])
{
        (void)snprintf(ret, DISK_LABEL_SIZE, "%s", name);
        for (char *c = ret; *c; c++)
                if (*c < ' ' || *c > '~')
                        *c = '?';
}

static int take_partition(struct fdisk_context *cxt, struct fdisk_partition *pa, uint64_t disk_size,
                          struct disk_partition *ret)
{
        struct fdisk_parttype *type = fdisk_partition_get_type(pa);
        uint64_t sector = fdisk_get_sector_size(cxt), attributes = 0, end;
        struct disk_partition p = {};
        int r;

        if (__builtin_mul_overflow(fdisk_partition_get_start(pa), sector, &p.offset) ||
            __builtin_mul_overflow(fdisk_partition_get_size(pa), sector, &p.size) ||
            __builtin_add_overflow(p.offset, p.size, &end) || end > disk_size ||
            fdisk_partition_get_start(pa) < fdisk_get_first_lba(cxt))
                return -EBADMSG;
        r = take_id(type ? fdisk_parttype_get_string(type) : NULL, &p.type);
        if (r >= 0)
                r = take_id(fdisk_partition_get_uuid(pa), &p.uuid);
        if (r >= 0)
                r = fdisk_gpt_get_partition_attrs(cxt, fdisk_partition_get_partno(pa), &attributes);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        p.read_only = attributes >> READ_ONLY_BIT & 1;
        take_label(fdisk_partition_get_name(pa) ?: "", p.label);
        *ret = p;
        return 0;
}

static int take_partitions(struct fdisk_context *cxt, struct disk_image *ret, struct error *e)
{
        uint64_t disk_size = fdisk_get_nsectors(cxt) * fdisk_get_sector_size(cxt);
        _cleanup_(fdisk_unref_table_ptr) struct fdisk_table *table = NULL;
        int r = fdisk_get_partitions(cxt, &table);

        if (r < 0)
                return error_errno(e, r, "partition table");
        if (fdisk_table_get_nents(table) > DISK_PARTITIONS_MAX)
                return error_set(e, -EBADMSG, "partition table: at most %d partitions expected, found %zu",
                                 DISK_PARTITIONS_MAX, fdisk_table_get_nents(table));
        for (size_t i = 0; i < fdisk_table_get_nents(table); i++) {
                r = take_partition(cxt, fdisk_table_get_partition(table, i), disk_size, &ret->partitions[i]);
                if (r < 0)
                        return error_errno(e, r, "partition %zu", i + 1);
        }
        ret->n_partitions = fdisk_table_get_nents(table);
        return 0;
}

static int take_disk_id(struct fdisk_context *cxt, sd_id128_t *ret)
{
        _cleanup_free_ char *id = NULL;
        int r = fdisk_get_disklabel_id(cxt, &id);

        return r < 0 ? r : take_id(id, ret);
}

int disk_image_read(int fd, struct disk_image *ret, struct error *e)
{
        _cleanup_(fdisk_unref_context_ptr) struct fdisk_context *cxt = NULL;
        struct error warning = {};
        int r;

        r = check_headers(fd, e);
        if (r >= 0)
                r = open_context(fd, true, &warning, &cxt, e);
        if (r < 0)
                return r;
        if (!fdisk_is_labeltype(cxt, FDISK_DISKLABEL_GPT))
                return error_set(e, -EBADMSG, "partition table: GPT expected, found none: %s",
                                 warning.message);
        if (fdisk_verify_disklabel(cxt) != 0 || warning.message[0] != '\0')
                return error_set(e, -EBADMSG, "partition table: %s", warning.message);
        *ret = (struct disk_image){};
        r = take_disk_id(cxt, &ret->uuid);
        if (r < 0)
                return error_errno(e, r, "partition table: disk GUID");
        return take_partitions(cxt, ret, e);
}

static int find_roles(const struct disk_image *d, const struct disk_architecture *a,
                      const struct disk_partition *ret[static DISK_ROLES], struct error *e)
{
        for (size_t i = 0; i < d->n_partitions; i++)
                for (enum disk_role role = 0; role < DISK_ROLES; role++) {
                        if (!sd_id128_equal(d->partitions[i].type, a->types[role]))
                                continue;
                        if (ret[role])
                                return error_set(
                                        e, -EBADMSG,
                                        "one partition of each type expected, found two: \"%s\" and \"%s\"",
                                        ret[role]->label, d->partitions[i].label);
                        ret[role] = &d->partitions[i];
                }
        return 0;
}

int disk_image_find_root(const struct disk_image *d, const struct disk_partition *ret[static DISK_ROLES],
                         const char **ret_architecture, struct error *e)
{
        const struct disk_partition *found[DISK_ROLES] = {};
        const char *architecture = NULL;

        for (size_t i = 0; i < ELEMENTSOF(architectures); i++) {
                const struct disk_partition *roles[DISK_ROLES] = {};
                int r = find_roles(d, &architectures[i], roles, e);

                if (r < 0)
                        return r;
                if (!roles[DISK_ROOT])
                        continue;
                if (architecture)
                        return error_set(e, -EBADMSG,
                                         "the root of one architecture expected, found %s and %s",
                                         architecture, architectures[i].name);
                architecture = architectures[i].name;
                memcpy(found, roles, sizeof(found));
        }
        if (!architecture)
                return error_set(e, -EBADMSG, "a root partition expected, found none");
        memcpy(ret, found, sizeof(found));
        if (ret_architecture)
                *ret_architecture = architecture;
        return 0;
}

void disk_root_guids(const struct verity_geometry *g, sd_id128_t *ret_root, sd_id128_t *ret_verity)
{
        memcpy(ret_root->bytes, g->root_hash, sizeof(ret_root->bytes));
        memcpy(ret_verity->bytes, g->root_hash + g->root_hash_size - sizeof(ret_verity->bytes),
               sizeof(ret_verity->bytes));
}

int disk_image_to_json(const struct disk_image *d, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *partitions = NULL;
        int r = sd_json_variant_new_array(&partitions, NULL, 0);

        for (size_t i = 0; r >= 0 && i < d->n_partitions; i++) {
                const struct disk_partition *p = &d->partitions[i];

                r = sd_json_variant_append_arraybo(&partitions, SD_JSON_BUILD_PAIR_STRING("label", p->label),
                                                   SD_JSON_BUILD_PAIR("type", SD_JSON_BUILD_UUID(p->type)),
                                                   SD_JSON_BUILD_PAIR("uuid", SD_JSON_BUILD_UUID(p->uuid)),
                                                   SD_JSON_BUILD_PAIR_UNSIGNED("offset", p->offset),
                                                   SD_JSON_BUILD_PAIR_UNSIGNED("size", p->size),
                                                   SD_JSON_BUILD_PAIR_BOOLEAN("read_only", p->read_only));
        }
        return r < 0 ? r
                     : sd_json_buildo(ret, SD_JSON_BUILD_PAIR("uuid", SD_JSON_BUILD_UUID(d->uuid)),
                                      SD_JSON_BUILD_PAIR_VARIANT("partitions", partitions));
}
