/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lint found in several files, and its forms. */
#pragma once

#include "base/json.h"
#include "ipe-policy/ipe-policy.h"

struct kept_finding {
        const struct ipe_lint_rule *rule;
        const char *file;
        struct ipe_place place;
        char *message, *replacement; /* replacement may be NULL */
        const char *fix;             /* a literal, or NULL */
};

struct findings {
        struct kept_finding *items;
        size_t n;
};

int findings_to_json(const struct findings *f, sd_json_variant **ret);

/* SARIF 2.1.0 (OASIS). */
int findings_to_sarif(const struct findings *f, sd_json_variant **ret);
