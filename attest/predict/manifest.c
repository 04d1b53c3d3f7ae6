/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/manifest.h"

#include <errno.h>
#include <stdio.h>

#include "attest/predict/sbom.h"
#include "base/hex.h"
#include "tpm/policy.h"

/* What an approved boot is known by: Secure Boot's state, the UKI, the stub's additions, osguard's events. */
static const unsigned policy_pcrs[] = {7, 11, 12, 14};

static int predicted_values(const struct prediction *p, struct tpm_pcr_policy *ret, struct error *e)
{
        for (size_t i = 0; i < ELEMENTSOF(policy_pcrs); i++) {
                unsigned pcr = policy_pcrs[i];
                int r = prediction_value(p, pcr, PREDICTION_VOLUME, ret->values[pcr], e);

                if (r < 0)
                        return r;
                ret->pcrs |= 1u << pcr;
        }
        return 0;
}

static int policy_to_json(const struct tpm_pcr_policy *policy, const uint8_t digest[static TPM_POLICY_SIZE],
                          sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *pcrs = NULL, *values = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(policy_pcrs); i++) {
                unsigned pcr = policy_pcrs[i];
                char name[8];

                (void)snprintf(name, sizeof(name), "%u", pcr);
                r = sd_json_variant_append_arrayb(&pcrs, SD_JSON_BUILD_UNSIGNED(pcr));
                if (r >= 0)
                        r = sd_json_variant_set_fieldb(&values, name,
                                                       SD_JSON_BUILD_HEX(policy->values[pcr], 32));
        }
        return r < 0 ? r
                     : sd_json_buildo(
                               ret, SD_JSON_BUILD_PAIR_STRING("name", "volume"),
                               SD_JSON_BUILD_PAIR_VARIANT("pcrs", pcrs),
                               SD_JSON_BUILD_PAIR_VARIANT("values", values),
                               SD_JSON_BUILD_PAIR("policy", SD_JSON_BUILD_HEX(digest, TPM_POLICY_SIZE)),
                               SD_JSON_BUILD_PAIR("signature", SD_JSON_BUILD_BASE64(policy->signature,
                                                                                    TPM_SIGNATURE_SIZE)));
}

int manifest_pcr_policy(const struct prediction *p, const struct trust_signer *signer, sd_json_variant **ret,
                        struct error *e)
{
        uint8_t message[TPM_POLICY_TO_SIGN_SIZE], digest[TPM_POLICY_SIZE];
        struct tpm_pcr_policy policy = {};
        int r;

        r = predicted_values(p, &policy, e);
        if (r >= 0)
                r = tpm_policy_pcr(&policy, digest, e);
        if (r >= 0)
                r = tpm_policy_to_sign(&policy, message, e);
        if (r >= 0)
                r = trust_sign_ecdsa(signer, TRUST_BUILD, message, sizeof(message), policy.signature, e);
        if (r < 0)
                return r;
        r = policy_to_json(&policy, digest, ret);
        return r < 0 ? error_errno(e, r, "PCR policy") : 0;
}

static int uki_to_json(const struct uki *uki, sd_json_variant **ret, struct error *e)
{
        uint8_t sha256[32], authenticode[32];
        int r;

        if (trust_sha256(uki->pe.file.bytes, uki->pe.file.size, sha256) < 0)
                return error_set(e, -EIO, "UKI: SHA-256 failed");
        r = pe_authenticode(&uki->pe, authenticode, e);
        return r < 0 ? r
                     : sd_json_buildo(
                               ret, SD_JSON_BUILD_PAIR("sha256", SD_JSON_BUILD_HEX(sha256, 32)),
                               SD_JSON_BUILD_PAIR("authenticode", SD_JSON_BUILD_HEX(authenticode, 32)));
}

/* What the image is. */
static int describe_image(const struct manifest_input *in, sd_json_variant **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *uki = NULL;
        const struct image_json *image = in->image;
        uint8_t digest[32];
        int r;

        if (trust_sha256(image->text, image->size, digest) < 0)
                return error_set(e, -EIO, "image.json: SHA-256 failed");
        r = uki_to_json(in->uki, &uki, e);
        return r < 0 ? r
                     : sd_json_buildo(
                               ret, SD_JSON_BUILD_PAIR_UNSIGNED("version", 1),
                               SD_JSON_BUILD_PAIR_STRING("name", image->name),
                               SD_JSON_BUILD_PAIR_STRING("variant", image->variant),
                               SD_JSON_BUILD_PAIR_UNSIGNED("security_version", image->security_version),
                               SD_JSON_BUILD_PAIR("image_sha256", SD_JSON_BUILD_HEX(digest, sizeof(digest))),
                               SD_JSON_BUILD_PAIR_VARIANT("uki", uki),
                               SD_JSON_BUILD_PAIR_STRING("root_hash", image->root_hash),
                               SD_JSON_BUILD_PAIR_VARIANT("policies",
                                                          sd_json_variant_by_key(image->json, "policies")));
}

/* What it will measure. */
static int describe_boot(const struct manifest_input *in, const struct trust_signer *signer,
                         sd_json_variant **v, struct error *e)
{
        _cleanup_json_ sd_json_variant *prediction = NULL, *policy = NULL;
        int r;

        r = manifest_pcr_policy(in->prediction, signer, &policy, e);
        if (r >= 0)
                r = prediction_to_json(in->prediction, &prediction);
        if (r >= 0)
                r = sd_json_variant_merge_object(v, prediction);
        if (r >= 0 && in->profile)
                r = sd_json_variant_set_field_string(v, "profile", in->profile);
        return r < 0 ? r
                     : sd_json_variant_set_fieldb(v, "pcr_policies",
                                                  SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_VARIANT(policy)));
}

int manifest_make(const struct manifest_input *in, const struct trust_signer *signer, char **ret,
                  struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL, *sbom = NULL;
        struct error inner = {};
        int r;

        r = describe_image(in, &v, &inner);
        if (r >= 0)
                r = describe_boot(in, signer, &v, &inner);
        if (r >= 0 && in->packages) {
                r = sbom_make(in->image, in->packages, &sbom, &inner);
                if (r >= 0)
                        r = sd_json_variant_set_field(&v, "sbom", sbom);
        }
        if (r >= 0)
                r = sd_json_variant_format(v, SD_JSON_FORMAT_NEWLINE, ret);
        if (r >= 0)
                return 0;
        return inner.message[0] ? error_set(e, r, "%s", inner.message) : error_errno(e, r, "build manifest");
}

int manifest_authorize(sd_json_variant *pcr_policies, char **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("version", 1),
                           SD_JSON_BUILD_PAIR_VARIANT("pcr_policies", pcr_policies));
        if (r >= 0)
                r = sd_json_variant_format(v, SD_JSON_FORMAT_NEWLINE, ret);
        return r < 0 ? error_errno(e, r, "PCR policies") : 0;
}
