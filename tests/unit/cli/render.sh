#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kilter render: YAML on standard output and nothing else there, complaints with their place on standard error.
set -u
kilter=$KILTER_BUILD_DIR/bin/kilter
[ -e "$(find "$KILTER_BUILD_DIR" -path '*/kilter/plugins/yaml.so' -print -quit)" ] || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
fail()
{
    echo "$*"
    failures=$((failures + 1))
}

mkdir -p plain files/sub broken other
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: "1"}\n' >plain/a.yaml
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n' >other/b.yaml
printf 'hello\n' >files/motd
printf '\377\376' >files/sub/binary
printf 'a: [\n' >broken/b.yaml

# Documents of several directories, separated.
"$kilter" render plain other >out 2>err || fail "plain: status $?"
[ "$(grep -c '^---$' out)" = 1 ] || fail "no separator between documents: $(cat out)"
grep -q '^  name: b$' out || fail "the second directory is missing"
[ -s err ] && fail "standard error is not empty: $(cat err)"

# Contents: text as text, the rest as base64.
"$kilter" render --renderer files files >out || fail "files: status $?"
grep -q '^    hello$' out || fail "no text content: $(cat out)"
grep -q '^  contentBase64: //4=$' out || fail "no base64 content: $(cat out)"

# Options reach the renderer, as text and as YAML.
"$kilter" render --renderer files --option 'modes={"**": "0600"}' --option owner=root files >out || fail "options: status $?"
grep -q 'mode: "0600"' out || fail "modes did not count: $(cat out)"
grep -q 'owner: root' out || fail "owner did not count: $(cat out)"
"$kilter" render --renderer files --option ownr=root files >out 2>err && fail "an unknown option was taken"
grep -q 'owner' err || fail "the nearest option is not named: $(cat err)"
[ -s out ] && fail "output in spite of an error"

# A problem names its file from where the user is, and nothing is printed.
"$kilter" render plain broken >out 2>err && fail "broken input was taken"
[ -s out ] && fail "output in spite of an error"
grep -q '^broken/b.yaml:2:' err || fail "no place: $(cat err)"
(cd broken && "$kilter" render . 2>&1 | grep -q '^b.yaml:2:') || fail "no place from inside"

# Whatever lies outside of the root is not read.
ln -s /etc/hostname plain/c.yaml
(cd plain && "$kilter" render . >../out 2>../err) && fail "a link out of the tree was followed"

"$kilter" render nowhere 2>err && fail "a missing directory was taken"
"$kilter" render --renderer nowhere other 2>err && fail "a missing renderer was taken"
grep -q nowhere err || fail "the missing renderer is not named"

"$kilter" render -o json other | grep -q '"kind": "ConfigMap"' || fail "no JSON"

# It loads nothing that a render does not need.
if command -v ldd >/dev/null; then
    ldd "$kilter" | grep -E 'libgit2|libcurl|libuv|libsqlite|libmicrohttpd|libssl' && fail "too many libraries"
fi
[ "$failures" -eq 0 ]
