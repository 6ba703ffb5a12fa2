#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The verbs against a real daemon, private and running, on a real repository: exit statuses, and what is there after.
set -u
for program in bin/kilter bin/kilterd libexec/kilter/kilter-worker; do
    [ -x "$KILTER_BUILD_DIR/$program" ] || exit 77
done
command -v git >/dev/null || exit 77
kilter=$KILTER_BUILD_DIR/bin/kilter
work=$(mktemp -d)
daemon=
cleanup()
{
    [ -n "$daemon" ] && kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work" || exit 1
failures=0
export HOME=$work XDG_RUNTIME_DIR=$work/run GIT_CONFIG_NOSYSTEM=1 NO_COLOR=1
unset KILTER_SOCKET
mkdir run root

# run STATUS WORD...: kilter WORD... ends with STATUS; what it said is in `said`.
run()
{
    local want=$1 got
    shift
    "$kilter" "$@" >said 2>&1 </dev/null
    got=$?
    if [ "$got" != "$want" ]; then
        echo "kilter $*: status $got, not $want:"
        sed 's/^/    /' said
        failures=$((failures + 1))
    fi
}

# says TEXT: the last command said it.
says()
{
    grep -q -- "$1" said && return
    echo "it did not say '$1':"
    sed 's/^/    /' said
    failures=$((failures + 1))
}

check()
{
    "$@" && return
    echo "not so: $*"
    failures=$((failures + 1))
}

git init -q -b main repo
git -C repo config user.email ana@example.com
git -C repo config user.name Ana
mkdir repo/etc
echo one >repo/etc/motd
git -C repo add . && git -C repo commit -qm "First"
cat >kilter.yaml <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: cli-test}
daemon: {stateDirectory: $work/state, socket: {path: $work/run/k.sock}}
plugins: [files, file]
sources:
  config: {url: "file://$work/repo", ref: {branch: main}, interval: 1h}
targets:
  root: {plugin: file, options: {root: $work/root}}
apps:
  edge: {source: config, path: etc, renderer: files, target: root, policy: {prune: true, drift: correct}}
  careful: {source: config, path: etc, renderer: {name: files, prefix: /careful}, target: root, policy: {sync: manual}}
END

# Nothing but files: the manifest and the plugins.
run 0 validate kilter.yaml
sed 's/path: etc/pathh: etc/' kilter.yaml >broken.yaml
run 1 validate broken.yaml
says 'broken.yaml:[0-9]*:[0-9]*: error'
run 0 plugin list
says '^files'
run 0 plugin describe file
says 'root'
run 0 schema
says '"\$schema"'

# No daemon: a private one does it, and leaves nothing behind.
run 2 plan edge --manifest kilter.yaml
says 'create File/motd'
check [ ! -e root/motd ]
run 0 sync edge --manifest kilter.yaml --timeout 30s
check [ "$(cat root/motd 2>/dev/null)" = one ]
run 0 plan edge --manifest kilter.yaml
says 'Nothing to do'
run 1 plan edge --manifest broken.yaml
says 'broken.yaml'
run 1 plan nobody --manifest kilter.yaml
check [ -z "$(ls run)" ]

# A daemon.
"$KILTER_BUILD_DIR/bin/kilterd" --manifest kilter.yaml >log 2>&1 &
daemon=$!
export KILTER_SOCKET=$work/run/k.sock
for _ in $(seq 200); do
    [ -S "$KILTER_SOCKET" ] && break
    sleep 0.05
done
run 0 wait edge --timeout 30s
run 0 status edge
run 1 wait careful --timeout 1s
run 1 status
says 'ApprovalRequired'
run 0 show edge
says 'File/motd'
run 0 why edge/File/motd
run 0 version
says kilterd

# --manifest goes through the daemon that holds the store.
(unset KILTER_SOCKET && "$kilter" plan edge --manifest kilter.yaml >said 2>&1)
check [ $? = 0 ]

# A saved plan is applied as it was looked at, or not at all.
run 2 plan careful --out saved.plan
says 'kilter apply saved.plan'
run 0 apply saved.plan --timeout 30s
check [ "$(cat root/careful/motd 2>/dev/null)" = one ]
run 0 diff careful
echo two >repo/etc/motd && git -C repo commit -qam "Second"
run 0 sync edge --timeout 30s
check [ "$(cat root/motd)" = two ]
run 2 plan careful --out saved.plan
echo three >root/careful/motd
run 1 apply saved.plan --timeout 30s
check [ "$(cat root/careful/motd)" = three ]
run 1 diff careful/File/careful/motd

# Going back, and the other ways of holding an app.
run 0 rollback edge --reason "two is bad" --timeout 30s
check [ "$(cat root/motd)" = one ]
run 0 status edge
says 'Pinned at'
run 0 resume edge --timeout 30s
run 0 wait edge --timeout 30s
check [ "$(cat root/motd)" = two ]
run 0 suspend edge --for 1h --reason holidays
run 0 show edge
says 'holidays'
run 0 resume edge
run 0 history edge
says 'Second'
run 0 events edge --limit 100
says 'suspended'
run 0 events -o json
says '"kind"'
run 0 tree edge
run 0 state list edge
says 'File/motd'
run 0 reload

# Following shows what is new, and only that; watching shows the state at once and again.
timeout -s INT 3 "$kilter" events --follow --limit 1 >follow.out 2>&1 &
follower=$!
timeout -s INT 3 "$kilter" status --watch -o json >watch.out 2>&1 &
watcher=$!
sleep 0.7
run 0 suspend edge --reason followed
run 0 resume edge --timeout 30s
wait "$follower" "$watcher"
check grep -q followed follow.out
check [ "$(grep -c 'manifestLoaded' follow.out)" -le 1 ]
check [ "$(wc -l <watch.out)" -ge 2 ]
check grep -q '^{"items":' watch.out

# The API's answers are as its description says.
if python3 -c 'import yaml' 2>/dev/null; then
    check python3 "$KILTER_SOURCE_DIR/tests/unit/cli/openapi.py" "$KILTER_SOURCE_DIR/docs/reference/openapi.yaml" \
        "$KILTER_SOCKET" edge
fi

# What destroys asks first.
run 2 delete edge
says '--yes'
check [ -e root/motd ]
run 2 forget careful
run 0 delete edge --yes --timeout 30s
check [ ! -e root/motd ]
run 2 status nobody
says 'no app'

if [ "$failures" -ne 0 ]; then
    echo "--- the daemon's log:"
    tail -30 log
fi
[ "$failures" -eq 0 ]
