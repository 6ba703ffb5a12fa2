#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every function that the headers declare is exported under a version, and nothing else is.
set -eu

library=$(ls "$KILTER_BUILD_DIR"/lib*/libkilter.so.1 "$KILTER_BUILD_DIR"/lib*/*/libkilter.so.1 2>/dev/null | head -n 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nm -D --defined-only "$library" | awk '$2 == "T" { print $3 }' | sort >"$work/exported"
# The first name with a parenthesis in a declaration is the function's own. kilter_plugin_v1 is the plugin's.
cat "$KILTER_SOURCE_DIR"/plugin-api/include/kilter/*.h | tr '\n' ' ' | grep -o 'KILTER_API [^;]*;' |
    sed -n 's/^KILTER_API [^(]*[ *]\(kilter_[a-z0-9_]*\)(.*/\1@@KILTER_1.0/p' | grep -v '^kilter_plugin_v1@' | sort -u >"$work/declared"

[ -s "$work/declared" ]
diff "$work/declared" "$work/exported"
