#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Awkward moments: what changes in the middle of something, and what must hold all the same.
. "$(dirname "$0")/daemon.sh"

doc() { # doc NAME PATH CONTENT WAVE: one File document
    printf 'apiVersion: file.kilter.dev/v1\nkind: File\nmetadata: {name: %s, annotations: {kilter.dev/wave: "%s"}}\n' "$1" "$4"
    printf 'spec: {path: %s, content: "%s"}\n---\n' "$2" "$3"
}
documents() { # documents POLICY APP: a manifest for documents of the root of the repository
    edge_manifest "$@"
    sed -i "s/renderer: files/renderer: yaml/" "$work/kilter.yaml"
}
records() {
    kilter state list edge --output json | python3 -c '
import json, sys
value = json.load(sys.stdin)
for r in value.get("items", value) if isinstance(value, dict) else value:
    print(r["id"], r["status"], " ".join(c.rsplit(":", 1)[1] for c in r["claims"]))'
}

repo hosts
mkdir "$work/other"

rule 'a reload in the middle of an apply never sends the rest of it to the new target'
for i in $(seq 0 300); do doc "f$i" "/x/f$i" "$i" "$i"; done >"$work/hosts/k.yaml"
publish hosts waves
documents
start
await 100 test -e "$host/x/f3"
sed -i "s#root: $host#root: $work/other#" "$work/kilter.yaml"
kilter reload
settled edge
expect "$(find "$work/other" -type f | wc -l)" = 0
expect_has "$(field edge message)" 'is another system now'
stop

rule 'a rename that was not tried leaves the record that was there'
rm -rf "$work/state" "$host"
mkdir "$host"
doc one /x/one hello 1 >"$work/hosts/k.yaml"
publish hosts A
documents
start
sync edge
before=$(records)
mkdir -m 777 "$host/open"
{
    doc renamed /x/one hello 1
    doc bad /open/bad nothing 0
} >"$work/hosts/k.yaml"
publish hosts C
expect_status 1 sync edge
expect_has "$(records)" "$before"

rule '... and one to another path leaves the claim of the path that it has'
{
    doc one /x/two hello 1
    doc bad /open/bad nothing 0
} >"$work/hosts/k.yaml"
publish hosts D
expect_status 1 sync edge
expect_has "$(records)" "$before"
chmod 755 "$host/open"
sync edge
expect "$(cat "$host/x/two")" = hello
expect ! -e "$host/x/one"
stop

rule 'a rollback after a commit that did not become healthy goes to the last good one'
rm -rf "$work/state" "$host" "$work/hosts/k.yaml"
mkdir "$host"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
serve() {
    (cd "$work/other" && exec python3 -m http.server "$port" --bind 127.0.0.1 >/dev/null 2>&1) &
    server=$!
    await 50 curl -s -o /dev/null "http://127.0.0.1:$port/"
}
at_exit() { kill "${server:-0}" 2>/dev/null || true; }
serve
put hosts etc/motd A
publish hosts A
edge_manifest 'timeout: 2s' "health: {http: 'http://127.0.0.1:$port/'}"
start
sync edge
put hosts etc/motd B
publish hosts B
sync edge
kill "$server"
put hosts etc/motd C
publish hosts C
expect_status 1 sync edge
kilter rollback edge || true
expect "$(cat "$host/etc/motd")" = B
stop

rule 'under sync: manual the rollback that the policy asks for does not wait'
rm -rf "$work/state" "$host"
mkdir "$host"
serve
edge_manifest 'timeout: 2s, sync: manual, onUnhealthy: rollback' "health: {http: 'http://127.0.0.1:$port/'}"
start
sync edge
kill "$server"
put hosts etc/motd D
publish hosts D
kilter sync edge --timeout 30s || true
await 100 grep -q C "$host/etc/motd"
stop

rule 'an approval that a dependency holds up is not asked for again'
rm -rf "$work/state" "$host"
mkdir "$host"
put hosts a/etc/motd A
put hosts b/etc/dep A
publish hosts 'a and b'
manifest <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [files, yaml, file]
sources:
  hosts: {url: file://$work/hosts.git, ref: {branch: main}, interval: 10m}
targets:
  host: {plugin: file, options: {root: $host}, allow: {paths: [/]}}
policies:
  careful: {sync: manual}
apps:
  dep: {source: hosts, path: b, renderer: files, target: host}
  edge: {source: hosts, path: a, renderer: files, target: host, dependsOn: [dep], policy: careful}
END
start
sync dep
sync edge
kilter suspend dep --reason 'not now'
put hosts a/etc/motd B
put hosts b/etc/dep B
publish hosts 'both change'
expect_status 1 sync edge
expect "$(field edge reason)" = DependencyNotReady
kilter approve edge || true
kilter resume dep
await 100 grep -q B "$host/etc/motd"
stop

rule 'a removal over the limit waits, is approved, and is done, also when the app left while nothing ran'
rm -rf "$work/state" "$host"
mkdir "$host"
git -C "$work/hosts" rm -q -r a b etc
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do put hosts "etc/f$i" "$i"; done
publish hosts twelve
edge_manifest 'onRemove: delete'
start
sync edge
stop
sed -i '/^apps:/,$d' "$work/kilter.yaml"
start
settled edge
expect "$(field edge reason)" = DeleteLimit
echo '# read it again' >>"$work/kilter.yaml"
kilter reload
settled edge
kilter approve edge || true
await 100 test ! -e "$host/etc/f1"
gone() { ! kilter status edge >/dev/null 2>&1; }
await 100 gone

rule 'what an app owned whose plugin left too waits for the plugin, and is dealt with when that is back'
edge_manifest 'onRemove: delete, maxDeletes: 100'
kilter reload
sync edge
expect -f "$host/etc/f1"
stop
cp "$work/kilter.yaml" "$work/whole.yaml"
sed -i '/^apps:/,$d; /^targets:/,/^  host:/d; s/plugins: .*/plugins: [files, yaml]/' "$work/kilter.yaml"
start
expect_has "$(field edge message)" 'put the plugin back'
expect_status 2 kilter forget edge --yes
kilter resume edge 2>/dev/null || true
expect -f "$host/etc/f1"
sed 's/^apps:/apps: {}/; /^  edge:/d' "$work/whole.yaml" >"$work/kilter.yaml"
kilter reload
await 100 test ! -e "$host/etc/f1"
await 100 gone
stop

rule 'a socket that systemd listens on is taken over'
edge_manifest
rm -f "$KILTER_SOCKET"
python3 - "$KILTER_SOCKET" "$work" <<'END' >>"$work/kilterd.log" 2>&1 &
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
if listener.fileno() != 3:  # where systemd hands it over
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execvp("kilterd", ["kilterd", "--manifest", sys.argv[2] + "/kilter.yaml", "--state-dir", sys.argv[2] + "/state"])
END
daemon=$!
await 50 kilter status edge
sync edge
stop
rm -f "$KILTER_SOCKET"
expect_status 1 sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec kilterd --manifest "$1/kilter.yaml" 3>&-' sh "$work"
expect_has "$output" 'no listening socket'

rule 'signals while the daemon starts and ends are survived'
edge_manifest
for signal in HUP TERM; do
    for delay in 0 0.01 0.02 0.03 0.05; do
        [ -z "$daemon" ] || stop
        kilterd --manifest "$work/kilter.yaml" --state-dir "$work/state" --socket "$KILTER_SOCKET" \
            >>"$work/kilterd.log" 2>&1 &
        daemon=$!
        sleep "$delay"
        kill "-$signal" "$daemon" 2>/dev/null || true
        if [ "$signal" = TERM ]; then
            wait "$daemon" && code=0 || code=$?
            [ "$code" -le 1 ] || [ "$code" = 143 ] || fail "it ended with status $code"
            daemon=
        fi
    done
done
