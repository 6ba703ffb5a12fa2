#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon on real https and ssh servers: credentials by reference reach the right place, a failure is told in
# `status` without a secret, and it recovers by itself.
. "$(dirname "$0")/git-server.sh"

bin=$KILTER_BUILD_DIR/bin
[ -x "$bin/kilterd" ] && [ -x "$bin/kilter" ] || skip "kilterd is not built"
start_https
start_sshd
make_repository app
commit app web/motd one
make_repository hosts
commit hosts etc/issue one

export KILTER_SOCKET=$work/kilterd.sock NO_COLOR=1
mkdir "$work/host"
printf 's3cret-but-wrong\n' >"$work/password"
chmod 600 "$work/password" "$work/key"
cat >"$work/kilter.yaml" <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [files, file]
sources:
  web:
    url: https://localhost:$https_port/private/app.git
    ref: {branch: main}
    interval: 2s
    ca: {file: $work/ca.pem}
    credentials: {username: kilter, password: {file: $work/password}}
  hosts:
    url: $ssh_url/hosts.git
    ref: {branch: main}
    interval: 10m
    credentials: {identity: {file: $work/key}, knownHosts: {file: $work/known_hosts}}
targets:
  host: {plugin: file, options: {root: $work/host}, allow: {paths: [/]}}
policies:
  default: {retry: {first: 1s, max: 2s}}
apps:
  web: {source: web, path: web, renderer: files, target: host}
  issue: {source: hosts, path: etc, renderer: files, target: host}
END
"$bin/kilterd" --manifest "$work/kilter.yaml" --state-dir "$work/state" --socket "$KILTER_SOCKET" \
    >"$work/kilterd.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
    [ -S "$KILTER_SOCKET" ] && break
    sleep 0.1
done

# within TENTHS COMMAND...: becomes true
within() {
    local tries=$1
    shift
    while [ "$tries" -gt 0 ]; do
        "$@" >/dev/null 2>&1 && return 0
        tries=$((tries - 1))
        sleep 0.1
    done
    return 1
}
holds() {
    [ "$(cat "$work/host/$1" 2>/dev/null)" = "$2" ]
}
tells() {
    "$bin/kilter" "$1" | grep -q "$2"
}

within 150 holds issue one && note "ssh: a commit becomes a file" || fail "ssh: $("$bin/kilter" why issue)"
within 100 tells status 'SourceUnavailable.*refuses user name "kilter"' && note "https: a wrong password is told" ||
    fail "https: $("$bin/kilter" status)"
holds motd one && fail "a file appeared without the password"
printf 's3cret\n' >"$work/password"
within 200 holds motd one && note "https: the right password is taken up by itself" ||
    fail "https: $("$bin/kilter" why web)"
commit app web/motd two
within 100 holds motd two && note "https: a push is followed by polling" || fail "https: $("$bin/kilter" why web)"
commit hosts etc/issue two
"$bin/kilter" sync issue --timeout 30s >/dev/null || fail "sync over ssh: $("$bin/kilter" why issue)"
holds issue two && note "ssh: a push and kilter sync" || fail "ssh: $("$bin/kilter" why issue)"
git -C "$work/app" reset -q --hard HEAD~1
echo rewritten >"$work/app/web/motd"
git -C "$work/app" commit -qam rewritten
git -C "$work/app" push -qf origin HEAD
within 100 holds motd rewritten && note "a force-push is followed" || fail "https: $("$bin/kilter" why web)"
within 50 tells events 'history was rewritten' ||
    fail "the force-push is not in the log: $("$bin/kilter" events)"
if grep -rq 's3cret\|PRIVATE KEY' "$work/kilterd.log" "$work/state"; then
    fail "a secret is in the log or the state: $(grep -rlE 's3cret|PRIVATE KEY' "$work/kilterd.log" "$work/state")"
fi

finished
