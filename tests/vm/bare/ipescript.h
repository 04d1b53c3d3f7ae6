/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "tests/vm/guest/tap.h"

/* Plays a file of writes and reads below /sys/kernel/security/ipe, as ipescript.py makes it: one check for
 * the whole, and one for each answer that is another. Nothing may be loaded before; policies that allow
 * everything are left. */
void check_ipe_script(struct tap *tap, const char *path);
