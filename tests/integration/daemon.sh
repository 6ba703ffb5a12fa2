# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# A real kilterd on a real repository, for the tests that source this file. Everything lives in $work, which is
# removed at the end; a failing test prints the daemon's log.
#
#     . "$(dirname "$0")/daemon.sh"
#     repo hosts; put hosts etc/motd 'hello'; publish hosts 'first'
#     manifest <<END ... END
#     start
#     sync edge; expect "$(cat "$host/etc/motd")" = hello
#
# A statement about what must hold reads: rule 'sentence of the semantics'; then what shows it.
set -eu

: "${KILTER_BUILD_DIR:?run this through ctest or tests/run}"
PATH=$KILTER_BUILD_DIR/bin:$PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/kilter-test.XXXXXX")
host=$work/host
export KILTER_SOCKET="$work/kilterd.sock" HOME="$work" GIT_CONFIG_NOSYSTEM=1 NO_COLOR=1 PATH
mkdir "$host"
daemon=
sentence='(before the first rule)'

cleanup() {
    status=$?
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    if [ "$status" != 0 ] && [ "$status" != 77 ]; then
        echo "FAILED ($status): $sentence"
        [ ! -f "$work/kilterd.log" ] || { echo '--- kilterd.log'; tail -n 60 "$work/kilterd.log"; }
    fi
    command -v at_exit >/dev/null && at_exit
    chattr -R -i "$work" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

rule() {
    sentence=$*
    echo "- $*"
}

fail() {
    echo "  $*"
    exit 1
}

skip() {
    echo "skipped: $*"
    exit 77
}

expect() { # expect A = B, expect A != B, expect -e FILE, ...
    [ "$@" ] || fail "expected: $*"
}

expect_has() { # expect_has TEXT PART
    case "$1" in
    *"$2"*) ;;
    *) fail "expected \"$2\" in: $1" ;;
    esac
}

expect_status() { # expect_status N COMMAND...: and its output in $output
    wanted=$1
    shift
    status=0
    output=$("$@" 2>&1) || status=$?
    [ "$status" = "$wanted" ] || fail "exit status $status instead of $wanted from: $* -- $output"
}

repo() {
    git init -q --bare -b main "$work/$1.git"
    git -C "$work/$1.git" config uploadpack.allowAnySHA1InWant true
    git clone -q "$work/$1.git" "$work/$1" 2>/dev/null
    git -C "$work/$1" config user.name Ana
    git -C "$work/$1" config user.email ana@example.com
    git -C "$work/$1" checkout -q -b main 2>/dev/null || true
}

put() { # put REPO PATH TEXT
    mkdir -p "$(dirname "$work/$1/$2")"
    printf '%s\n' "$3" >"$work/$1/$2"
}

publish() { # publish REPO SUBJECT
    git -C "$work/$1" add -A
    git -C "$work/$1" commit -q -m "$2"
    git -C "$work/$1" push -q -f origin HEAD
}

commit_of() {
    git -C "$work/$1" rev-parse HEAD
}

manifest() {
    cat >"$work/kilter.yaml"
}

# A manifest for one app 'edge' of the repository 'hosts', with these policy settings and these of the app.
edge_manifest() {
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
  default: {retry: {first: 1s, max: 2s}${1:+, $1}}
apps:
  edge: {source: hosts, path: ., renderer: files, target: host${2:+, $2}}
END
}

start() {
    kilterd --manifest "$work/kilter.yaml" --state-dir "$work/state" "$@" --socket "$KILTER_SOCKET" \
        >>"$work/kilterd.log" 2>&1 &
    daemon=$!
    await 200 test -S "$KILTER_SOCKET"
}

stop() { # stop [SIGNAL]
    kill "-${1:-TERM}" "$daemon"
    wait "$daemon" 2>/dev/null || true
    daemon=
}

await() { # await TENTHS COMMAND...: until it succeeds
    tries=$1
    shift
    while ! "$@" 2>/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "never became true: $*"
        sleep 0.1
    done
}

sync() {
    kilter sync "$@" --timeout 30s
}

is_settled() {
    case "$(field "$1" phase)" in
    Idle | Waiting | Failed) ;;
    *) return 1 ;;
    esac
}

settled() { # settled APP: waits until no pass runs
    await 100 is_settled "$1"
}

field() { # field APP MEMBER[.MEMBER...]: of the app as the API shows it, empty when it is not there
    kilter show "$1" --output json | python3 -c '
import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    value = value.get(key, "") if isinstance(value, dict) else ""
print(value)' "$2"
}

plan_verbs() { # plan_verbs APP: "create File/x" lines of a fresh plan, held ones with "(held)"
    kilter plan "$1" --output json | python3 -c '
import json, sys
for c in json.load(sys.stdin)["changes"]:
    if c["verb"] != "none":
        print(c["verb"], c["id"], "(held)" if c.get("held") else "")'
}
