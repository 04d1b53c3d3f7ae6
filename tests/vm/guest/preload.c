/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library whose constructor ends the program that maps it; see PRELOAD_RAN in attempts.h. */
#include <unistd.h>

#include "tests/vm/guest/attempts.h"

__attribute__((constructor)) static void loaded(void)
{
        _exit(PRELOAD_RAN);
}
