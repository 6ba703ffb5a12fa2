#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# SIGHUP and `kilter reload`: who is disturbed, who is not, and what a manifest with errors does.
. "$(dirname "$0")/daemon.sh"

repo hosts
for app in one two three; do put hosts "$app/etc/$app" "$app"; done
publish hosts first

apps_manifest() { # apps_manifest POLICY APP...: an app for each directory
    manifest <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [files, yaml, file]
sources:
  hosts: {url: file://$work/hosts.git, ref: {branch: main}, interval: 10m}
targets:
  host: {plugin: file, options: {root: $host}}
policies:
  default: {driftInterval: 1h${1:+, $1}}
apps:
END
    shift
    for app; do
        echo "  $app: {source: hosts, path: $app, renderer: files, target: host}" >>"$work/kilter.yaml"
    done
}

loads() {
    kilter events --limit 1000 --output json | grep -c '"manifestLoaded"\|"manifestRefused"' || true
}

hup() { # sends the signal and waits until the manifest was read
    loaded=$(loads)
    kill -HUP "$daemon"
    reread() {
        [ "$(loads)" -gt "$loaded" ]
    }
    await 100 reread
}

passes() { # when the last pass of each app ended
    for app; do field "$app" lastPass; done
}

apps_manifest '' one two
start
sync one
sync two
expect "$(cat "$host/etc/one")" = one

rule 'an unchanged manifest disturbs nobody; nor do order, comments and quotes'
before=$(passes one two)
hup
apps_manifest '' two one
sed -i 's/^apps:/# The apps.\napps:/; s/path: one/path: "one"/' "$work/kilter.yaml"
hup
sleep 0.5
expect "$(passes one two)" = "$before"

rule 'SIGHUP adds an app, and the others go on as they were'
apps_manifest '' one two three
hup
await 100 test -f "$host/etc/three"
settled three
expect "$(passes one two)" = "$before"

rule 'a changed app works, and the others go on as they were'
sed -i 's|path: three, renderer: files|path: three, renderer: {name: files, prefix: /opt}|' "$work/kilter.yaml"
hup
await 100 test -f "$host/opt/etc/three"
expect "$(passes one two)" = "$before"

rule 'a source that is only looked at more often disturbs nobody, and is looked at more often at once'
commit=$(field one commit.id)
sed -i 's/interval: 10m/interval: 200ms/' "$work/kilter.yaml"
hup
expect "$(field one commit.id)" = "$commit"
put hosts one/etc/one newer
publish hosts second
newer() {
    [ "$(cat "$host/etc/one")" = newer ]
}
await 50 newer

rule 'another ref of the source is another commit'
git -C "$work/hosts" checkout -q -b other
put hosts one/etc/one 'of the other branch'
publish hosts third
git -C "$work/hosts" checkout -q main
sed -i 's/branch: main/branch: other/' "$work/kilter.yaml"
hup
other() {
    [ "$(cat "$host/etc/one")" = 'of the other branch' ]
}
await 50 other
sed -i 's/branch: other/branch: main/' "$work/kilter.yaml"
hup
await 50 newer

rule 'a bad manifest changes nothing, and says why, with file and line'
apps_manifest '' one two three
hup
settled one
settled two
settled three
before=$(passes one two three)
cp "$work/kilter.yaml" "$work/good.yaml"
sed -i 's/^  two: .*/  two: {source: nosuch, path: two, renderer: files, target: host}/' "$work/kilter.yaml"
hup
sleep 0.3
expect "$(passes one two three)" = "$before"
expect_has "$(cat "$work/kilterd.log")" 'kilter.yaml:13:'
expect_has "$(cat "$work/kilterd.log")" 'nosuch'
expect_has "$(kilter events)" 'stays in force'
expect_status 2 kilter reload
expect_has "$output" 'kilter.yaml:13:'

rule '... and the status shows that the manifest that was given is not the one that runs'
expect_has "$(kilter status || true)" 'stays in force'

rule '... syntax errors, a file that is empty and one that is not there are no removals'
printf 'apps: [\n' >"$work/kilter.yaml"
expect_status 2 kilter reload
: >"$work/kilter.yaml"
expect_status 2 kilter reload
rm "$work/kilter.yaml"
expect_status 2 kilter reload
mkdir "$work/kilter.yaml"
expect_status 2 kilter reload
rmdir "$work/kilter.yaml"
expect "$(passes one two three)" = "$before"
expect -f "$host/etc/two"
kill -0 "$daemon"

rule '... and it is forgotten with the next good one'
cp "$work/good.yaml" "$work/kilter.yaml"
hup
case "$(kilter status || true)" in
*'stays in force'*) fail 'the status still shows it' ;;
esac
expect "$(passes one two three)" = "$before"

rule 'an app that left is removed as its policy says, and comes back as new'
apps_manifest 'onRemove: delete' one two three
hup
settled three
apps_manifest 'onRemove: delete' one two
hup
await 100 test ! -e "$host/etc/three"
expect -f "$host/etc/two"
apps_manifest 'onRemove: delete' one two three
hup
await 100 test -f "$host/etc/three"

rule 'movedFrom carries over what an app owns: nothing is deleted, written or forgotten'
settled three
inode=$(stat -c %i "$host/etc/three")
sed -i 's/^  three: {/  third: {movedFrom: three, /' "$work/kilter.yaml"
hup
await 100 sh -c 'kilter status third; kilter status three; [ $? = 2 ]'
settled third
expect "$(stat -c %i "$host/etc/three")" = "$inode"
expect_has "$(kilter events third)" 'renamed from three'
expect_has "$(kilter state list third)" File/etc/three

rule 'many signals at once leave a daemon that runs the last manifest'
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do kill -HUP "$daemon"; done
apps_manifest 'onRemove: delete' one
kill -HUP "$daemon"
await 100 test ! -e "$host/etc/two"
expect "$(cat "$host/etc/one")" = newer

rule 'the daemon section takes effect at the next start, and that is said'
sed -i 's/^targets:/daemon: {logLevel: debug}\ntargets:/' "$work/kilter.yaml"
hup
expect_has "$(cat "$work/kilterd.log")" 'takes effect at the next start'
