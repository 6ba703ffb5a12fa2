#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The bench works: every part runs to its end with tiny sizes, and what each tool wrote is verified. No figure counts.
set -eu
: "${KILTER_BUILD_DIR:?run this through ctest or tests/run}"
exec "$(dirname "$0")/../bench/run" --smoke
