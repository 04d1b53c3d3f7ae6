/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* data/corpus: texts of policies with the kernel's verdicts. */
#pragma once

#include <stddef.h>

struct corpus_case {
        char *name;
        int error;           /* the negative errno of new_policy, or 0 */
        unsigned version[3]; /* as loaded, where error is 0 */
        char *text;
        size_t size;
};

struct corpus {
        struct corpus_case *cases;
        size_t n;
        char *file;
};

/* Aborts where the file is not as its head says. */
void corpus_read(struct corpus *ret);
void corpus_done(struct corpus *c);
