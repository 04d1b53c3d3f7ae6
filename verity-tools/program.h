/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program's options, and one function a verb: each takes its operands and returns the exit status. */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/args.h"
#include "base/json.h"
#include "base/progress.h"
#include "image-file.h"

struct verity_options {
        enum json_mode json;
        const char *purpose, *key, *certificate, *manifest_key, *manifest_certificate, *common_name,
                *algorithm;
        const char *output, *file_contexts, *label, *architecture, *signature, *trust, *format, *digest_out,
                *attach, *at, *issuer_key, *issuer_certificate, *uuid;
        struct image_file_options image;
        struct arg_list providers;
        uint64_t days;
        bool authority;
        const char *push, *platform, *authfile, *tls_ca;
        uint64_t timeout;
        bool allow_setuid, deferred, squash, signatures_only, plain_http;
};

extern struct verity_options options;

/* Prints the message and gives the exit status: 1 where the answer is no, 2 where it could not be tried. */
int fail(int r, const struct error *e);

/* A verity_progress_t that draws on a struct progress. */
void show_progress(void *userdata, uint64_t done, uint64_t total);

/* What --purpose says, or the default. TRUST_PURPOSES, with the message set, if that is none. */
enum trust_purpose purpose_option(enum trust_purpose otherwise, struct error *e);

/* The time of --at, or now: when certificates have to be valid. */
int time_option(int64_t *ret, struct error *e);

/* Opens a signer with the providers that the options name; its certificates are valid at that time. Without
 * a key it can only attach. */
int open_signer(const char *key, const char *certificate, struct trust_signer **ret, struct error *e);

/* Opens the directory of --trust for the time of --at, or for now. */
int open_trust(struct trust_store **ret, struct error *e);

/* Checks --signature against --trust and tells what it found; nothing where neither is given. */
int verify_signature(const struct image_file *i, enum trust_purpose purpose, struct trust_report *ret,
                     struct error *e);

/* The DER of --signature, or of the signature partition of a disk image. To be freed. */
int read_signature(const struct image_file *i, uint8_t **ret, size_t *ret_size, struct error *e);
int report_to_json(const struct trust_report *report, sd_json_variant **ret);

/* Opens the image that the options describe. Its root hash is that of --root-hash, or the one that a
 * signature claims, which the caller then has to have checked. */
int open_image(const char *path, struct image_file *ret, struct error *e);

/* As open_image(), and reads every block, with a progress line. */
int open_verified_image(const char *path, struct image_file *ret, struct error *e);

struct registry_options;

/* How the options say that registries are reached. */
void registry_options_from(struct registry_options *ret);

/* A path in the directory for large temporary files, beside which there is room for an image. */
int scratch_path(char ret[static PATH_MAX], struct error *e);

/* The root hash in hex digits, or as JSON the whole geometry. */
int print_geometry(const struct verity_geometry *g);

int verb_build(int argc, char **argv);
int verb_image(int argc, char **argv);
int verb_rootfs(int argc, char **argv);
int verb_format(int argc, char **argv);
int verb_sign(int argc, char **argv);
int verb_verify(int argc, char **argv);
int verb_inspect(int argc, char **argv);
int verb_diff(int argc, char **argv);
int verb_open(int argc, char **argv);
int verb_close(int argc, char **argv);
int verb_keygen(int argc, char **argv);
