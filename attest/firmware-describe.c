/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the events of a firmware log say. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attest/slice.h"
#include "base/cleanup.h"
#include "firmware-log.h"

static const struct {
        uint32_t type;
        const char *name;
} types[] = {
#define TYPE(t) {t, #t}
        TYPE(EV_POST_CODE),
        TYPE(EV_NO_ACTION),
        TYPE(EV_SEPARATOR),
        TYPE(EV_ACTION),
        TYPE(EV_EVENT_TAG),
        TYPE(EV_S_CRTM_CONTENTS),
        TYPE(EV_S_CRTM_VERSION),
        TYPE(EV_CPU_MICROCODE),
        TYPE(EV_PLATFORM_CONFIG_FLAGS),
        TYPE(EV_TABLE_OF_DEVICES),
        TYPE(EV_COMPACT_HASH),
        TYPE(EV_IPL),
        TYPE(EV_IPL_PARTITION_DATA),
        TYPE(EV_NONHOST_CODE),
        TYPE(EV_NONHOST_CONFIG),
        TYPE(EV_NONHOST_INFO),
        TYPE(EV_OMIT_BOOT_DEVICE_EVENTS),
        TYPE(EV_POST_CODE2),
        TYPE(EV_EFI_VARIABLE_DRIVER_CONFIG),
        TYPE(EV_EFI_VARIABLE_BOOT),
        TYPE(EV_EFI_BOOT_SERVICES_APPLICATION),
        TYPE(EV_EFI_BOOT_SERVICES_DRIVER),
        TYPE(EV_EFI_RUNTIME_SERVICES_DRIVER),
        TYPE(EV_EFI_GPT_EVENT),
        TYPE(EV_EFI_ACTION),
        TYPE(EV_EFI_PLATFORM_FIRMWARE_BLOB),
        TYPE(EV_EFI_HANDOFF_TABLES),
        TYPE(EV_EFI_PLATFORM_FIRMWARE_BLOB2),
        TYPE(EV_EFI_HANDOFF_TABLES2),
        TYPE(EV_EFI_VARIABLE_BOOT2),
        TYPE(EV_EFI_GPT_EVENT2),
        TYPE(EV_EFI_HCRTM_EVENT),
        TYPE(EV_EFI_VARIABLE_AUTHORITY),
        TYPE(EV_EFI_SPDM_FIRMWARE_BLOB),
        TYPE(EV_EFI_SPDM_FIRMWARE_CONFIG),
#undef TYPE
};

const char *firmware_event_type_name(uint32_t type)
{
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (types[i].type == type)
                        return types[i].name;
        return NULL;
}

static bool is_printable(unsigned c)
{
        return c >= 0x20 && c < 0x7f;
}

/* UTF-16 up to the first NUL as ASCII, cut to what fits. */
static void put_utf16(const uint8_t *p, size_t n, size_t size, char *ret)
{
        size_t i;

        for (i = 0; i < n && i + 1 < size; i++) {
                unsigned c = get_le16(p + 2 * i);

                if (c == 0)
                        break;
                ret[i] = (char)(is_printable(c) ? c : '?');
        }
        ret[i] = '\0';
}

/* Bytes as ASCII up to the first NUL. */
static void put_ascii(const uint8_t *p, size_t n, size_t size, char *ret)
{
        size_t i;

        for (i = 0; i < n && p[i] && i + 1 < size; i++)
                ret[i] = (char)(is_printable(p[i]) ? p[i] : '?');
        ret[i] = '\0';
}

int firmware_event_variable(const struct firmware_event *ev, struct firmware_variable *ret)
{
        struct firmware_variable v;
        uint64_t name, value;
        size_t left;

        if (ev->data_size < 32)
                return -EBADMSG;
        left = ev->data_size - 32;
        name = get_le64(ev->data + 16);
        value = get_le64(ev->data + 24);
        if (name == 0 || name >= sizeof(v.name) || 2 * name > left || value != left - 2 * name)
                return -EBADMSG;
        memcpy(v.guid, ev->data, sizeof(v.guid));
        put_utf16(ev->data + 32, name, sizeof(v.name), v.name);
        v.value = ev->data + 32 + 2 * name;
        v.size = value;
        *ret = v;
        return 0;
}

/* EFI_IMAGE_LOAD_EVENT: location, length, link-time address, length of the device path (8 bytes each), device
 * path. Of that, the node that names a file (media device path, type 4, sub-type 4). */
static void describe_image(const struct firmware_event *ev, size_t size, char *ret)
{
        const uint8_t *p = ev->data + 32;
        size_t left;

        if (ev->data_size < 32)
                return;
        left = ev->data_size - 32;
        while (left >= 4) {
                size_t n = get_le16(p + 2);

                if (n < 4 || n > left)
                        return;
                if (p[0] == 4 && p[1] == 4) {
                        put_utf16(p + 4, (n - 4) / 2, size, ret);
                        return;
                }
                p += n;
                left -= n;
        }
}

static bool is_utf16(const uint8_t *p, size_t n)
{
        return n >= 4 && n % 2 == 0 && p[1] == 0 && p[3] == 0 && p[0] != 0;
}

static void describe_variable(const struct firmware_event *ev, size_t size, char *ret)
{
        struct firmware_variable v;

        if (firmware_event_variable(ev, &v) == 0)
                (void)snprintf(ret, size, "%s, %zu bytes", v.name, v.size);
}

void firmware_event_describe(const struct firmware_event *ev, size_t size, char *ret)
{
        const uint8_t *p = ev->data;

        ret[0] = '\0';
        switch (ev->type) {
        case EV_EFI_VARIABLE_DRIVER_CONFIG:
        case EV_EFI_VARIABLE_BOOT:
        case EV_EFI_VARIABLE_BOOT2:
        case EV_EFI_VARIABLE_AUTHORITY:
                describe_variable(ev, size, ret);
                break;
        case EV_EFI_BOOT_SERVICES_APPLICATION:
        case EV_EFI_BOOT_SERVICES_DRIVER:
        case EV_EFI_RUNTIME_SERVICES_DRIVER:
                describe_image(ev, size, ret);
                break;
        case EV_EFI_PLATFORM_FIRMWARE_BLOB:
                if (ev->data_size == 16)
                        (void)snprintf(ret, size, "0x%llx, %llu bytes", (unsigned long long)get_le64(p),
                                       (unsigned long long)get_le64(p + 8));
                break;
        case EV_EVENT_TAG: /* id 4, size 4, text in Linux' own */
                if (ev->data_size > 8)
                        put_ascii(p + 8, ev->data_size - 8, size, ret);
                break;
        case EV_S_CRTM_VERSION:
        case EV_IPL:
        case EV_ACTION:
        case EV_EFI_ACTION:
        case EV_NO_ACTION:
        case EV_POST_CODE:
        case EV_NONHOST_INFO:
        case EV_PLATFORM_CONFIG_FLAGS:
        case EV_S_CRTM_CONTENTS:
                if (is_utf16(p, ev->data_size))
                        put_utf16(p, ev->data_size / 2, size, ret);
                else
                        put_ascii(p, ev->data_size, size, ret);
                break;
        }
}
