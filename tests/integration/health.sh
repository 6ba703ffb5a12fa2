#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Health with a real URL: waiting for it, rolling back, trying again, and what a newer commit does to a pass that
# waits.
. "$(dirname "$0")/daemon.sh"

# A web server whose answer to GET /app is the status that the file 'answer' on the host says, so that a commit
# decides it. /away redirects to another host name, /here to /app; /slow answers late.
cat >"$work/server.py" <<'END'
import http.server, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(3)
        if self.path in ("/away", "/here", "/round"):
            self.send_response(302)
            to = {"/away": "http://localhost:%d/app" % port, "/here": "/app", "/round": "/round"}[self.path]
            self.send_header("Location", to)
            self.end_headers()
            return
        try:
            status = int(open(sys.argv[1] + "/answer").read())
        except (OSError, ValueError):
            status = 404
        self.send_response(status)
        self.end_headers()
        try:
            if self.path == "/endless":
                while True:
                    self.wfile.write(b"x" * 65536)
        except OSError:
            pass

    def log_message(self, *args):
        with open(sys.argv[2] + "/requests", "a") as out:
            out.write(self.path + "\n")

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
port = server.server_port
with open(sys.argv[2] + "/port.new", "w") as out:
    out.write(str(port))
import os
os.rename(sys.argv[2] + "/port.new", sys.argv[2] + "/port")
server.serve_forever()
END
python3 "$work/server.py" "$host" "$work" 2>/dev/null &
server=$!
at_exit() {
    kill "$server" 2>/dev/null || true
}
await 100 test -f "$work/port"
url=http://127.0.0.1:$(cat "$work/port")

url_manifest() { # url_manifest POLICY HEALTH
    edge_manifest "timeout: 3s, driftInterval: 500ms, $1" "health: {$2}"
}

phase_is() {
    [ "$(field edge phase)" = "$1" ]
}

health_is() {
    [ "$(field edge health)" = "$1" ]
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
put hosts answer 200
put hosts version one
publish hosts first
good=$(commit_of hosts | cut -c1-12)

rule 'an app whose URL answers 2xx is healthy'
url_manifest 'onUnhealthy: rollback' "http: $url/app"
start
sync edge
expect "$(field edge health)" = Healthy
expect "$(field edge phase)" = Idle
expect "$(cat "$host/version")" = one
expect_has "$(cat "$work/requests")" /app

rule 'onUnhealthy rollback: the last good commit comes back'
put hosts answer 503
put hosts version bad
publish hosts second
bad=$(commit_of hosts | cut -c1-12)
expect_status 1 sync edge
await 100 content_is version one
await 100 phase_is Idle
expect "$(cat "$host/answer")" = 200
await 50 message_has "rolled back from $bad"
await 50 reason_is HealthFailed
expect_has "$(kilter events edge)" "going back to $good"
expect_has "$(kilter events edge)" "$url/app answers 503"

rule '... and the bad one is remembered: neither a drift check nor a restart tries it again'
sleep 1
expect "$(cat "$host/version")" = one
stop
start
await 100 phase_is Idle
sleep 1
expect "$(cat "$host/version")" = one
await 50 message_has "rolled back from $bad"

rule '... until Git moves'
put hosts answer 204
put hosts version three
publish hosts third
sync edge
expect "$(cat "$host/version")" = three
await 50 health_is Healthy
await 50 reason_is ''

rule 'on a drift check too the URL is asked: the app is Degraded, and the message names URL and status'
chmod u+w "$host/answer"
url_manifest 'onUnhealthy: rollback, drift: ignore' "http: $url/app"
kilter reload
settled edge
echo 500 >"$host/answer"
await 50 health_is Degraded
await 50 message_has "$url/app answers 500"
expect "$(cat "$host/version")" = three
expect_has "$(kilter events edge)" "$url/app answers 500"

rule '... and healthy again when it answers again'
echo 204 >"$host/answer"
await 50 health_is Healthy
expect_has "$(kilter events edge)" 'healthy again'

rule 'onUnhealthy keep: what was brought stays, and it is tried again'
url_manifest 'onUnhealthy: keep' "http: $url/app"
kilter reload
settled edge
put hosts answer 418
put hosts version four
publish hosts fourth
expect_status 1 sync edge
shown=$(kilter show edge --output json || true)
expect "$(cat "$host/version")" = four
expect_has "$shown" '"phase": "Failed"'
expect_has "$shown" '"reason": "HealthFailed"'
expect_has "$shown" "$url/app answers 418"

rule '... with a wait between the attempts, which is shown and doubles up to retry.max'
expect_has "$shown" '"nextAttempt": '
expect_has "$shown" '"retries": 1'
retried() {
    [ "$(field edge retries)" -gt "$1" ]
}
await 100 retried 1
expect "$(cat "$host/version")" = four

rule 'a URL that answers late, endlessly, from elsewhere or not at all: each has its message'
put hosts answer 200
publish hosts fifth
sync edge
look() { # look URL: how the app is with it
    edge_manifest 'timeout: 1s, driftInterval: 10m' "health: {http: $1}"
    kilter reload
    settled edge
}
look "$url/here"
expect "$(field edge health)" = Healthy
look "$url/endless"
expect "$(field edge health)" = Healthy
look "$url/slow"
expect "$(field edge health)" = Degraded
expect_has "$(field edge message)" "$url/slow: no answer within 1000 ms"
look "$url/away"
expect "$(field edge health)" = Degraded
expect_has "$(field edge message)" "$url/away answers 302 and redirects to another host, localhost"
look "$url/round"
expect_has "$(field edge message)" "$url/round redirects more than 5 times"
look "http://127.0.0.1:1/"
expect_has "$(field edge message)" 'http://127.0.0.1:1/: cannot connect'
look "https${url#http}/app"
expect "$(field edge health)" = Degraded
expect_has "$(field edge message)" "https${url#http}/app: "

rule 'health window: an app counts as healthy once it stayed so'
edge_manifest 'timeout: 20s' "health: {http: $url/app, window: 2s}"
kilter reload
settled edge
put hosts version six
publish hosts sixth
begun=$(date +%s%N)
sync edge
took=$((($(date +%s%N) - begun) / 1000000))
expect "$took" -ge 2000
expect "$(field edge health)" = Healthy

rule 'a newer commit supersedes a pass that waits for health, at once'
edge_manifest 'timeout: 10m' "health: {http: $url/app}"
kilter reload
settled edge
put hosts answer 500
publish hosts seventh
kilter sync edge --no-wait >/dev/null 2>&1 || kilter sync edge --timeout 1s >/dev/null 2>&1 || true
await 100 phase_is Checking
expect_has "$(field edge message)" 'answers 500'
put hosts answer 200
put hosts version eight
publish hosts eighth
begun=$(date +%s%N)
sync edge
took=$((($(date +%s%N) - begun) / 1000000))
expect "$took" -lt 5000
expect "$(cat "$host/version")" = eight
expect "$(field edge health)" = Healthy

rule 'what waits for health holds no worker: other apps go on'
cat >"$work/two.py" <<END
import re, sys
text = open("$work/kilter.yaml").read()
text += "  other: {source: others, path: ., renderer: files, target: host}\n"
text = text.replace("sources:\n", "daemon: {limits: {workers: 1}}\nsources:\n  others: {url: file://$work/others.git, ref: {branch: main}, interval: 10m}\n")
open("$work/kilter.yaml", "w").write(text)
END
repo others
put others other/a one
publish others first
python3 "$work/two.py"
stop
start
sync other
put hosts answer 500
publish hosts ninth
kilter sync edge --timeout 1s >/dev/null 2>&1 || true
await 100 phase_is Checking
put others other/a two
publish others second
sync other
expect "$(cat "$host/other/a")" = two
expect "$(field edge phase)" = Checking
put hosts answer 200
publish hosts tenth
sync edge
