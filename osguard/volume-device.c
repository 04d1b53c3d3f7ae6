/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lies on the data partition. */
#include <errno.h>
#include <fcntl.h>
#include <libcryptsetup.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "osguard/volume.h"

#define SIZE_MIN (2u * VOLUME_HEADER_SIZE)
#define CHUNK (1024u * 1024)

static void keep_message(int level, const char *message, void *userdata)
{
        struct error *said = userdata;

        if (level == CRYPT_LOG_ERROR)
                (void)error_set(said, 0, "%.*s", (int)strcspn(message, "\n"), message);
}

int volume_crypt_init(const char *device, struct error *said, struct crypt_device **ret, struct error *e)
{
        int r;

        /* Nobody else works on the device, and a lock would need a directory in /run. */
        (void)crypt_metadata_locking(NULL, 0);
        r = crypt_init(ret, device);
        if (r < 0)
                return error_errno(e, r, "%s", device);
        crypt_set_log_callback(*ret, keep_message, said);
        return 0;
}

int volume_crypt_error(const struct error *said, int r, const char *device, const char *what, struct error *e)
{
        if (said->message[0] != '\0')
                return error_set(e, r, "%s: %s: %.400s", device, what, said->message);
        return error_errno(e, r, "%s: %s", device, what);
}

void volume_found_done(struct volume_found *found)
{
        crypt_free(found->cd);
        *found = (struct volume_found){};
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
        return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* 1: the place of the header holds nothing but zeros. */
static int is_blank(int fd)
{
        _cleanup_free_ uint8_t *chunk = malloc(CHUNK);

        if (!chunk)
                return -ENOMEM;
        for (uint64_t offset = 0; offset < VOLUME_HEADER_SIZE; offset += CHUNK) {
                int r = pread_full(fd, chunk, CHUNK, offset);

                if (r < 0)
                        return r;
                if (!is_zero(chunk, CHUNK))
                        return 0;
        }
        return 1;
}

static bool has_magic(const uint8_t *copies)
{
        return memcmp(copies, "LUKS", 4) == 0 || memcmp(copies + VOLUME_COPY_SIZE, "SKUL", 4) == 0;
}

/* The header through libcryptsetup, which reads it once: what is checked here is what it will act upon. */
static int load(const char *device, const struct tpm_public *authority, struct volume_found *found,
                struct error *e)
{
        const char *json = NULL;
        int r;

        r = volume_crypt_init(device, &found->said, &found->cd, e);
        if (r < 0)
                return r;
        r = crypt_load(found->cd, CRYPT_LUKS2, NULL);
        if (r >= 0)
                r = crypt_dump_json(found->cd, &json, 0);
        if (r == -EIO || r == -ENOMEM)
                return volume_crypt_error(&found->said, r, device, "LUKS2 header", e);
        if (r < 0) {
                (void)volume_crypt_error(&found->said, r, device, "LUKS2 header", &found->why);
                found->state = VOLUME_FOREIGN;
                return 0;
        }
        (void)snprintf(found->uuid, sizeof(found->uuid), "%s", crypt_get_uuid(found->cd) ?: "");
        r = volume_json_check(json, authority, &found->sealed, &found->why);
        if (r == -ENOMEM)
                return r;
        found->state = r == -ENODATA ? VOLUME_UNFINISHED : r < 0 ? VOLUME_FOREIGN : VOLUME_COMPLETE;
        return 0;
}

static int examine(int fd, const char *device, const struct tpm_public *authority, struct volume_found *found,
                   struct error *e)
{
        uint8_t copies[2 * VOLUME_COPY_SIZE];
        int r;

        r = pread_full(fd, copies, sizeof(copies), 0);
        if (r < 0)
                return error_errno(e, r, "%s", device);
        if (is_zero(copies, sizeof(copies))) {
                r = is_blank(fd);
                if (r < 0)
                        return error_errno(e, r, "%s", device);
                found->state = r ? VOLUME_BLANK : VOLUME_UNFINISHED;
                (void)error_set(&found->why, 0, "LUKS2 header: one expected, found zeros");
                return 0;
        }
        if (!has_magic(copies)) {
                found->state = VOLUME_FOREIGN;
                (void)error_set(&found->why, 0, "LUKS2 header: one expected, found something else");
                return 0;
        }
        if (volume_copies_check(copies, &found->why) < 0) {
                found->state = VOLUME_UNFINISHED;
                return 0;
        }
        return load(device, authority, found, e);
}

int volume_examine(const char *device, const struct tpm_public *authority, struct volume_found *ret,
                   struct error *e)
{
        _cleanup_close_ int fd = open(device, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        uint64_t size = 0;
        int r;

        if (fd < 0)
                return error_errno(e, -errno, "%s", device);
        r = file_size(fd, &size);
        if (r < 0)
                return error_errno(e, r, "%s", device);
        if (size < SIZE_MIN)
                return error_set(e, -ENOSPC, "%s: %u bytes or more expected, found %llu", device, SIZE_MIN,
                                 (unsigned long long)size);
        *ret = (struct volume_found){};
        r = examine(fd, device, authority, ret, e);
        if (r < 0)
                volume_found_done(ret);
        return r;
}
