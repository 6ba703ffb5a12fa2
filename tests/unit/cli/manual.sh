#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The manual pages are well-formed and name every verb and option that the programs take.
set -u
command -v groff >/dev/null || exit 77
pages=$KILTER_BUILD_DIR/docs/man
failures=0
fail()
{
    echo "$*"
    failures=$((failures + 1))
}

for page in "$pages/kilter.1" "$pages/kilter.yaml.5" "$KILTER_SOURCE_DIR/docs/man/kilterd.8"; do
    complaints=$(groff -man -Tutf8 -ww "$page" 2>&1 >/dev/null)
    [ -z "$complaints" ] || fail "$page: $complaints"
done

plain() { sed 's/\\-/-/g; s/\\f.//g' "$1"; }

plain "$pages/kilter.1" >"${TMPDIR:-/tmp}/kilter-manual.$$"
trap 'rm -f "${TMPDIR:-/tmp}/kilter-manual.$$"' EXIT
for verb in $("$KILTER_BUILD_DIR/bin/kilter" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    grep -q "^\.SS \"$verb[ \"]" "${TMPDIR:-/tmp}/kilter-manual.$$" || fail "kilter.1 has no $verb"
    case $verb in state | plugin) continue ;; esac
    for option in $("$KILTER_BUILD_DIR/bin/kilter" "$verb" --help | grep -o '^ .*--[a-z-]*' | grep -o -- '--[a-z-]*'); do
        grep -q -- "$option" "${TMPDIR:-/tmp}/kilter-manual.$$" || fail "kilter.1 has no $option of $verb"
    done
done

if [ -x "$KILTER_BUILD_DIR/bin/kilterd" ]; then
    for option in $("$KILTER_BUILD_DIR/bin/kilterd" --help | grep -o '^ .*--[a-z-]*' | grep -o -- '--[a-z-]*' | grep -v -x -e --usage); do
        plain "$KILTER_SOURCE_DIR/docs/man/kilterd.8" | grep -q -- "$option" || fail "kilterd.8 has no $option"
    done
fi
[ "$failures" -eq 0 ]
