/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/image-json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "ipe-policy/author.h"
#include "trust/trust.h"

#define FILE_NAME "image.json"
#define SIZE_MAX_BYTES ((size_t)64 * 1024)

void image_json_done(struct image_json *image)
{
        free(image->text);
        sd_json_variant_unref(image->json);
        *image = (struct image_json){};
}

/* In lower case, as osguard measures it. */
static int read_sha256(sd_json_variant *v, const char *name, char ret[static 65], struct error *e)
{
        const char *hex = NULL;
        uint8_t digest[32];
        int r;

        r = json_string(v, name, "sha256", &hex, e);
        if (r < 0)
                return r;
        if (hex_decode(hex, digest, sizeof(digest)) < 0)
                return error_set(e, -EINVAL, "%s: sha256: 64 hexadecimal digits expected, found \"%.80s\"",
                                 name, hex);
        hex_encode(digest, sizeof(digest), ret);
        return 0;
}

static int read_policy(sd_json_variant *policies, const char *member, struct image_policy *ret,
                       struct error *e)
{
        const char *name = NULL, *version = NULL;
        sd_json_variant *v = NULL;
        char rest;
        int r;

        r = json_object(policies, "policies", member, &v, e);
        if (r >= 0)
                r = json_string(v, member, "name", &name, e);
        if (r >= 0)
                r = json_string(v, member, "version", &version, e);
        if (r >= 0)
                r = read_sha256(v, member, ret->sha256, e);
        if (r < 0)
                return r;
        if (strlen(name) >= sizeof(ret->name))
                return error_set(e, -EINVAL, "%s: name: at most 255 bytes expected", member);
        if (sscanf(version, "%hu.%hu.%hu%c", &ret->version[0], &ret->version[1], &ret->version[2], &rest) !=
            3)
                return error_set(e, -EINVAL, "%s: version: N.N.N expected, found \"%.40s\"", member, version);
        memcpy(ret->name, name, strlen(name) + 1);
        return 0;
}

static int read_root_hash(struct image_json *image, struct error *e)
{
        sd_json_variant *root = NULL;
        size_t n;
        int r;

        r = json_object(image->json, FILE_NAME, "root", &root, e);
        if (r >= 0)
                r = json_string(root, "root", "root_hash", &image->root_hash, e);
        if (r < 0)
                return r;
        n = strlen(image->root_hash);
        if (n == 0 || n % 2 != 0 || n > 128 || strspn(image->root_hash, "0123456789abcdef") != n)
                return error_set(e, -EINVAL,
                                 "root: root_hash: lower-case hexadecimal digits expected, found "
                                 "\"%.140s\"",
                                 image->root_hash);
        return 0;
}

static int read_policies(struct image_json *image, struct error *e)
{
        sd_json_variant *policies = NULL, *selinux = NULL;
        int r;

        r = json_object(image->json, FILE_NAME, "policies", &policies, e);
        if (r >= 0)
                r = read_policy(policies, "ipe_boot", &image->ipe_boot, e);
        if (r >= 0)
                r = read_policy(policies, "ipe_host", &image->ipe_host, e);
        if (r >= 0)
                r = json_object(policies, "policies", "selinux", &selinux, e);
        return r < 0 ? r : read_sha256(selinux, "selinux", image->selinux, e);
}

static int fill(struct image_json *image, struct error *e)
{
        uint64_t version = 0;
        int r;

        r = json_unsigned(image->json, FILE_NAME, "version", UINT32_MAX, &version, e);
        if (r >= 0 && version != 1)
                r = error_set(e, -EINVAL, FILE_NAME ": version: 1 expected, found %lu",
                              (unsigned long)version);
        if (r >= 0)
                r = json_string(image->json, FILE_NAME, "name", &image->name, e);
        if (r >= 0)
                r = json_string(image->json, FILE_NAME, "variant", &image->variant, e);
        if (r >= 0)
                r = json_string(image->json, FILE_NAME, "cmdline", &image->cmdline, e);
        if (r >= 0)
                r = json_unsigned(image->json, FILE_NAME, "security_version", UINT32_MAX,
                                  &image->security_version, e);
        if (r >= 0)
                r = read_root_hash(image, e);
        return r < 0 ? r : read_policies(image, e);
}

int image_json_parse(char *text, size_t size, struct image_json *ret, struct error *e)
{
        struct image_json image = {.text = text, .size = size};
        int r = 0;

        if (size > SIZE_MAX_BYTES || memchr(text, '\0', size))
                r = error_set(e, -EINVAL, FILE_NAME ": text of at most %zu bytes expected", SIZE_MAX_BYTES);
        if (r >= 0)
                r = json_parse(FILE_NAME, text, &image.json, e);
        if (r >= 0)
                r = fill(&image, e);
        if (r < 0) {
                image_json_done(&image);
                return r;
        }
        *ret = image;
        return 0;
}

int image_policy_read(const void *der, size_t size, struct image_policy *ret, struct error *e)
{
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        _cleanup_free_ char *text = NULL;
        size_t text_size = 0;
        uint8_t digest[32];
        int r;

        r = ipe_signed_content(der, size, &text, &text_size, e);
        if (r >= 0)
                r = ipe_policy_parse(text, text_size, &policy, e);
        if (r < 0)
                return r;
        if (strlen(policy->name) >= sizeof(ret->name))
                return error_set(e, -EINVAL, "policy_name: at most 255 bytes expected");
        if (trust_sha256(der, size, digest) < 0)
                return error_set(e, -EIO, "IPE policy: SHA-256 failed");
        hex_encode(digest, sizeof(digest), ret->sha256);
        memcpy(ret->name, policy->name, strlen(policy->name) + 1);
        memcpy(ret->version, policy->version, sizeof(ret->version));
        return 0;
}

void image_policy_event(const struct image_policy *policy, size_t size, char *ret)
{
        (void)snprintf(ret, size, "%s %s %u.%u.%u", policy->sha256, policy->name, policy->version[0],
                       policy->version[1], policy->version[2]);
}
