/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small UKI made by the tools that make ours, in a scratch directory. */
#pragma once

#include "../verity-tools/scratch.h"
#include "attest/predict/prediction.h"

/* image.json of a variant, "prod" or "dev". To be freed. */
char *image_text(const char *variant);

/* Criterion's init: a scratch directory with the pairs boot, foreign, PK, KEK (all but foreign enrolled in
 * vars.fd) and build; with uki.efi, signed by boot, and the files that it is made of: linux, initrd, cmdline,
 * osrel, uname. */
void predict_enter(void);

/* Makes another UKI from the same files. key: NULL leaves it unsigned; options: more of ukify's. */
void make_uki(const char *path, const char *key, const char *options);

/* A file as a slice. To be freed by its bytes. */
struct slice read_slice(const char *path);

/* Reads a UKI that has to be one; file is to be freed. */
struct slice open_uki(const char *path, struct uki *ret);

/* The first event of this PCR whose source begins so; the test ends if there is none. */
const struct predicted_event *find_event(const struct prediction *p, unsigned pcr, const char *source);

/* The digest in lower-case hex, in a static buffer. */
const char *hex_of(const uint8_t digest[static 32]);
