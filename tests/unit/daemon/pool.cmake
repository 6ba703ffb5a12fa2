# SPDX-License-Identifier: Apache-2.0
set(here ${CMAKE_CURRENT_LIST_DIR})
kilter_unit_test(daemon-base LIBRARIES kl-base
  SOURCES ${here}/base_main.c ${here}/base_clock.c ${here}/base_log.c ${here}/base_map.c ${here}/base_paths.c
  ${here}/base_random.c)

# A worker that breaks the protocol on demand; the tests find it beside themselves.
add_executable(pool-fake-worker ${here}/pool_fake_worker.c)
target_link_libraries(pool-fake-worker PRIVATE kl-wire)
target_include_directories(pool-fake-worker PRIVATE ${CMAKE_SOURCE_DIR}/core)
set_target_properties(pool-fake-worker PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
kilter_unit_test(daemon-pool LIBRARIES kl-pool
  SOURCES ${here}/pool_test.c ${here}/pool_limits_test.c ${here}/pool_harness.c)
add_dependencies(unit-daemon-pool pool-fake-worker)

# The real worker, and a plugin that misbehaves in every callback.
add_subdirectory(${CMAKE_SOURCE_DIR}/tests/fixtures/plugins/hostile ${CMAKE_BINARY_DIR}/tests/fixtures/hostile)
kilter_unit_test(daemon-hostile LIBRARIES kl-pool
  SOURCES ${here}/pool_hostile_test.c ${here}/pool_harness.c)
add_dependencies(unit-daemon-hostile kilter-worker fixture-hostile)
set_tests_properties(unit.daemon-hostile PROPERTIES TIMEOUT 300)

# What the isolation costs, in figures: bench-isolation prints them. One round of it is a test that it works.
add_executable(bench-isolation ${CMAKE_SOURCE_DIR}/tests/bench/isolation.c)
target_link_libraries(bench-isolation PRIVATE kl-pool kl-render kl-tree)
set_target_properties(bench-isolation PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_dependencies(bench-isolation kilter-worker fixture-hostile)
add_test(NAME bench.isolation COMMAND bench-isolation ${CMAKE_BINARY_DIR}/tests/fixtures/plugins/hostile.so 3)
set_tests_properties(bench.isolation PROPERTIES LABELS bench TIMEOUT 120)
