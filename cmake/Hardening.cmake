# SPDX-License-Identifier: LGPL-2.1-or-later
# Warnings for everything; hardening for everything that ships (the sanitizer build replaces _FORTIFY_SOURCE).
option(HOLDFAST_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(HOLDFAST_FUZZ "Build the libFuzzer targets (needs clang)" OFF)

add_compile_options(-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef
                    -Wformat=2 -Wvla -Wimplicit-fallthrough -Wno-unused-parameter -fno-strict-aliasing -fno-common)

# Some packaged headers of libraries declare inline functions that trip our own warnings.
if(HOLDFAST_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  if(HOLDFAST_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
else()
  add_compile_options(-fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero -fcf-protection
                      -ffunction-sections -fdata-sections)
  add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code -Wl,--as-needed -Wl,--gc-sections)
  add_compile_definitions($<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=3>)
endif()
