/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/hex.h"
#include "ipe-policy/ipe-policy.h"
#include "osguard/osguard.h"

#define IPE "/sys/kernel/security/ipe"
#define P7B_MAX IPE_POLICY_MAX

static int check_digest(const char *path, const uint8_t *der, size_t size, const uint8_t expected[static 32],
                        struct error *e)
{
        uint8_t digest[32];
        char found_hex[65], expected_hex[65];

        if (trust_sha256(der, size, digest) < 0)
                return error_set(e, -EIO, "%s: SHA-256 failed", path);
        if (memcmp(digest, expected, 32) == 0)
                return 0;
        hex_encode(digest, 32, found_hex);
        hex_encode(expected, 32, expected_hex);
        return error_set(e, -EKEYREJECTED, "%s: SHA-256 %s expected, found %s", path, expected_hex,
                         found_hex);
}

static int check_content(const char *path, const char *text, size_t size,
                         const struct policy_reference *reference, bool host, struct error *e)
{
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        int r;

        r = ipe_policy_parse(text, size, &policy, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        if (strcmp(policy->name, reference->name) != 0)
                return error_set(e, -EINVAL, "%s: policy_name: %s expected, found %s", path, reference->name,
                                 policy->name);
        if (ipe_policy_compare_versions(policy->version, reference->version) != 0)
                return error_set(e, -EINVAL, "%s: policy_version: %u.%u.%u expected, found %u.%u.%u", path,
                                 reference->version[0], reference->version[1], reference->version[2],
                                 policy->version[0], policy->version[1], policy->version[2]);
        if (ipe_policy_allows_anything(policy))
                return error_set(
                        e, -EINVAL,
                        "%s: execution of verified files alone expected, found a policy that allows any",
                        path);
        if (host && ipe_policy_allows_boot_verified(policy))
                return error_set(e, -EINVAL,
                                 "%s: no rule with boot_verified=TRUE expected in a host policy, found one",
                                 path);
        return 0;
}

int ipe_policy_load_file(const struct trust_store *trust, const char *path,
                         const struct policy_reference *reference, bool host, uint8_t **ret_der,
                         size_t *ret_size, struct error *e)
{
        const void *content = NULL;
        _cleanup_free_ char *der = NULL;
        size_t size = 0, content_size = 0;
        int r;

        r = read_file(AT_FDCWD, path, P7B_MAX, &der, &size, e);
        if (r < 0)
                return r;
        r = check_digest(path, (uint8_t *)der, size, reference->sha256, e);
        if (r < 0)
                return r;
        r = trust_verify_attached(trust, TRUST_POLICY, der, size, &content, &content_size, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        r = check_content(path, content, content_size, reference, host, e);
        if (r < 0)
                return r;
        *ret_der = (uint8_t *)TAKE_PTR(der);
        *ret_size = size;
        return 0;
}

int ipe_policy_activate(struct event_log *log, const struct policy_reference *reference, const uint8_t *der,
                        size_t size, struct error *e)
{
        char text[384], hex[65], path[512];
        int r, n;

        hex_encode(reference->sha256, 32, hex);
        n = snprintf(text, sizeof(text), "%s %s %u.%u.%u", hex, reference->name, reference->version[0],
                     reference->version[1], reference->version[2]);
        r = event_log_append(log, "ipe-policy", text, (size_t)n, e);
        if (r < 0)
                return r;
        r = write_kernel_file(IPE "/new_policy", der, size, e);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), IPE "/policies/%s/active", reference->name);
        return write_kernel_file(path, "1", 1, e);
}

int step_ipe_boot(struct boot *b, struct error *e)
{
        _cleanup_free_ uint8_t *der = NULL;
        size_t size = 0;
        int r;

        r = ipe_policy_load_file(b->trust, OSGUARD_IPE_BOOT, &b->image.ipe_boot, false, &der, &size, e);
        if (r < 0)
                return r;
        return ipe_policy_activate(b->log, &b->image.ipe_boot, der, size, e);
}

int step_ipe_host(struct boot *b, struct error *e)
{
        _cleanup_free_ uint8_t *der = NULL;
        char path[512];
        size_t size = 0;
        int r;

        r = ipe_policy_load_file(b->trust, OSGUARD_SYSROOT OSGUARD_IPE_HOST, &b->image.ipe_host, true, &der,
                                 &size, e);
        if (r < 0)
                return r;
        r = ipe_policy_activate(b->log, &b->image.ipe_host, der, size, e);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), IPE "/policies/%s/delete", b->image.ipe_boot.name);
        return write_kernel_file(path, "1", 1, e);
}
