/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The build manifest: what an image is and what it will measure, signed by its owner. README.md has the
 * format. */
#pragma once

#include "attest/predict/prediction.h"
#include "trust/trust.h"

/* What a manifest is made from. All is borrowed. */
struct manifest_input {
        const struct image_json *image;
        const struct uki *uki;
        const struct prediction *prediction;
        const char *profile;       /* name of the machine profile in the prediction, or NULL */
        sd_json_variant *packages; /* [{"name", "version", "architecture", "source"}, …], or NULL */
};

/* The policy under which the data volume opens: PCRs 7, 11, 12 and 14 as predicted for that moment, signed
 * for TPM2_PolicyAuthorize. -ENODATA: one of them is not predicted; -EKEYREJECTED: not a key of the purpose
 * `build` on P-256. */
int manifest_pcr_policy(const struct prediction *p, const struct trust_signer *signer, sd_json_variant **ret,
                        struct error *e);

/* The manifest's text, to be freed. */
int manifest_make(const struct manifest_input *in, const struct trust_signer *signer, char **ret,
                  struct error *e);

/* {"version": 1, "pcr_policies": […]}, what belongs to a newer IPE host policy, to be freed. */
int manifest_authorize(sd_json_variant *pcr_policies, char **ret, struct error *e);
