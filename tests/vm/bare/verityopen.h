/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "tests/vm/guest/tap.h"

/* Plays directory/cases, as verityopen.py makes it: `verity open` of each image, from the program in
 * directory; where it must work, the kernel mounts the image on /mnt, finds in it what was put there and runs
 * a program of it. One check a case. */
void check_verity_open(struct tap *tap, const char *directory);
