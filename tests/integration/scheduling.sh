#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who works when: exact dependencies, one fetch for many apps, refs of every kind, and work without a daemon.
. "$(dirname "$0")/daemon.sh"

passes() { # how many passes the app had: its story's begin moves with each
    kilter why "$1" --output json | python3 -c 'import json,sys; print(json.load(sys.stdin).get("trigger", {}).get("time"))'
}

repo hosts
put hosts a/etc/a one
put hosts b/etc/b one
put hosts README 'nobody asks for this'
publish hosts first
manifest <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [files, yaml, file]
sources:
  hosts: {url: file://$work/hosts.git, ref: {branch: main}, interval: 10m}
targets:
  host: {plugin: file, options: {root: $host}, allow: {paths: [/]}}
apps:
  a: {source: hosts, path: a, renderer: files, target: host}
  b: {source: hosts, path: b, renderer: files, target: host}
END
start
await 100 test -f "$host/etc/a"
await 100 test -f "$host/etc/b"
settled a
settled b

rule 'one source is fetched once, however many apps use it'
expect "$(kilter events --output json 2>/dev/null | grep -c '"fetched"')" = 1

rule 'a commit makes those apps work that asked something whose answer moved, and no others'
before=$(passes b)
put hosts a/etc/a two
publish hosts 'only a'
sync a
expect "$(cat "$host/etc/a")" = two
expect "$(passes b)" = "$before"
expect "$(field b commit.id)" = "$(commit_of hosts)"

rule 'a commit that touches nothing any app asked for costs no pass, and all are at the new commit'
before=$(passes b)
put hosts README 'still nobody'
publish hosts 'only the README'
sync a
expect "$(passes b)" = "$before"
expect "$(field b commit.id)" = "$(commit_of hosts)"
expect "$(field b sync)" = Synced

rule 'a restart renders nothing again that did not change, not even after commits that touched nothing'
stop
start
await 100 test -n "$(passes b)"
settled b
settled a
expect_has "$(kilter why b)" 'nothing that b asks of the tree has moved'
expect_has "$(kilter why a)" 'nothing that a asks of the tree has moved'
stop KILL
start
settled a
expect "$(field a sync)" = Synced
expect "$(field a commit.id)" = "$(commit_of hosts)"

rule 'a new file in a directory that an app listed is an answer that moved'
put hosts b/etc/b2 new
publish hosts 'b grows'
sync a
await 50 test -f "$host/etc/b2"

rule 'force-pushes are followed and recorded'
git -C "$work/hosts" reset -q --hard HEAD~3
put hosts a/etc/a rewritten
publish hosts 'history was rewritten'
sync a
expect "$(cat "$host/etc/a")" = rewritten
expect_has "$(kilter events)" 'history was rewritten'
stop

rule 'a new app is looked for in the newest commit, without waiting for the next poll'
start
settled a
put hosts c/etc/c new
publish hosts 'c is new'
cp "$work/kilter.yaml" "$work/before.yaml"
echo '  c: {source: hosts, path: c, renderer: files, target: host}' >>"$work/kilter.yaml"
kilter reload
await 50 test -f "$host/etc/c"
cp "$work/before.yaml" "$work/kilter.yaml"
kilter reload
stop

rule 'the mirror of a source that left the manifest goes, and others stay'
start
settled a
expect "$(ls "$work/state/mirrors" | grep -c 'git$')" = 1
cp "$work/kilter.yaml" "$work/before.yaml"
repo others
put others b/etc/b one
publish others first
sed -i "s|^targets:|  others: {url: file://$work/others.git, ref: {branch: main}}\ntargets:|; s|b: {source: hosts|b: {source: others|" "$work/kilter.yaml"
kilter reload
sync b || true
expect "$(ls "$work/state/mirrors" | grep -c 'git$')" = 2
cp "$work/before.yaml" "$work/kilter.yaml"
kilter reload
mirrors() { ls "$work/state/mirrors" | grep -c "git$"; }
await 50 test "$(mirrors)" = 1
sync a
stop

rule 'a ref may be a tag, a semver range, a full name or a commit'
commit=$(commit_of hosts)
git -C "$work/hosts" tag v1.0.0
put hosts a/etc/a 1.1
publish hosts 'for 1.1'
git -C "$work/hosts" tag v1.1.0
git -C "$work/hosts" tag v2.0.0-rc.1
git -C "$work/hosts" push -q origin --tags
for ref in "tag: v1.0.0=rewritten" "semver: \">=1.0.0 <2.0.0\"=1.1" "name: refs/heads/main=1.1" "commit: $commit=rewritten"; do
    sed -i "s|ref: {[^}]*}|ref: {${ref%=*}}|" "$work/kilter.yaml"
    rm -rf "$work/state" "$host/etc"
    start
    await 100 test -f "$host/etc/a"
    expect "$(cat "$host/etc/a")" = "${ref##*=}"
    stop
done

rule 'a tag that moves is followed'
sed -i "s|ref: {[^}]*}|ref: {tag: v1.0.0}|" "$work/kilter.yaml"
rm -rf "$work/state"
start
settled a
git -C "$work/hosts" tag -f v1.0.0 >/dev/null
git -C "$work/hosts" push -q -f origin v1.0.0
sync a
expect "$(cat "$host/etc/a")" = 1.1

rule 'a ref that is gone is one clear message, and what runs goes on'
git -C "$work/hosts" push -q origin :refs/tags/v1.0.0
expect_status 1 sync a
expect_has "$output" 'v1.0.0'
expect "$(field b sync)" = Synced
git -C "$work/hosts" push -q origin v1.0.0
sync a
stop

rule 'plan and sync work from a manifest with no daemon running'
sed -i "s|metadata: {name: test}|metadata: {name: test}\ndaemon: {stateDirectory: $work/alone, socket: {path: $work/alone.sock}}|; s|ref: {[^}]*}|ref: {branch: main}|" "$work/kilter.yaml"
rm -rf "$host/etc"
unset KILTER_SOCKET
expect_status 2 kilter plan a --manifest "$work/kilter.yaml"
expect ! -e "$host/etc/a"
kilter sync a --manifest "$work/kilter.yaml"
expect "$(cat "$host/etc/a")" = 1.1
expect_status 0 kilter plan a --manifest "$work/kilter.yaml"
expect "$(pgrep -f "$work/alone" | wc -l)" = 0

rule '... and go through the daemon while one holds the store'
kilterd --manifest "$work/kilter.yaml" >>"$work/kilterd.log" 2>&1 &
daemon=$!
await 100 test -S "$work/alone.sock"
put hosts a/etc/a through
publish hosts 'through the daemon'
kilter sync a --manifest "$work/kilter.yaml"
expect "$(cat "$host/etc/a")" = through

rule 'work goes on from the store after a restart, without the network'
stop KILL
mv "$work/hosts.git" "$work/away.git"
rm "$host/etc/a"
export KILTER_SOCKET="$work/alone.sock"
sed -i 's/^apps:/policies: {default: {drift: correct}}\napps:/' "$work/kilter.yaml"
kilterd --manifest "$work/kilter.yaml" >>"$work/kilterd.log" 2>&1 &
daemon=$!
await 100 grep -q through "$host/etc/a"
