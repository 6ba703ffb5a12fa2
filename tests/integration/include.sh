#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A manifest in many files: what a missing one means, and that names are said with both places.
. "$(dirname "$0")/daemon.sh"

repo hosts
for app in one two three; do put hosts "$app/etc/$app" "$app"; done
publish hosts first

main_manifest() { # main_manifest INCLUDE...
    manifest <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [files, file]
include: [$1]
sources:
  hosts: {url: file://$work/hosts.git, ref: {branch: main}, interval: 10m}
targets:
  host: {plugin: file, options: {root: $host}}
policies:
  default: {onRemove: delete, prune: true}
apps:
  one: {source: hosts, path: one, renderer: files, target: host}
END
}

part() { # part FILE APP
    mkdir -p "$(dirname "$work/$1")"
    echo "apps: {$2: {source: hosts, path: $2, renderer: files, target: host}}" >"$work/$1"
}

knows() {
    kilter show "$1" >/dev/null 2>&1 || [ "$?" = 1 ]
}

rule 'apps of included files are apps like others'
part parts/two.yaml two
part three.yaml three
main_manifest 'parts/*.yaml, three.yaml'
start
sync one
sync two
sync three
expect "$(cat "$host/etc/two")" = two

rule 'a file that a pattern brought and that is gone is an app that left'
part parts/extra.yaml extra
put hosts extra/etc/extra extra
publish hosts second
kilter reload
sync extra
rm "$work/parts/extra.yaml"
kilter reload
await 100 test ! -e "$host/etc/extra"
expect -f "$host/etc/two"

rule 'a missing file that is named is never a removal'
mv "$work/three.yaml" "$work/three.away"
expect_status 2 kilter reload
expect_has "$output" 'three.yaml'
expect -f "$host/etc/three"
knows three

rule '... nor an unreadable or a broken one'
mkdir "$work/three.yaml"
expect_status 2 kilter reload
rmdir "$work/three.yaml"
echo 'apps: {three: ' >"$work/three.yaml"
expect_status 2 kilter reload
expect_has "$output" 'three.yaml:'
mv "$work/three.away" "$work/three.yaml"
kilter reload
knows three

rule 'a directory that is not there is never a removal: not at a reload'
mv "$work/parts" "$work/parts.away"
kilter reload || true
sleep 0.5
expect -f "$host/etc/two"
knows two

rule '... and not at a start'
stop
start
sleep 0.5
expect -f "$host/etc/two"
expect_has "$(field two message)" 'left alone'
expect_status 2 kilter sync two
expect_has "$output" 'left alone'
kilter plan two --destroy >/dev/null || true
mv "$work/parts.away" "$work/parts"
kilter reload
sync two
expect "$(field two sync)" = Synced
expect -f "$host/etc/two"

rule 'a directory that has become empty is refused at a reload'
mv "$work/parts/two.yaml" "$work/two.away"
expect_status 2 kilter reload
expect_has "$output" 'parts/*.yaml'
expect -f "$host/etc/two"
mv "$work/two.away" "$work/parts/two.yaml"
kilter reload

rule 'a name that is used twice is refused, with both places'
part parts/again.yaml two
expect_status 2 kilter reload
expect_has "$output" 'parts/again.yaml:1:'
expect_has "$output" 'parts/two.yaml:1:'
expect_has "$output" '"two"'
rm "$work/parts/again.yaml"

rule '... of other sorts, too'
echo "targets: {host: {plugin: file, options: {root: $host}}}" >"$work/parts/target.yaml"
expect_status 2 kilter reload
expect_has "$output" 'parts/target.yaml:1:'
expect_has "$output" 'kilter.yaml:9:'
rm "$work/parts/target.yaml"

rule 'what may not stand in an included file is refused there'
echo 'plugins: [cluster]' >"$work/parts/plugins.yaml"
expect_status 2 kilter reload
expect_has "$output" 'parts/plugins.yaml:1:'
rm "$work/parts/plugins.yaml"

rule 'files that include one another are read once'
printf 'include: [../kilter.yaml, b.yaml]\n' >"$work/parts/a.yaml"
printf 'include: [a.yaml]\n' >"$work/parts/b.yaml"
timeout 20 kilter reload || [ "$?" = 2 ]
rm "$work/parts/a.yaml" "$work/parts/b.yaml"
kilter reload
expect "$(field one sync)" = Synced
expect -f "$host/etc/two"
expect -f "$host/etc/three"

rule 'kilter validate says the same as the daemon'
kilter validate "$work/kilter.yaml"
mv "$work/three.yaml" "$work/three.away"
expect_status 1 kilter validate "$work/kilter.yaml"
expect_has "$output" 'three.yaml'
