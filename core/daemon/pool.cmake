# SPDX-License-Identifier: Apache-2.0
# kl-pool: the supervised workers, apart from the rest of the daemon so that programs and tests can use it alone.
add_library(kl-pool STATIC
  ${CMAKE_CURRENT_LIST_DIR}/pool.c
  ${CMAKE_CURRENT_LIST_DIR}/pool_faults.c
  ${CMAKE_CURRENT_LIST_DIR}/pool_frames.c
  ${CMAKE_CURRENT_LIST_DIR}/pool_job.c
  ${CMAKE_CURRENT_LIST_DIR}/pool_launch.c
  ${CMAKE_CURRENT_LIST_DIR}/pool_outcome.c
  ${CMAKE_CURRENT_LIST_DIR}/pool_worker.c
  ${CMAKE_CURRENT_LIST_DIR}/spawn.c)
target_link_libraries(kl-pool PUBLIC kl-base kl-wire PkgConfig::uv)
