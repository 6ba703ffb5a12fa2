#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What state an app is in and why: health with a real URL, rolling back, failures that are tried again and failures
# that are not, and what a newer commit does to a pass that waits.
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
    edge_manifest "timeout: 3s, driftInterval: 100ms, $1" "health: {$2}"
}

phase_is() {
    [ "$(field edge phase)" = "$1" ]
}

health_is() {
    [ "$(field edge health)" = "$1" ]
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
expect "$(field edge reason)" = HealthFailed
expect_has "$(field edge message)" "rolled back from $bad"
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
expect_has "$(field edge message)" "rolled back from $bad"

rule '... until Git moves'
put hosts answer 204
put hosts version three
publish hosts third
sync edge
expect "$(cat "$host/version")" = three
expect "$(field edge health)" = Healthy
expect "$(field edge reason)" != HealthFailed

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
expect "$(cat "$host/version")" = four
expect "$(field edge phase)" = Failed
expect "$(field edge reason)" = HealthFailed
expect_has "$(field edge message)" "$url/app answers 418"
expect "$(field edge retries)" != 0
expect "$(field edge nextAttempt)" != ''
