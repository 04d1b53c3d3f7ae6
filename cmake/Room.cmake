# SPDX-License-Identifier: LGPL-2.1-or-later
# holdfast_library(NAME SOURCES … LINK … PKG …): a static library; PKG names pkg-config modules.
function(holdfast_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK;PKG" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC ${A_LINK})
  holdfast_packages(${name} ${A_PKG})
endfunction()

# holdfast_program(NAME [INSTALL] SOURCES … LINK … PKG …): an executable in bin/. INSTALL: `cmake --install` takes it, with completions for shells
# and the man pages beside its sources; what only runs in the machine gets there by image/build.
function(holdfast_program name)
  cmake_parse_arguments(A "INSTALL" "" "SOURCES;LINK;PKG" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_options(${name} PRIVATE -pie)
  target_link_libraries(${name} PRIVATE ${A_LINK})
  holdfast_packages(${name} ${A_PKG})
  if(A_INSTALL)
    holdfast_install(${name})
  endif()
endfunction()

function(holdfast_install name)
  install(TARGETS ${name} COMPONENT ${name})
  set(completions ${CMAKE_BINARY_DIR}/completions)
  file(MAKE_DIRECTORY ${completions})
  foreach(shell bash zsh fish)
    add_custom_command(TARGET ${name} POST_BUILD COMMAND ${name} --completion=${shell} > ${completions}/${name}.${shell})
  endforeach()
  install(FILES ${completions}/${name}.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ${name} COMPONENT ${name})
  install(FILES ${completions}/${name}.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _${name} COMPONENT ${name})
  install(FILES ${completions}/${name}.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT ${name})
  file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/man/*.1)
  install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${name})
endfunction()

# holdfast_test(NAME SOURCES … LINK … PKG …): a criterion test program, run by ctest.
function(holdfast_test name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK;PKG" ${ARGN})
  add_executable(test-${name} ${A_SOURCES})
  set_target_properties(test-${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(test-${name} PRIVATE ${A_LINK})
  holdfast_packages(test-${name} criterion ${A_PKG})
  target_compile_definitions(test-${name} PRIVATE TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/data" BIN_DIR="${CMAKE_BINARY_DIR}/bin")
  # Criterion finds its tests through a section that nothing refers to. A program without tests is a failure.
  target_link_options(test-${name} PRIVATE -Wl,--no-gc-sections)
  add_test(NAME ${name} COMMAND test-${name})
  set_tests_properties(${name} PROPERTIES FAIL_REGULAR_EXPRESSION "Tested: 0 "
                       ENVIRONMENT "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/ci/lsan.supp:print_suppressions=0")
endfunction()

set(HOLDFAST_FUZZ_RUNS 20000 CACHE STRING "Executions of each fuzz target")

# holdfast_fuzz(NAME SOURCES … LINK …): a libFuzzer target with its seeds, if it has any, in tests/fuzz/corpus/NAME. ctest runs it for a fixed
# number of executions; what it finds on the way stays below the build directory.
function(holdfast_fuzz name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK;PKG" ${ARGN})
  if(HOLDFAST_FUZZ)
    add_executable(fuzz-${name} ${A_SOURCES})
    if(NOT TARGET fuzz-targets)
      add_custom_target(fuzz-targets)
    endif()
    add_dependencies(fuzz-targets fuzz-${name})
    set_target_properties(fuzz-${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    target_link_libraries(fuzz-${name} PRIVATE ${A_LINK} -fsanitize=fuzzer)
    target_compile_options(fuzz-${name} PRIVATE -fsanitize=fuzzer)
    holdfast_packages(fuzz-${name} ${A_PKG})
    set(corpus ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
    if(NOT EXISTS ${corpus})
      set(corpus)
    endif()
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz/found/${name})
    add_test(NAME fuzz-${name}
      COMMAND fuzz-${name} -runs=${HOLDFAST_FUZZ_RUNS} -max_len=8192 -print_final_stats=0 -verbosity=0
              ${CMAKE_BINARY_DIR}/fuzz/found/${name} ${corpus}
      WORKING_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  endif()
endfunction()

function(holdfast_packages target)
  get_target_property(type ${target} TYPE)
  set(scope PUBLIC)
  if(type STREQUAL "EXECUTABLE")
    set(scope PRIVATE)
  endif()
  foreach(p ${ARGN})
    string(MAKE_C_IDENTIFIER PKG_${p} id)
    pkg_check_modules(${id} REQUIRED IMPORTED_TARGET GLOBAL ${p})
    target_link_libraries(${target} ${scope} PkgConfig::${id})
  endforeach()
endfunction()
