/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Text from strangers for terminals and JSON: UTF-8 stays as it is; a control character, a backslash and each
 * byte that is no UTF-8 becomes \xHH. To be freed; NULL when memory ends. */
char *escape_text(const char *text);
