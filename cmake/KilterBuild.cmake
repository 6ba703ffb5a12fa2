# SPDX-License-Identifier: Apache-2.0
# Flags, libraries and the few functions that every folder uses.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# The build tree has the layout of an installation, so that programs find their worker and plugins the same
# way in both: relative to themselves.
set(KILTER_PLUGIN_DIR ${CMAKE_INSTALL_LIBDIR}/kilter/plugins)
set(KILTER_WORKER_DIR ${CMAKE_INSTALL_LIBEXECDIR}/kilter)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${CMAKE_INSTALL_BINDIR})
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${CMAKE_INSTALL_LIBDIR})
file(RELATIVE_PATH KILTER_PLUGIN_DIR_FROM_BIN /x/${CMAKE_INSTALL_BINDIR} /x/${KILTER_PLUGIN_DIR})
file(RELATIVE_PATH KILTER_WORKER_DIR_FROM_BIN /x/${CMAKE_INSTALL_BINDIR} /x/${KILTER_WORKER_DIR})
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH OFF)

function(kilter_compile_flags)
  add_compile_options(-Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wundef -Wvla -Wformat=2
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
    -fno-common -fstack-protector-strong $<$<COMPILE_LANG_AND_ID:C,GNU>:-fstack-clash-protection>)
  add_compile_definitions(_GNU_SOURCE)
  if(KILTER_WERROR)
    add_compile_options(-Werror)
  endif()
  if(KILTER_SANITIZE)
    add_compile_options(-fsanitize=${KILTER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${KILTER_SANITIZE})
  elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  endif()
  if(KILTER_FUZZ AND KILTER_SANITIZE) # the libraries too, or the fuzzer sees nothing of the code it is about
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
  add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
endfunction()
kilter_compile_flags()

macro(kilter_find_libraries)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1>=0.2.5)
  pkg_check_modules(md REQUIRED IMPORTED_TARGET libmd)
  pkg_check_modules(uv REQUIRED IMPORTED_TARGET libuv>=1.44)
  pkg_check_modules(git2 REQUIRED IMPORTED_TARGET libgit2>=1.5)
  pkg_check_modules(curl REQUIRED IMPORTED_TARGET libcurl>=7.88)
  pkg_check_modules(microhttpd REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.75)
  pkg_check_modules(sqlite REQUIRED IMPORTED_TARGET sqlite3>=3.40)
  pkg_check_modules(seccomp REQUIRED IMPORTED_TARGET libseccomp>=2.5)
  if(BUILD_TESTING)
    pkg_check_modules(check REQUIRED IMPORTED_TARGET check)
    pkg_check_modules(jansson REQUIRED IMPORTED_TARGET jansson)
  endif()
endmacro()

# kilter_plugin(NAME SOURCE...): a plugin of this tree, against plugin-api only.
function(kilter_plugin name)
  add_library(plugin-${name} MODULE ${ARGN})
  target_link_libraries(plugin-${name} PRIVATE libkilter)
  set_target_properties(plugin-${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${KILTER_PLUGIN_DIR} INSTALL_RPATH "$ORIGIN/../..")
  install(TARGETS plugin-${name} LIBRARY DESTINATION ${KILTER_PLUGIN_DIR})
endfunction()

# kilter_unit_test(NAME SOURCES file... LIBRARIES target...): a Check program, run by CTest as unit.NAME, and
# under valgrind as valgrind.NAME.
find_program(KILTER_VALGRIND valgrind)
function(kilter_unit_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(unit-${name} ${arg_SOURCES})
  target_link_libraries(unit-${name} PRIVATE ${arg_LIBRARIES} PkgConfig::check)
  target_include_directories(unit-${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit ${CMAKE_SOURCE_DIR}/core)
  set_target_properties(unit-${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME unit.${name} COMMAND unit-${name})
  set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 120
    ENVIRONMENT "KILTER_SOURCE_DIR=${CMAKE_SOURCE_DIR};KILTER_BUILD_DIR=${CMAKE_BINARY_DIR}")
  if(KILTER_VALGRIND AND NOT KILTER_SANITIZE)
    add_test(NAME valgrind.${name} COMMAND ${KILTER_VALGRIND} --quiet --error-exitcode=99 --leak-check=full
      --errors-for-leak-kinds=definite --child-silent-after-fork=no $<TARGET_FILE:unit-${name}>)
    set_tests_properties(valgrind.${name} PROPERTIES LABELS valgrind TIMEOUT 900
      ENVIRONMENT "KILTER_SOURCE_DIR=${CMAKE_SOURCE_DIR};KILTER_BUILD_DIR=${CMAKE_BINARY_DIR};CK_TIMEOUT_MULTIPLIER=20;KILTER_UNDER_VALGRIND=1")
  endif()
endfunction()

# kilter_shell_test(NAME SCRIPT [LABEL label]): a script that drives the real programs. Exit status 77 skips.
function(kilter_shell_test name script)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "" ${ARGN})
  if(NOT arg_LABEL)
    set(arg_LABEL integration)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_test(NAME ${arg_LABEL}.${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/${script})
  set_tests_properties(${arg_LABEL}.${name} PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT}
    SKIP_RETURN_CODE 77
    ENVIRONMENT "KILTER_SOURCE_DIR=${CMAKE_SOURCE_DIR};KILTER_BUILD_DIR=${CMAKE_BINARY_DIR}")
endfunction()

# kilter_fuzz_target(NAME SOURCES file... LIBRARIES target...): one LLVMFuzzerTestOneInput. With KILTER_FUZZ a
# libFuzzer program; always a program that runs the corpus tests/fuzz/corpus/NAME as test fuzz.NAME.
function(kilter_fuzz_target name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(corpus-${name} ${arg_SOURCES} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus_main.c)
  target_link_libraries(corpus-${name} PRIVATE ${arg_LIBRARIES})
  target_include_directories(corpus-${name} PRIVATE ${CMAKE_SOURCE_DIR}/core)
  set_target_properties(corpus-${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME fuzz.${name} COMMAND corpus-${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
  set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  if(KILTER_FUZZ)
    add_executable(fuzz-${name} ${arg_SOURCES})
    target_link_libraries(fuzz-${name} PRIVATE ${arg_LIBRARIES})
    target_include_directories(fuzz-${name} PRIVATE ${CMAKE_SOURCE_DIR}/core)
    target_compile_options(fuzz-${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz-${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(fuzz-${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  endif()
endfunction()
