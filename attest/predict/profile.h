/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine profile: what one kind of machine adds to the measurements of its firmware, recorded once from
 * its firmware log and signed by the owner for the purpose `build`. It holds all events of the PCRs 0, 1, 2,
 * 3 and 6, by their SHA-256 digests. */
#pragma once

#include "attest/predict/prediction.h"

#define PROFILE_MAX ((size_t)1024 * 1024)

struct profile {
        char name[65];
        struct predicted_event events[PREDICTION_EVENTS_MAX];
        size_t n;
};

/* The text of a profile from a firmware log, to be freed. name: 1 to 64 printable characters without blanks.
 * -EBADMSG: not a log, or one that breaks the rules of firmware_log_check(). */
int profile_record(const char *name, const void *log, size_t size, char **ret, struct error *e);

/* -EINVAL names the member that is missing or wrong. */
int profile_parse(const char *text, size_t size, struct profile *ret, struct error *e);

/* Closes what the prediction leaves open, and adds the PCRs that it lacks; PCRs 2 and 3 become the profile's.
 * -EBADMSG: the profile is of a machine with other firmware. */
int profile_apply(const struct profile *profile, struct prediction *p, struct error *e);
