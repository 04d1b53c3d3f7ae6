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

static int check_content(const char *path, const struct ipe_policy *policy, const char *name, bool host,
                         struct error *e)
{
        if (strcmp(policy->name, name) != 0)
                return error_set(e, -EINVAL, "%s: policy_name: %s expected, found %s", path, name,
                                 policy->name);
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

int ipe_policy_check(const struct trust_store *trust, const char *path, const uint8_t *der, size_t size,
                     const char *name, bool host, struct policy_reference *ret, struct error *e)
{
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        struct policy_reference reference = {};
        const void *text = NULL;
        size_t text_size = 0;
        int r;

        r = trust_verify_attached(trust, TRUST_POLICY, der, size, &text, &text_size, e);
        if (r >= 0)
                r = ipe_policy_parse(text, text_size, &policy, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        r = check_content(path, policy, name, host, e);
        if (r < 0)
                return r;
        if (trust_sha256(der, size, reference.sha256) < 0)
                return error_set(e, -EIO, "%s: SHA-256 failed", path);
        (void)snprintf(reference.name, sizeof(reference.name), "%s", policy->name);
        memcpy(reference.version, policy->version, sizeof(reference.version));
        *ret = reference;
        return 0;
}

int ipe_policy_load_file(const struct trust_store *trust, const char *path,
                         const struct policy_reference *reference, bool host, uint8_t **ret_der,
                         size_t *ret_size, struct error *e)
{
        struct policy_reference found;
        _cleanup_free_ char *der = NULL;
        size_t size = 0;
        int r;

        r = read_file(AT_FDCWD, path, P7B_MAX, &der, &size, e);
        if (r < 0)
                return r;
        r = check_digest(path, (uint8_t *)der, size, reference->sha256, e);
        if (r >= 0)
                r = ipe_policy_check(trust, path, (uint8_t *)der, size, reference->name, host, &found, e);
        if (r < 0)
                return r;
        if (ipe_policy_compare_versions(found.version, reference->version) != 0)
                return error_set(e, -EINVAL, "%s: policy_version: %u.%u.%u expected, found %u.%u.%u", path,
                                 reference->version[0], reference->version[1], reference->version[2],
                                 found.version[0], found.version[1], found.version[2]);
        *ret_der = (uint8_t *)TAKE_PTR(der);
        *ret_size = size;
        return 0;
}

int ipe_policy_measure(struct event_log *log, const struct policy_reference *reference, struct error *e)
{
        char text[384], hex[65];
        int n;

        hex_encode(reference->sha256, 32, hex);
        n = snprintf(text, sizeof(text), "%s %s %u.%u.%u", hex, reference->name, reference->version[0],
                     reference->version[1], reference->version[2]);
        return event_log_append(log, "ipe-policy", text, (size_t)n, e);
}

int ipe_policy_activate(const struct policy_reference *reference, const uint8_t *der, size_t size,
                        struct error *e)
{
        char path[512];
        int r;

        r = write_kernel_file(IPE "/new_policy", der, size, e);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), IPE "/policies/%s/active", reference->name);
        return write_kernel_file(path, "1", 1, e);
}

int step_ipe_boot(struct boot *b, struct error *e)
{
        const struct policy_reference *reference = &b->image.ipe_boot;
        _cleanup_free_ uint8_t *der = NULL;
        size_t size = 0;
        int r;

        r = ipe_policy_load_file(b->trust, OSGUARD_IPE_BOOT, reference, false, &der, &size, e);
        if (r >= 0)
                r = ipe_policy_measure(b->log, reference, e);
        return r < 0 ? r : ipe_policy_activate(reference, der, size, e);
}

/* The policy that step versions chose and step measure measured. */
int step_ipe_host(struct boot *b, struct error *e)
{
        char path[512];
        int r;

        r = ipe_policy_activate(&b->host.reference, b->host.der, b->host.size, e);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), IPE "/policies/%s/delete", b->image.ipe_boot.name);
        return write_kernel_file(path, "1", 1, e);
}
