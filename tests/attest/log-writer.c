/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-writer.h"

#include <assert.h>
#include <endian.h>
#include <openssl/sha.h>
#include <string.h>

#include "attest/firmware-log.h"

static void put(struct written_log *l, const void *data, size_t size)
{
        assert(size <= sizeof(l->bytes) - l->size);
        if (size > 0)
                memcpy(l->bytes + l->size, data, size);
        l->size += size;
}

static void put32(struct written_log *l, uint32_t value)
{
        uint32_t le = htole32(value);

        put(l, &le, sizeof(le));
}

void log_begin(struct written_log *l)
{
        static const uint8_t spec_id[] = "Spec ID Event03\0\0\0\0\0\0\2\0\2\1\0\0\0\x0b\0\x20\0";
        static const uint8_t zeros[20];

        l->size = 0;
        put32(l, 0);
        put32(l, EV_NO_ACTION);
        put(l, zeros, sizeof(zeros));
        put32(l, sizeof(spec_id));
        put(l, spec_id, sizeof(spec_id));
}

static void put_event(struct written_log *l, uint32_t pcr, uint32_t type, const uint8_t digest[32],
                      const void *data, size_t size)
{
        put32(l, pcr);
        put32(l, type);
        put32(l, 1);
        put(l, "\x0b", 2);
        put(l, digest, 32);
        put32(l, (uint32_t)size);
        put(l, data, size);
}

void log_add(struct written_log *l, uint32_t pcr, uint32_t type, const void *data, size_t size,
             const void *hashed, size_t hashed_size)
{
        uint8_t digest[32];

        SHA256(hashed, hashed_size, digest);
        put_event(l, pcr, type, digest, data, size);
}

void log_add_data(struct written_log *l, uint32_t pcr, uint32_t type, const void *data, size_t size)
{
        log_add(l, pcr, type, data, size, data, size);
}

void log_add_no_action(struct written_log *l, uint32_t pcr, const void *data, size_t size)
{
        static const uint8_t zeros[32];

        put_event(l, pcr, EV_NO_ACTION, zeros, data, size);
}

void log_add_separator(struct written_log *l, uint32_t pcr, uint32_t value)
{
        uint32_t le = htole32(value);

        log_add_data(l, pcr, EV_SEPARATOR, &le, sizeof(le));
}

void log_add_action(struct written_log *l, uint32_t pcr, const char *text)
{
        log_add_data(l, pcr, EV_EFI_ACTION, text, strlen(text));
}

void log_add_variable(struct written_log *l, uint32_t type, const char *name, int global, const void *value,
                      size_t size)
{
        static const uint8_t guids[2][16] = {{0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc,
                                              0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f},
                                             {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d,
                                              0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}};
        uint64_t n = strlen(name), lengths[2] = {htole64(n), htole64(size)};
        uint8_t data[512];
        size_t at = 32;

        assert(32 + 2 * n + size <= sizeof(data));
        memcpy(data, guids[!!global], 16);
        memcpy(data + 16, lengths, 16);
        for (size_t i = 0; i < n; i++) {
                data[at++] = (uint8_t)name[i];
                data[at++] = 0;
        }
        if (size > 0)
                memcpy(data + at, value, size);
        log_add_data(l, 7, type, data, at + size);
}

static void write_secure_boot(struct written_log *l)
{
        log_add_variable(l, EV_EFI_VARIABLE_DRIVER_CONFIG, "SecureBoot", 1, "\1", 1);
        log_add_variable(l, EV_EFI_VARIABLE_DRIVER_CONFIG, "PK", 1, "platform key", 12);
        log_add_variable(l, EV_EFI_VARIABLE_DRIVER_CONFIG, "KEK", 1, "exchange key", 12);
        log_add_variable(l, EV_EFI_VARIABLE_DRIVER_CONFIG, "db", 0, "allowed", 7);
        log_add_variable(l, EV_EFI_VARIABLE_DRIVER_CONFIG, "dbx", 0, NULL, 0);
}

void log_write_boot(struct written_log *l, enum log_place place, void (*add)(struct written_log *, void *),
                    void *userdata)
{
        static const uint8_t image[32]; /* EFI_IMAGE_LOAD_EVENT without a device path */

        log_begin(l);
        if (place == LOG_START)
                add(l, userdata);
        log_add_data(l, 0, EV_S_CRTM_VERSION, "v\0\0", 4);
        write_secure_boot(l);
        log_add_separator(l, 7, 0);
        if (place == LOG_BEFORE_SEPARATORS)
                add(l, userdata);
        log_add_action(l, 4, "Calling EFI Application from Boot Option");
        for (uint32_t pcr = 0; pcr < 7; pcr++)
                log_add_separator(l, pcr, 0);
        if (place == LOG_AFTER_SEPARATORS)
                add(l, userdata);
        log_add_variable(l, EV_EFI_VARIABLE_AUTHORITY, "db", 0, "who signed it", 13);
        log_add(l, 4, EV_EFI_BOOT_SERVICES_APPLICATION, image, sizeof(image), "authenticode", 12);
        if (place == LOG_AFTER_APPLICATION)
                add(l, userdata);
        log_add_action(l, 5, "Exit Boot Services Invocation");
        log_add_action(l, 5, "Exit Boot Services Returned with Success");
        if (place == LOG_END)
                add(l, userdata);
}
