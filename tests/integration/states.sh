#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What state an app is in and why: failures that are tried again and failures that are not, a source that is away, a
# plugin that crashes.
. "$(dirname "$0")/daemon.sh"

# Crashes are to end in their signal in a build with sanitizers, too.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0:handle_abort=0"

phase_is() {
    [ "$(field edge phase)" = "$1" ]
}

reason_is() {
    [ "$(field edge reason)" = "$1" ]
}

message_has() {
    case "$(field edge message)" in
    *"$1"*) ;;
    *) return 1 ;;
    esac
}

content_is() {
    [ "$(cat "$host/$1")" = "$2" ]
}

repo hosts

rule 'RenderFailed names file and line, and is not tried again before Git moves'
put hosts a.yaml 'apiVersion: file.kilter.dev/v1
kind: File
metadata: {name: a}
spec: {path: /etc/a, content: one}'
edge_yaml() {
    edge_manifest "timeout: 5s, driftInterval: 300ms, $1"
    sed -i 's/renderer: files, target: host}/renderer: yaml, target: host}/' "$work/kilter.yaml"
}
publish hosts first
edge_yaml 'drift: correct, prune: true'
start
sync edge
expect "$(cat "$host/etc/a")" = one
applied=$(field edge commit.id)
put hosts a.yaml 'apiVersion: file.kilter.dev/v1
kind: File
metadata: {name: a}
spec: {path: /etc/a, content: "two'
publish hosts second
expect_status 1 sync edge
await 50 reason_is RenderFailed
await 50 message_has 'a.yaml:4:'
expect "$(field edge commit.id)" = "$applied"
expect "$(cat "$host/etc/a")" = one
expect "$(field edge sync)" = Unknown

rule '... and drift is still repaired, at the last good artifact'
echo hotfix >"$host/etc/a"
await 50 content_is etc/a one
await 50 reason_is RenderFailed
await 50 message_has 'a.yaml:4:'

rule '... not at one that was rendered since and never applied'
put hosts a.yaml 'apiVersion: file.kilter.dev/v1
kind: File
metadata: {name: a}
spec: {path: etc/relative, content: other}
---
apiVersion: file.kilter.dev/v1
kind: File
metadata: {name: b}
spec: {path: /etc/b, content: other}'
publish hosts 'fails at the plan'
expect_status 1 sync edge
await 50 reason_is PlanFailed
put hosts a.yaml 'oops: ['
publish hosts 'fails at rendering'
expect_status 1 sync edge
echo hotfix >"$host/etc/a"
await 50 content_is etc/a one
expect ! -e "$host/etc/b"
await 50 reason_is RenderFailed

rule '... and Git ends it'
put hosts a.yaml 'apiVersion: file.kilter.dev/v1
kind: File
metadata: {name: a}
spec: {path: /etc/a, content: three}'
publish hosts third
sync edge
expect "$(cat "$host/etc/a")" = three
await 50 reason_is ''
expect "$(field edge sync)" = Synced

rule 'a failure in the middle says how far it came, and is tried again by itself'
edge_manifest 'prune: true'
kilter reload
settled edge
git -C "$work/hosts" rm -q -r a.yaml
mkdir -p "$host/open" "$host/shut"
chmod 777 "$host/open"
for i in 1 2 3; do put hosts "shut/f$i" "$i"; done
for i in 1 2 3 4 5 6 7 8 9; do put hosts "open/f$i" "$i"; done
publish hosts fourth
expect_status 1 sync edge
expect "$(field edge reason)" = ApplyFailed
# Two directories and three files are done; nine files are not, and so /a.yaml, which left Git, has not gone.
expect_has "$(field edge message)" '5 of 15 applied; File/open/f1: '
expect -f "$host/a.yaml"
expect "$(field edge phase)" = Failed
expect "$(field edge nextAttempt)" != ''
expect -f "$host/shut/f3"
expect ! -e "$host/open/f1"
chmod 755 "$host/open"
await 100 test -f "$host/open/f9"
settled edge
expect "$(field edge sync)" = Synced

rule 'SourceUnavailable: what is known is kept in line meanwhile, and it recovers by itself'
mv "$work/hosts.git" "$work/away.git"
edge_manifest 'drift: correct, driftInterval: 300ms'
sed -i 's/interval: 10m/interval: 300ms/' "$work/kilter.yaml"
kilter reload
expect_status 1 sync edge
expect_has "$output" "source 'hosts'"
echo hotfix >"$host/shut/f1"
await 50 content_is shut/f1 1
mv "$work/away.git" "$work/hosts.git"
put hosts shut/f1 recovered
publish hosts fifth
await 100 content_is shut/f1 recovered
expect_has "$(kilter events)" "source 'hosts' answers again"

rule 'an app whose source was never reached says so, and begins when it is'
edge_manifest ''
mv "$work/hosts.git" "$work/away.git"
stop
rm -rf "$work/state"
sed -i 's/interval: 10m/interval: 300ms/' "$work/kilter.yaml"
rm "$host/shut/f1"
start
await 50 phase_is Failed
expect "$(field edge reason)" = SourceUnavailable
expect_has "$(field edge message)" "source 'hosts': "
mv "$work/away.git" "$work/hosts.git"
await 100 content_is shut/f1 recovered

rule 'PluginQuarantined: a plugin that crashes again and again is left alone, and other apps go on'
hostile=$KILTER_BUILD_DIR/tests/fixtures/plugins/hostile.so
[ -f "$hostile" ] || skip 'the hostile plugin is not built'
edge_manifest ''
sed -i "s|plugins: .*|plugins: [files, yaml, file, {name: hostile, file: $hostile}]|" "$work/kilter.yaml"
cat >>"$work/kilter.yaml" <<END
  bad: {source: hosts, path: shut, renderer: {name: hostile, callback: render, how: crash}, target: host,
        policy: {retry: {first: 100ms, max: 100ms}}}
END
kilter reload
bad_is() {
    [ "$(field bad reason)" = "$1" ]
}
await 100 bad_is RenderFailed
shown=$(field bad lastError.message)
expect_has "$shown" "hostile"
expect_has "$shown" "render"
expect_has "$shown" "SEGV"
await 300 bad_is PluginQuarantined
expect_has "$(field bad message)" 'hostile'
put hosts shut/f1 'beside a bad one'
publish hosts sixth
sync edge
expect "$(cat "$host/shut/f1")" = 'beside a bad one'
expect "$(field edge sync)" = Synced
kill -0 "$daemon"

rule '... and a target that crashes while it plans fails its own app only'
cat >>"$work/kilter.yaml" <<END
  worse: {source: hosts, path: shut, renderer: files, target: abyss}
END
sed -i "s|^targets:|targets:\n  abyss: {plugin: hostile, options: {callback: plan, how: abort}}|; /^  bad:/,/policy:/d" "$work/kilter.yaml"
stop
start
worse_failed() {
    [ "$(field worse phase)" = Failed ]
}
await 100 worse_failed
shown=$(field worse lastError.message)
expect_has "$shown" hostile
expect_has "$shown" plan
expect_has "$shown" ABRT
sync edge
expect "$(field edge sync)" = Synced

rule 'a phase that takes longer than policy.timeout is ended, and the message says which, of which plugin'
edge_manifest ''
sed -i "s|plugins: .*|plugins: [files, yaml, file, {name: hostile, file: $hostile}]|" "$work/kilter.yaml"
cat >>"$work/kilter.yaml" <<END
  slow: {source: hosts, path: shut, renderer: {name: hostile, callback: render, how: sleep}, target: host,
         policy: {timeout: 4s, retry: {first: 1h, max: 1h}}}
END
stop
start
slow_renders() {
    [ "$(field slow phase)" = Rendering ]
}
slow_failed() {
    [ "$(field slow phase)" = Failed ]
}
await 100 slow_renders
put hosts shut/f1 'while another app hangs'
publish hosts seventh
sync edge
expect "$(field slow phase)" = Rendering
await 150 slow_failed
expect_has "$(field slow message)" hostile
expect_has "$(field slow message)" render
expect_has "$(field slow message)" 4s

rule 'limits.concurrency: no more apps are rendered at once'
sed -i 's/^targets:/daemon: {limits: {workers: 4, concurrency: 1}}\ntargets:/' "$work/kilter.yaml"
stop
start
await 100 slow_renders
put hosts shut/f1 'after the other app'
publish hosts eighth
# The commit ends the other app's render, which takes its time to be killed: so long this one waits in line.
begun=$(date +%s%N)
sync edge
expect "$((($(date +%s%N) - begun) / 1000000))" -ge 1000
