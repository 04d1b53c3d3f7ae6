/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files that a prediction is made from, as the program's options name them. */
#pragma once

#include "attest/predict/manifest.h"
#include "attest/predict/prediction.h"
#include "attest/predict/profile.h"

struct inputs {
        char *uki_file; /* owned; the rest points into it */
        struct uki uki;
        struct image_json image;
        struct profile profile; /* n is 0 without one */
        struct prediction prediction;
};
void inputs_done(struct inputs *in);
#define _cleanup_inputs_ _cleanup_(inputs_done)

/* Reads this UKI and what --firmware, --variables, --disk, --profile, --ipe-host and --payload name, and
 * predicts all that they determine. */
int inputs_predict(const char *uki, struct inputs *ret, struct error *e);

/* Opens the signer that --key, --certificate and --provider name. */
int open_signer(struct trust_signer **ret, struct error *e);

/* Reads a file that is signed for the purpose `build`, and checks it with --trust. The text is to be freed; a
 * NUL follows. */
int read_signed(const char *path, size_t max, char **ret, size_t *ret_size, struct error *e);

/* Signs a text for the purpose `build`, with the text inside, and writes it to --output. -EFBIG: with its
 * signature it has more than the `max` bytes that its readers take. */
int write_signed(const struct trust_signer *signer, const char *text, size_t max, struct error *e);
