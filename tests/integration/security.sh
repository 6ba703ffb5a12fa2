#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Attacks that tools of this kind have had, by way of a repository, a manifest, the host and the API. After each one
# the daemon is alive and serves an app that has nothing to do with it.
. "$(dirname "$0")/daemon.sh"

repo good
repo evil
put good etc/good 0
publish good first
put evil etc/evil harmless
publish evil first
outside=$work/outside
mkdir "$outside"
echo untouched >"$outside/file"

evil_manifest() { # evil_manifest RENDERER [ALLOW]
    manifest <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [files, yaml, file]
sources:
  good: {url: file://$work/good.git, ref: {branch: main}, interval: 10m}
  evil: {url: file://$work/evil.git, ref: {branch: main}, interval: 10m}
targets:
  host: {plugin: file, options: {root: $host}}
  bounded: {plugin: file, options: {root: $host}, allow: {paths: [${2:-/}]}}
policies:
  default: {driftInterval: 1h, timeout: 20s, retry: {first: 1h, max: 1h}}
apps:
  good: {source: good, path: ., renderer: files, target: host}
  evil: {source: evil, path: ., renderer: $1, target: bounded}
END
}

turn=0
alive() { # the daemon lives, is not swollen, and serves
    turn=$((turn + 1))
    kill -0 "$daemon"
    put good etc/good "$turn"
    publish good "turn $turn"
    sync good >/dev/null
    expect "$(cat "$host/etc/good")" = "$turn"
    expect "$(cat "$outside/file")" = untouched
    expect "$(awk '/^VmRSS/ { print $2 }' "/proc/$daemon/status")" -lt 200000
}

attack() { # attack SUBJECT: what stands in the working tree is published, and the app is to fail; message in $said
    publish evil "$1"
    kilter sync evil --timeout 50s >"$work/out" 2>&1 || true
    said=$(cat "$work/out"; kilter show evil --output json || true)
    alive
}

clean() {
    git -C "$work/evil" rm -q -r --ignore-unmatch . >/dev/null
    mkdir -p "$work/evil"
}

file_document() { # file_document NAME PATH [ANNOTATIONS]
    printf 'apiVersion: file.kilter.dev/v1\nkind: File\nmetadata: {name: "%s"%s}\nspec: {path: "%s", content: evil}\n' \
        "$1" "${3:+, annotations: {$3\}}" "$2"
}

evil_manifest files
start
sync good
sync evil

rule 'links in the repository that lead out of it are not followed by a renderer'
clean
mkdir -p "$work/evil/etc"
ln -s "$outside/file" "$work/evil/etc/absolute.yaml"
ln -s ../../../../../../../../etc/passwd "$work/evil/etc/relative.yaml"
evil_manifest yaml
kilter reload
attack 'links out'
expect_has "$said" 'RenderFailed'
case "$said" in
*untouched* | *root:x*) fail "what a link leads to was read: $said" ;;
esac
clean
ln -s "$outside" "$work/evil/tree"
sed -i 's/evil, path: \./evil, path: tree/' "$work/kilter.yaml"
kilter reload
attack 'the path of the app is a link out'
expect_has "$said" 'RenderFailed'

rule '... loops of links end'
clean
rm -f "$work/evil/tree"
ln -s b "$work/evil/a"
ln -s a "$work/evil/b"
mkdir "$work/evil/c"
ln -s ../c "$work/evil/c/again"
evil_manifest yaml
kilter reload
attack 'loops'

rule 'a link that an app puts on the host, as a path to write outside of the root, is not followed'
clean
mkdir -p "$work/evil/srv"
ln -s "$outside" "$work/evil/srv/link"
evil_manifest files
kilter reload
attack 'a link'
clean
mkdir -p "$work/evil/srv/link"
echo stolen >"$work/evil/srv/link/file"
attack 'a file through the link'

rule 'parents on the host that are links are not followed'
ln -s "$outside" "$host/linked"
clean
put evil linked/file stolen
attack 'a linked parent'
expect_has "$said" 'Directory/linked'
expect_has "$said" 'adopt: always would overwrite it'
expect -h "$host/linked"
expect "$(ls "$outside")" = file
rm "$host/linked"

rule 'paths with "..", without a root, with control characters or as long as a novel are refused'
evil_manifest yaml
kilter reload
for path in ../../outside/file /../outside/file /etc/../../outside/file etc/x '' / '//etc//x' '/etc/x\nroot' \
    '/etc/a\u0000b' "/$(head -c 5000 /dev/zero | tr '\0' a)" '/proc/self/mem\u001b[2J'; do
    clean
    mkdir -p "$work/evil"
    file_document evil "$path" >"$work/evil/a.yaml"
    publish evil "path $turn"
    kilter sync evil --timeout 20s >"$work/out" 2>&1 && fail "accepted: $path"
    ! LC_ALL=C grep -q "$(printf '\033')" "$work/out" || fail "an escape reached the terminal: $path"
done
alive

rule 'what is outside of allow.paths is refused'
evil_manifest yaml '"/srv/**"'
kilter reload
clean
file_document evil /etc/good >"$work/evil/a.yaml"
attack 'a file of another app, outside of the bounds'
expect_has "$said" 'allow'
clean
file_document evil /srv/../etc/good >"$work/evil/a.yaml"
attack 'out of the bounds by ..'
evil_manifest yaml

rule 'what another app owns is refused'
kilter reload
clean
file_document evil /etc/good >"$work/evil/a.yaml"
attack 'the other app'
expect_has "$said" "OwnershipConflict"

rule 'aliases that grow without end, deep nesting and huge documents fail with a message'
clean
{
    echo 'a: &a [x,x,x,x,x,x,x,x,x,x]'
    previous=a
    for name in b c d e f g h i j k l; do
        echo "$name: &$name [*$previous,*$previous,*$previous,*$previous,*$previous,*$previous,*$previous,*$previous,*$previous]"
        previous=$name
    done
} >"$work/evil/laughs.yaml"
attack 'a billion laughs'
expect_has "$said" 'RenderFailed'
expect_has "$said" 'laughs.yaml'
clean
python3 -c 'print("a: " + "[" * 200000 + "]" * 200000)' >"$work/evil/deep.yaml"
attack 'deep lists'
expect_has "$said" 'deep.yaml'
clean
python3 -c 'print("{\"a\":" * 200000 + "1" + "}" * 200000)' >"$work/evil/deep.json"
attack 'deep maps of JSON'
expect_has "$said" 'deep.json'
clean
python3 -c 'print("apiVersion: v1\nkind: X\nmetadata: {name: x}\ndata: {" + ",".join("k%d: v" % i for i in range(900000)) + "}")' \
    >"$work/evil/wide.yaml"
attack 'a wide map'
clean
python3 -c '
for i in range(1500):
    print("---\napiVersion: file.kilter.dev/v1\nkind: File\nmetadata: {name: same}\nspec: {path: /srv/same, content: x}")' \
    >"$work/evil/many.yaml"
attack 'the same thing 1500 times'
expect_has "$said" 'same'

rule 'annotations and names of any sort end in a message'
for annotations in '"kilter.dev/prune": "maybe"' '"kilter.dev/force": [1, 2]' '"kilter.dev/wave": "999999999999999999999"' \
    '"kilter.dev/": "x"' '"kilter.dev/prune": {a: b}' '"": ""'; do
    clean
    file_document evil /srv/annotated "$annotations" >"$work/evil/a.yaml"
    publish evil "annotations $turn $annotations"
    kilter sync evil --timeout 20s >/dev/null 2>&1 || true
done
alive

rule 'control characters of a commit, an author and a name do not reach the terminal'
clean
printf 'apiVersion: file.kilter.dev/v1\nkind: File\nmetadata: {name: "a\\e[31mred"}\nspec: {path: /srv/red, content: "\\e]0;title\\a"}\n' \
    >"$work/evil/a.yaml"
git -C "$work/evil" config user.name "$(printf 'Mallory\033[2J')"
publish evil "$(printf 'subject \033[31mred\033]0;title\007')"
for verb in 'sync evil' 'show evil' 'status' 'status evil' 'plan evil' 'diff evil' 'why evil' 'events evil' 'history evil' \
    'tree evil' 'state list evil'; do
    kilter $verb >"$work/out" 2>&1 || true
    ! LC_ALL=C grep -q "$(printf '[\033\007]')" "$work/out" || fail "an escape reached the terminal: kilter $verb"
done
! LC_ALL=C grep -q "$(printf '\033')" "$work/kilterd.log" || fail 'an escape reached the log'
git -C "$work/evil" config user.name Mallory
alive

rule 'durations, sizes and URLs of any sort in a manifest are refused, and nothing changes'
for change in 's/interval: 10m/interval: 1e9h/' 's/interval: 10m/interval: -5s/' 's/interval: 10m/interval: 99999999999999999999d/' \
    's/interval: 10m/interval: ""/' 's/interval: 10m/interval: [1]/' 's/timeout: 20s/timeout: NaN/' \
    's|file://[^,]*evil.git|"--upload-pack=touch /tmp/x"|' 's|file://[^,]*evil.git|"ext::sh -c id"|' \
    's|file://[^,]*evil.git|"ssh://-oProxyCommand=id/x"|' 's|file://[^,]*evil.git|"-oProxyCommand=id:x"|' \
    's|file://[^,]*evil.git|"ssh://git@host\\nHost: x/x"|' 's|file://[^,]*evil.git|"https://user:secret@host/x"|' \
    's|branch: main|branch: "--exec=id"|' 's|branch: main|branch: "../../x"|' 's|branch: main|commit: "--output=x"|' \
    's|path: \.,|path: ../../etc,|' 's|path: \.,|path: /etc,|'; do
    cp "$work/kilter.yaml" "$work/sound.yaml"
    sed -i "$change" "$work/kilter.yaml"
    ! cmp -s "$work/kilter.yaml" "$work/sound.yaml" || fail "the change changes nothing: $change"
    status=0
    output=$(kilter reload 2>&1) || status=$?
    [ "$status" = 2 ] || fail "accepted: $change: $output"
    case "$output" in
    *secret*) fail "a password is repeated: $output" ;;
    esac
    cp "$work/sound.yaml" "$work/kilter.yaml"
done
{
    cat "$work/sound.yaml"
    python3 -c 'print("x: " + "[" * 100000)'
} >"$work/kilter.yaml"
expect_status 2 kilter reload
head -c 9000000 /dev/zero | tr '\0' a >"$work/kilter.yaml"
expect_status 2 kilter reload
cp "$work/sound.yaml" "$work/kilter.yaml"
kilter reload
alive

rule 'the API answers unknown routes, huge bodies and garbage, and goes on'
api() { # api CURL-OPTION...: the status
    curl -s -o "$work/answer" -w '%{http_code}' --max-time 10 --unix-socket "$KILTER_SOCKET" "$@" || true
}
if command -v curl >/dev/null; then
    expect "$(api http://kilter/api/v1/nosuch)" = 404
    expect "$(api http://kilter/../../etc/passwd --path-as-is)" = 404
    expect "$(api http://kilter/api/v1/apps/%2e%2e%2f%2e%2e%2fetc)" = 404
    expect "$(api http://kilter/api/v1/apps/%00)" -ge 400
    expect "$(api -X DELETE http://kilter/api/v1/apps)" = 405
    expect "$(api -X POST -d '{' http://kilter/api/v1/apps/good/sync)" = 400
    expect "$(api -X POST -H 'Content-Type: application/json' -d '[1,2]' http://kilter/api/v1/apps/good/sync)" = 400
    expect "$(api -X POST -H 'Content-Type: application/json' -d '{"nosuch":1}' http://kilter/api/v1/apps/good/sync)" = 400
    python3 -c 'print("[" * 500000)' >"$work/deep.json"
    expect "$(api -X POST -H 'Content-Type: application/json' --data-binary "@$work/deep.json" http://kilter/api/v1/apps/good/sync)" -ge 400
    head -c 3000000 /dev/zero >"$work/huge"
    expect "$(api -X POST --data-binary "@$work/huge" http://kilter/api/v1/apps/good/sync)" -ge 400
    expect "$(api -H "X-Long: $(head -c 60000 /dev/zero | tr '\0' a)" http://kilter/api/v1/apps)" -ge 400
    expect "$(api "http://kilter/api/v1/events?limit=99999999999999999999")" = 400
fi
python3 - "$KILTER_SOCKET" <<'END'
import os, socket, sys

def send(data, wait=True):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect(sys.argv[1])
    try:
        s.sendall(data)
        if wait:
            s.recv(1000)
    except OSError:
        pass
    s.close()

send(b"\x00\xff" * 5000)
send(b"GET")
send(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n")
send(b"POST /api/v1/apps/good/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n")
send(b"POST /api/v1/apps/good/sync HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")
send(b"POST /api/v1/apps/good/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", wait=False)
send(os.urandom(100000))
idle = []
for _ in range(300):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(1)
    try:
        s.connect(sys.argv[1])
    except OSError:
        break
    idle.append(s)
for s in idle:
    s.close()
END
alive

rule 'nothing was written outside, and no file of an attack is left beside its place'
expect "$(ls "$outside")" = file
expect "$(find "$host" -name '.kilter-tmp.*' | wc -l)" -eq 0
