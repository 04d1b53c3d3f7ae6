/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program's options, what its verbs share, and one function a verb: each takes its operands and returns
 * the exit status. */
#pragma once

#include <stdbool.h>

#include "base/args.h"
#include "ipe-policy/author.h"

struct ipe_options {
        enum json_mode json;
        const char *output, *key, *certificate, *trust;
        const char *format, *severity, *previous, *part, *by, *policy_name, *policy_version;
        const char *operation, *path, *kernel;
        const char *flags[3], *dmverity_roothash, *fsverity_digest; /* flags: boot_verified, the signatures */
        struct arg_list providers, images, maps;
        bool boot, allow_list, check;
};
extern struct ipe_options options;

/* A policy as it is in a file: text, or PKCS#7 with text, whose signature is not judged. */
struct policy_file {
        char *text;
        size_t size;
        bool is_signed;
        char digest[65];           /* SHA-256 of the file, as in the kernel's record 1422 */
        struct ipe_policy *policy; /* of policy_file_open() alone */
};
int policy_file_read(const char *path, struct policy_file *ret, struct error *e);

/* As policy_file_read(), and parses it; "-" is standard input. */
int policy_file_open(const char *path, struct policy_file *ret, struct error *e);
void policy_file_done(struct policy_file *f);
#define _cleanup_file_ _cleanup_(policy_file_done)

/* Prints the message and gives the exit status: 1 where the answer is no, 2 where it could not be tried. */
int fail(int r, const struct error *e);

/* The number of value among n names; *ret stays where value is NULL. -EDOM names the option. */
int choose(const char *option, const char *value, const char *const names[], unsigned n, unsigned *ret,
           struct error *e);

/* Writes a text to --output, or to standard output where there is none. */
int write_output(const char *text, struct error *e);

/* The layers of all --image, with --trust. */
int read_images(struct ipe_layers *ret, struct error *e);

/* "ALGORITHM:HEX"; the digest points into a copy that is the caller's to free. */
int parse_digest(const char *option, const char *value, char **ret_copy, struct ipe_digest *ret,
                 struct error *e);

int verb_info(int argc, char **argv);
int verb_lint(int argc, char **argv);
int verb_fmt(int argc, char **argv);
int verb_bump(int argc, char **argv);
int verb_eval(int argc, char **argv);
int verb_explain(int argc, char **argv);
int verb_diff(int argc, char **argv);
int verb_generate(int argc, char **argv);
int verb_from_audit(int argc, char **argv);
int verb_simulate_upgrade(int argc, char **argv);
int verb_sign(int argc, char **argv);
int verb_verify(int argc, char **argv);
