/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of selinux-policy share: options, and how a policy is opened. */
#pragma once

#include <stdint.h>

#include "base/args.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "selinux/selinux.h"

struct options {
        enum json_mode json;
        const char *binary; /* --policy */
        const char *tree, *output;
        bool execmem;
        struct arg_list devices, ports, capabilities;
};

extern struct options options;

/* Opens the policy: the binary one that --policy names, or the text in the first operand, which is then taken
 * off the operands. */
int open_policy(int *argc, char ***argv, struct selinux_policy **ret, struct error *e);

/* Logs the failure and returns the exit status that says it could not be tried. */
int could_not_try(int r, const struct error *e);

int rule_to_json(const struct selinux_rule *rule, sd_json_variant **ret);
int rules_to_json(const struct selinux_rules *rules, sd_json_variant **ret);

int run_check(int argc, char **argv);
int run_diff(int argc, char **argv);
int run_explain(int argc, char **argv);
int run_new_type(int argc, char **argv);
int run_query(int argc, char **argv);
