/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What eval and diff are asked about. */
#pragma once

#include "observe.h"
#include "program.h"

struct subject {
        char *name; /* "layer 1 of NAME", a path, or "a file with these properties" */
        struct ipe_subject subject;
};

struct subjects {
        struct subject *items;
        size_t n;
        struct ipe_layers layers; /* what the subjects point into */
        struct ipe_observation observation;
        char *digests[4];
        size_t n_digests;
};
void subjects_done(struct subjects *s);

/* The layers of all --image; else the file of --path with what the options of properties say otherwise, which
 * without any is anonymous memory or a file that nothing vouches for. Must not be moved afterwards. */
int subjects_from_options(struct subjects *ret, struct error *e);

/* The layers of all --image alone. */
int subjects_from_images(struct subjects *ret, struct error *e);
