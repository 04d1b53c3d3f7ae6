/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of this library share. */
#pragma once

#include "ipe-policy/ipe-policy.h"

/* As ipe_policy_parse(), and says where in the text the error is. */
int ipe_parse(const char *text, size_t size, struct ipe_policy **ret, struct ipe_place *ret_place,
              struct error *e);

/* The kernel's isspace(): ASCII's, and 0xA0. */
bool ipe_is_space(char c);

/* The length of the first line of a text that ends with NUL, and where the next one begins (NULL after the
 * last). To the kernel the two bytes of \r\n end two lines, of which one is empty: that makes no difference.
 */
size_t ipe_line_length(char *line, char **ret_next);

/* Files that both rules match (b may be NULL: any), such that no rule without one of their digests tells them
 * from another file that both match. A digest that neither names is one that nobody names. At most
 * IPE_EXAMPLES_MAX; 0: no file can match. The digests of ret point into the rules. */
#define IPE_EXAMPLES_MAX 10u
size_t ipe_rule_examples(const struct ipe_rule *a, const struct ipe_rule *b,
                         struct ipe_subject ret[static IPE_EXAMPLES_MAX]);
