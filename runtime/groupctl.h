/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to groupctl: how it asks groupd, and how it prints the answers. Functions that return an exit
 * status have said why it is not 0. */
#pragma once

#include <stdbool.h>

#include "base/json.h"

/* What options set. */
struct groupctl {
        const char *machine; /* groupd's socket, or a broker's */
        const char *container;
        enum json_mode json_mode;
        bool follow;
};
extern struct groupctl groupctl;

/* groupctl-call.c: calls a method and gives the reply's field (NULL: the whole reply) to `print`, or prints
 * it as JSON if that was asked for. Returns the exit status. */
int groupctl_call(const char *method, sd_json_variant *parameters, const char *field,
                  int (*print)(sd_json_variant *v));

/* The same for a method that answers in portions: `print` gets the field, an array, of each. */
int groupctl_follow(const char *method, sd_json_variant *parameters, const char *field,
                    int (*print)(sd_json_variant *list));

/* groupctl-print.c: for people, to standard output. 0 or a negative errno. */
int print_groups(sd_json_variant *groups);
int print_group(sd_json_variant *g);
int print_stats(sd_json_variant *containers);
int print_deleted(sd_json_variant *g);
int print_version(sd_json_variant *v);
int print_events(sd_json_variant *events);
int print_log(sd_json_variant *entries); /* what was written to stderr goes there */
