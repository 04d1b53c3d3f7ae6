/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program's options, and one function a verb: each takes its operands and returns the exit status. */
#pragma once

#include <stdbool.h>

#include "attest/quote.h"
#include "base/args.h"
#include "base/error.h"

struct attest_options {
        enum json_mode json;
        const char *firmware, *variables, *disk, *profile, *ipe_host, *payload, *packages;
        const char *name, *key, *certificate, *output, *trust;
        const char *nonce, *policy, *reference;
        const char *tpm, *ipe_host_floor, *volume;
        uint64_t counter, image_floor;
        struct arg_list against, providers;
};
extern struct attest_options options;

/* Prints the message and gives the exit status: 1 where the answer is no, 2 where it could not be tried. */
int fail(int r, const struct error *e);

/* The bytes of --nonce. -EINVAL if they are too few, too many or missing. */
int nonce_option(uint8_t ret[static QUOTE_NONCE_MAX], size_t *ret_size, struct error *e);

int verb_authorize(int argc, char **argv);
int verb_eventlog(int argc, char **argv);
int verb_evidence(int argc, char **argv);
int verb_manifest(int argc, char **argv);
int verb_predict(int argc, char **argv);
int verb_profile(int argc, char **argv);
int verb_show(int argc, char **argv);
int verb_token(int argc, char **argv);
int verb_verify(int argc, char **argv);
