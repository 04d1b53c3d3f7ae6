/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signed PCR policies, as they stand in the build manifest and beside a newer host policy. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "osguard/osguard.h"

#define POLICIES_MAX 64u

/* What an approved boot is known by: Secure Boot's state, the UKI, its stub's additions, osguard's events. */
static const unsigned policy_pcrs[] = {7, 11, 12, 14};

static int read_digest(sd_json_variant *v, const char *name, const char *field, uint8_t ret[static 32],
                       struct error *e)
{
        const char *hex = NULL;
        int r;

        r = json_string(v, name, field, &hex, e);
        if (r < 0)
                return r;
        if (hex_decode(hex, ret, 32) < 0)
                return error_set(e, -EINVAL, "%s: %s: 64 hexadecimal digits expected, found \"%.80s\"", name,
                                 field, hex);
        return 0;
}

static int read_pcrs(sd_json_variant *v, struct tpm_pcr_policy *policy, struct error *e)
{
        sd_json_variant *pcrs = NULL, *values = NULL;
        int r;

        r = json_array(v, "pcr_policies", "pcrs", &pcrs, e);
        if (r >= 0)
                r = json_object(v, "pcr_policies", "values", &values, e);
        if (r < 0)
                return r;
        if (sd_json_variant_elements(pcrs) != ELEMENTSOF(policy_pcrs) ||
            sd_json_variant_elements(values) != 2 * ELEMENTSOF(policy_pcrs))
                return error_set(e, -EINVAL, "pcr_policies: PCRs 7, 11, 12 and 14 expected, found others");
        for (size_t i = 0; i < ELEMENTSOF(policy_pcrs); i++) {
                sd_json_variant *pcr = sd_json_variant_by_index(pcrs, i);
                char field[8];

                if (!sd_json_variant_is_unsigned(pcr) || sd_json_variant_unsigned(pcr) != policy_pcrs[i])
                        return error_set(e, -EINVAL, "pcr_policies: pcrs: %u expected, found another",
                                         policy_pcrs[i]);
                (void)snprintf(field, sizeof(field), "%u", policy_pcrs[i]);
                r = read_digest(values, "values", field, policy->values[policy_pcrs[i]], e);
                if (r < 0)
                        return r;
                policy->pcrs |= 1u << policy_pcrs[i];
        }
        return 0;
}

static int read_signature(sd_json_variant *v, struct tpm_pcr_policy *policy, struct error *e)
{
        sd_json_variant *text = sd_json_variant_by_key(v, "signature");
        _cleanup_free_ void *bytes = NULL;
        size_t size = 0;

        if (!sd_json_variant_is_string(text) || sd_json_variant_unbase64(text, &bytes, &size) < 0 ||
            size != TPM_SIGNATURE_SIZE)
                return error_set(e, -EINVAL, "pcr_policies: signature: %u bytes in Base64 expected",
                                 TPM_SIGNATURE_SIZE);
        memcpy(policy->signature, bytes, size);
        return 0;
}

static int read_policy(sd_json_variant *v, struct tpm_pcr_policy *ret, struct error *e)
{
        uint8_t stated[TPM_POLICY_SIZE], reckoned[TPM_POLICY_SIZE];
        struct tpm_pcr_policy policy = {};
        const char *name = NULL;
        int r;

        r = json_string(v, "pcr_policies", "name", &name, e);
        if (r >= 0 && strcmp(name, "volume") != 0)
                r = error_set(e, -EINVAL, "pcr_policies: name: volume expected, found \"%.40s\"", name);
        if (r >= 0)
                r = read_pcrs(v, &policy, e);
        if (r >= 0)
                r = read_digest(v, "pcr_policies", "policy", stated, e);
        if (r >= 0)
                r = read_signature(v, &policy, e);
        if (r >= 0)
                r = tpm_policy_pcr(&policy, reckoned, e);
        if (r < 0)
                return r;
        if (memcmp(stated, reckoned, sizeof(stated)) != 0)
                return error_set(e, -EINVAL, "pcr_policies: policy: the digest of the values expected");
        *ret = policy;
        return 0;
}

static int read_policies(sd_json_variant *root, const char *name, struct tpm_pcr_policy **ret, size_t *ret_n,
                         struct error *e)
{
        _cleanup_free_ struct tpm_pcr_policy *policies = NULL;
        sd_json_variant *list = NULL;
        size_t n;
        int r;

        r = json_array(root, name, "pcr_policies", &list, e);
        if (r < 0)
                return r;
        n = sd_json_variant_elements(list);
        if (n < 1 || n > POLICIES_MAX)
                return error_set(e, -E2BIG, "%s: pcr_policies: 1 to %u expected, found %zu", name,
                                 POLICIES_MAX, n);
        policies = calloc(n, sizeof(*policies));
        if (!policies)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                r = read_policy(sd_json_variant_by_index(list, i), &policies[i], e);
                if (r < 0)
                        return error_prefix(e, r, "%s", name);
        }
        *ret = TAKE_PTR(policies);
        *ret_n = n;
        return 0;
}

static int check_image(sd_json_variant *root, const char *name, const uint8_t *expected, struct error *e)
{
        char expected_hex[65], found_hex[65];
        uint8_t found[32];
        int r;

        r = read_digest(root, name, "image_sha256", found, e);
        if (r < 0 || memcmp(found, expected, 32) == 0)
                return r;
        hex_encode(expected, 32, expected_hex);
        hex_encode(found, 32, found_hex);
        return error_set(e, -EBADMSG, "%s: image_sha256: %s expected, found %s", name, expected_hex,
                         found_hex);
}

int pcr_policies_parse(const char *name, const char *text, size_t size, const uint8_t *image_sha256,
                       struct tpm_pcr_policy **ret, size_t *ret_n, struct error *e)
{
        _cleanup_json_ sd_json_variant *root = NULL;
        _cleanup_free_ char *copy = NULL;
        uint64_t version = 0;
        int r;

        if (size > MANIFEST_MAX || memchr(text, '\0', size))
                return error_set(e, -EINVAL, "%s: text of at most %u bytes expected", name, MANIFEST_MAX);
        copy = strndup(text, size);
        if (!copy)
                return -ENOMEM;
        r = json_parse(name, copy, &root, e);
        if (r >= 0)
                r = json_unsigned(root, name, "version", UINT32_MAX, &version, e);
        if (r >= 0 && version != 1)
                r = error_set(e, -EINVAL, "%s: version: 1 expected, found %lu", name, (unsigned long)version);
        if (r >= 0 && image_sha256)
                r = check_image(root, name, image_sha256, e);
        return r < 0 ? r : read_policies(root, name, ret, ret_n, e);
}
