/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer's entry point. A target aborts where a promise is broken; sanitizers see to the rest. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define PROMISE(x)                                                                                           \
        do {                                                                                                 \
                if (!(x))                                                                                    \
                        __builtin_trap();                                                                    \
        } while (0)
