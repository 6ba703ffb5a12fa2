#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# examples/quickstart/run tells the story that it promises, within its time, and leaves nothing behind; and the
# manifest of the README does what it says.
set -eu
: "${KILTER_BUILD_DIR:?run this through ctest or tests/run}"
: "${KILTER_SOURCE_DIR:?run this through ctest or tests/run}"

work=$(mktemp -d "${TMPDIR:-/tmp}/kilter-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/tmp"

fail() {
    echo "$*"
    cat "$work/story"
    exit 1
}

started=$(date +%s)
NO_COLOR=1 TMPDIR="$work/tmp" "$KILTER_SOURCE_DIR/examples/quickstart/run" >"$work/story" 2>&1 ||
    fail "exit status $? from the quickstart"
took=$(($(date +%s) - started))
[ "$took" -lt 120 ] || fail "it took $took seconds"

# What must be told, in this order; each is looked for behind the one before.
at=1
told() {
    line=$(tail -n "+$at" "$work/story" | grep -n -m 1 -F -e "$1" | cut -d : -f 1)
    [ -n "$line" ] || fail "not told, or not in its place: $1"
    at=$((at + line))
}
told '# A Git repository with three files'
told '$ kilter status'
told 'Synced'
told 'Welcome to edge-1'
told '# A pushed commit is applied'
told '$ kilter sync edge'
told 'workers 8'
told '$ kilter why edge'
told 'Ana'
told '# A file edited by hand is reported'
told '$ kilter diff edge'
told '9999'
told 'OutOfSync'
told '# With drift: correct it is put back'
told 'listen 8080'
told '# A file removed from Git is pruned'
told '$ kilter plan edge'
told 'legacy.conf'
told '$ kilter approve edge'
told '# What happened, and the way back'
told '$ kilter history edge'
told 'The first three files'
told '$ kilter rollback edge'
told 'legacy.conf'
told 'Pinned at'
told '# Newer commits wait until the app is resumed'
told 'proxy.conf'

left=$(find "$work/tmp" -mindepth 1 | head)
[ -z "$left" ] || fail "left behind: $left"

# --- the README's example: the commands as they stand there, in another directory ---------------------------------
awk '/^PATH=\$PWD\/build/ { on = 1; next } /^```/ { on = 0 } on' "$KILTER_SOURCE_DIR/README.md" |
    sed "s#/tmp/kilter-demo#$work/demo#g" >"$work/readme"
grep -q 'kilter sync' "$work/readme" || fail "the README's example is not where this test looks for it"
(
    cd "$work"
    PATH=$KILTER_BUILD_DIR/bin:$PATH GIT_CONFIG_NOSYSTEM=1 HOME=$work sh "$work/readme"
) >"$work/story" 2>&1 || fail "exit status $? from the README's example"
[ "$(cat "$work/demo/host/etc/motd")" = Welcome ] || fail "the README's example wrote something else"
