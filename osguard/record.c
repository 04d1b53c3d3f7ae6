/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records as bytes. */
#include <errno.h>
#include <string.h>

#include "osguard/rollback.h"

#define MAGIC "HFRECORD"
#define DIGEST_OFFSET (RECORD_SIZE - 32)

struct bytes {
        uint8_t magic[8];
        uint8_t generation[8], image_floor[8];
        uint8_t host_floor[3][2];
        uint8_t volume_size[2]; /* 0 or TPM_NAME_SIZE */
        uint8_t volume[TPM_NAME_SIZE];
        uint8_t digest[32];
};

_Static_assert(sizeof(struct bytes) == RECORD_SIZE, "no padding");

static void put(uint8_t *p, uint64_t value, size_t n)
{
        for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

static uint64_t get(const uint8_t *p, size_t n)
{
        uint64_t value = 0;

        for (size_t i = 0; i < n; i++)
                value = value << 8 | p[i];
        return value;
}

int record_encode(const struct record *record, uint8_t ret[static RECORD_SIZE], struct error *e)
{
        struct bytes b = {.magic = MAGIC};

        put(b.generation, record->generation, sizeof(b.generation));
        put(b.image_floor, record->image_floor, sizeof(b.image_floor));
        for (size_t i = 0; i < 3; i++)
                put(b.host_floor[i], record->host_floor[i], sizeof(b.host_floor[i]));
        put(b.volume_size, record->has_volume ? TPM_NAME_SIZE : 0, sizeof(b.volume_size));
        if (record->has_volume)
                memcpy(b.volume, record->volume, sizeof(b.volume));
        if (trust_sha256(&b, DIGEST_OFFSET, b.digest) < 0)
                return error_set(e, -EIO, "record: SHA-256 failed");
        memcpy(ret, &b, sizeof(b));
        return 0;
}

/* The digest is against a write that was cut short; who may write at all is the index's policy to say. */
int record_decode(const uint8_t *bytes, size_t size, struct record *ret, struct error *e)
{
        static const uint8_t none[TPM_NAME_SIZE];
        struct bytes b;
        uint8_t digest[32];
        uint64_t volume_size;

        if (size != sizeof(b))
                return error_set(e, -EBADMSG, "record: %zu bytes expected, found %zu", sizeof(b), size);
        memcpy(&b, bytes, sizeof(b));
        if (trust_sha256(&b, DIGEST_OFFSET, digest) < 0)
                return error_set(e, -EIO, "record: SHA-256 failed");
        if (memcmp(b.magic, MAGIC, sizeof(b.magic)) != 0 || memcmp(b.digest, digest, sizeof(digest)) != 0)
                return error_set(e, -EBADMSG, "record: magic and digest expected, found others");
        volume_size = get(b.volume_size, sizeof(b.volume_size));
        if (volume_size != 0 && volume_size != TPM_NAME_SIZE)
                return error_set(e, -EBADMSG, "record: volume: a Name of 0 or %u bytes expected, found %lu",
                                 TPM_NAME_SIZE, (unsigned long)volume_size);
        if (volume_size == 0 && memcmp(b.volume, none, sizeof(none)) != 0)
                return error_set(e, -EBADMSG, "record: volume: zeros expected where there is none");
        *ret = (struct record){.generation = get(b.generation, sizeof(b.generation)),
                               .image_floor = get(b.image_floor, sizeof(b.image_floor)),
                               .has_volume = volume_size != 0};
        for (size_t i = 0; i < 3; i++)
                ret->host_floor[i] = (uint16_t)get(b.host_floor[i], sizeof(b.host_floor[i]));
        memcpy(ret->volume, b.volume, sizeof(ret->volume));
        return 0;
}

bool record_same(const struct record *a, const struct record *b)
{
        return a->image_floor == b->image_floor &&
               memcmp(a->host_floor, b->host_floor, sizeof(a->host_floor)) == 0 &&
               a->has_volume == b->has_volume &&
               (!a->has_volume || memcmp(a->volume, b->volume, sizeof(a->volume)) == 0);
}
