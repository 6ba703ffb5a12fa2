# SPDX-License-Identifier: Apache-2.0
kilter_unit_test(daemon-base LIBRARIES kl-base
  SOURCES base_main.c base_clock.c base_log.c base_map.c base_paths.c base_random.c)
