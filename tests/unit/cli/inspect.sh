#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A plugin that crashes, ends its process or hangs when it is looked at harms nobody, and is named with what it did.
set -u
[ -x "$KILTER_BUILD_DIR/libexec/kilter/kilter-worker" ] || exit 77
command -v cc >/dev/null || exit 77
kilter=$KILTER_BUILD_DIR/bin/kilter
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

make_plugin()
{
    echo "#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void start(void) { $2; }" | cc -shared -fPIC -x c -o "$1.so" -
}

# expect NAME TEXT: describing ./NAME.so fails and says TEXT.
expect()
{
    "$kilter" plugin describe "./$1.so" >out 2>err
    if [ $? != 2 ] || [ -s out ] || ! grep -q -- "$2" err; then
        echo "$1: $(cat out err)"
        failures=$((failures + 1))
    fi
}

make_plugin crash 'abort()'
make_plugin leave '_exit(3)'
make_plugin hang 'for (;;) pause()'
make_plugin empty '(void)0'
echo text >text.so
expect crash 'crash.so crashed while it was looked at: Aborted'
expect leave 'leave.so ended its process while it was looked at (exit status 3)'
expect hang 'hang.so hung while it was looked at'
expect empty 'empty.so'
expect text 'text.so'
expect missing 'missing.so'

# One broken plugin does not hide the others.
rm hang.so
mkdir all && mv ./*.so all/
cp "$(find "$KILTER_BUILD_DIR" -path '*/kilter/plugins/yaml.so' -print -quit)" all/ || exit 77
KILTER_PLUGIN_PATH=$work/all "$kilter" plugin list >out 2>err
[ $? = 1 ] || { echo "plugin list: status"; failures=$((failures + 1)); }
grep -q '^yaml  *[0-9]' out || { echo "plugin list: $(cat out err)"; failures=$((failures + 1)); }
grep -q '^crash .*crashed' out || { echo "plugin list: $(cat out err)"; failures=$((failures + 1)); }
[ "$failures" -eq 0 ]
