/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "ipe-policy/ipe-policy.h"
#include "osguard/osguard.h"

#define IMAGE_MAX (64u * 1024)
#define MODULES_MAX 128u

void image_done(struct image *image)
{
        free(image->text);
        free(image->cmdline);
        for (size_t i = 0; image->modules && image->modules[i]; i++)
                free(image->modules[i]);
        free(image->modules);
        *image = (struct image){};
}

static int read_variant(struct image *image, const char *variant, struct error *e)
{
        if (strcmp(variant, "prod") != 0 && strcmp(variant, "dev") != 0 && strcmp(variant, "test") != 0)
                return error_set(e, -EINVAL,
                                 OSGUARD_IMAGE ": variant: prod, dev or test expected, found \"%s\"",
                                 variant);
        (void)snprintf(image->variant, sizeof(image->variant), "%s", variant);
        return 0;
}

static int read_uuid(sd_json_variant *root, const char *field, char ret[static 37], struct error *e)
{
        const char *value = NULL;
        int r;

        r = json_string(root, "root", field, &value, e);
        if (r < 0)
                return r;
        if (strlen(value) != 36 || strspn(value, "0123456789abcdef-") != 36)
                return error_set(e, -EINVAL, "root: %s: a lower-case UUID expected, found \"%s\"", field,
                                 value);
        memcpy(ret, value, 37);
        return 0;
}

static int read_root(struct image *image, sd_json_variant *v, struct error *e)
{
        sd_json_variant *root = NULL;
        int r;

        r = json_object(v, OSGUARD_IMAGE, "root", &root, e);
        if (r >= 0)
                r = read_uuid(root, "partition_uuid", image->root_uuid, e);
        if (r >= 0)
                r = read_uuid(root, "verity_partition_uuid", image->verity_uuid, e);
        if (r >= 0)
                r = read_uuid(root, "signature_partition_uuid", image->signature_uuid, e);
        if (r >= 0)
                r = verity_geometry_from_json(root, "root", &image->root, e);
        return r < 0 ? error_prefix(e, r, OSGUARD_IMAGE) : 0;
}

static int read_sha256(sd_json_variant *v, const char *name, uint8_t ret[static 32], struct error *e)
{
        const char *hex = NULL;
        int r;

        r = json_string(v, name, "sha256", &hex, e);
        if (r < 0)
                return r;
        if (hex_decode(hex, ret, 32) < 0)
                return error_set(e, -EINVAL, "%s: sha256: 64 hexadecimal digits expected, found \"%s\"", name,
                                 hex);
        return 0;
}

static int read_reference(sd_json_variant *policies, const char *name, struct policy_reference *ret,
                          struct error *e)
{
        const char *policy_name = NULL, *version = NULL;
        sd_json_variant *v = NULL;
        int r;

        r = json_object(policies, "policies", name, &v, e);
        if (r >= 0)
                r = json_string(v, name, "name", &policy_name, e);
        if (r >= 0)
                r = json_string(v, name, "version", &version, e);
        if (r >= 0)
                r = read_sha256(v, name, ret->sha256, e);
        if (r < 0)
                return r;
        if (strlen(policy_name) >= sizeof(ret->name))
                return error_set(e, -EINVAL, "%s: name: at most 255 bytes expected", name);
        if (ipe_policy_parse_version(version, ret->version) < 0)
                return error_set(e, -EINVAL, "%s: version: N.N.N expected, found \"%s\"", name, version);
        memcpy(ret->name, policy_name, strlen(policy_name) + 1);
        return 0;
}

static int read_policies(struct image *image, sd_json_variant *v, struct error *e)
{
        sd_json_variant *policies = NULL, *selinux = NULL;
        int r;

        r = json_object(v, OSGUARD_IMAGE, "policies", &policies, e);
        if (r >= 0)
                r = read_reference(policies, "ipe_boot", &image->ipe_boot, e);
        if (r >= 0)
                r = read_reference(policies, "ipe_host", &image->ipe_host, e);
        if (r >= 0)
                r = json_object(policies, "policies", "selinux", &selinux, e);
        if (r >= 0)
                r = read_sha256(selinux, "selinux", image->selinux_sha256, e);
        return r;
}

static int read_modules(struct image *image, sd_json_variant *v, struct error *e)
{
        sd_json_variant *list = NULL;
        size_t n;
        int r;

        r = json_array(v, OSGUARD_IMAGE, "modules", &list, e);
        if (r < 0)
                return r;
        n = sd_json_variant_elements(list);
        if (n > MODULES_MAX)
                return error_set(e, -E2BIG, OSGUARD_IMAGE ": modules: at most %u expected, found %zu",
                                 MODULES_MAX, n);
        image->modules = calloc(n + 1, sizeof(char *));
        if (!image->modules)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                sd_json_variant *item = sd_json_variant_by_index(list, i);

                if (!sd_json_variant_is_string(item))
                        return error_set(e, -EINVAL, OSGUARD_IMAGE ": modules: strings expected");
                image->modules[i] = strdup(sd_json_variant_string(item));
                if (!image->modules[i])
                        return -ENOMEM;
        }
        return 0;
}

static int fill(struct image *image, sd_json_variant *v, struct error *e)
{
        const char *variant = NULL, *cmdline = NULL;
        uint64_t version = 0;
        int r;

        r = json_unsigned(v, OSGUARD_IMAGE, "version", 1, &version, e);
        if (r >= 0 && version != 1)
                r = error_set(e, -EINVAL, OSGUARD_IMAGE ": version: 1 expected, found %lu",
                              (unsigned long)version);
        if (r >= 0)
                r = json_string(v, OSGUARD_IMAGE, "variant", &variant, e);
        if (r >= 0)
                r = read_variant(image, variant, e);
        if (r >= 0)
                r = json_unsigned(v, OSGUARD_IMAGE, "security_version", UINT32_MAX, &image->security_version,
                                  e);
        if (r >= 0)
                r = json_string(v, OSGUARD_IMAGE, "cmdline", &cmdline, e);
        if (r < 0)
                return r;
        image->cmdline = strdup(cmdline);
        if (!image->cmdline)
                return -ENOMEM;
        r = read_root(image, v, e);
        if (r >= 0)
                r = read_policies(image, v, e);
        return r < 0 ? r : read_modules(image, v, e);
}

int image_parse(const char *text, size_t size, struct image *ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_(image_done) struct image image = {};
        int r;

        if (size > IMAGE_MAX || memchr(text, '\0', size))
                return error_set(e, -EINVAL, OSGUARD_IMAGE ": text of at most %u bytes expected", IMAGE_MAX);
        image.text = strndup(text, size);
        if (!image.text)
                return -ENOMEM;
        image.size = size;
        r = json_parse(OSGUARD_IMAGE, image.text, &v, e);
        if (r < 0)
                return r;
        r = fill(&image, v, e);
        if (r < 0)
                return r;
        *ret = image;
        image = (struct image){};
        return 0;
}

int image_read(const char *path, struct image *ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r;

        r = read_file(AT_FDCWD, path, IMAGE_MAX, &text, NULL, e);
        return r < 0 ? r : image_parse(text, strlen(text), ret, e);
}
