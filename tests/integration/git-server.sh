# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Real Git servers on loopback for the git-*.sh tests: lighttpd with TLS in front of git http-backend, and sshd.
# Sourced. Everything lives in $work, which goes at the end with every process that was started here.

skip() {
    echo "skipped: $*"
    exit 77
}

for program in git openssl socat lighttpd /usr/sbin/sshd ssh-keygen; do
    command -v "$program" >/dev/null || skip "$program is not installed"
done
tool=${KILTER_BUILD_DIR:?}/tests/git_fetch_tool
[ -x "$tool" ] || skip "$tool is not built"

work=$(mktemp -d)
pids=()
finish() {
    local status=$? pid children
    trap - EXIT
    for pid in "${pids[@]}"; do
        # Servers fork a child for each connection, which may outlive them.
        children=$(ps -o pid= --ppid "$pid")
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        [ -z "$children" ] || kill $children 2>/dev/null
    done
    if [ $status -ne 0 ] && [ $status -ne 77 ]; then
        tail -n 20 "$work"/*.log 2>/dev/null
    fi
    rm -rf "$work"
    exit $status
}
trap finish EXIT
trap 'exit 1' INT TERM

export HOME=$work/home GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=Ana GIT_AUTHOR_EMAIL=ana@example.com
export GIT_COMMITTER_NAME=Ana GIT_COMMITTER_EMAIL=ana@example.com
unset https_proxy HTTPS_PROXY http_proxy all_proxy ALL_PROXY SSH_AUTH_SOCK
mkdir -p "$HOME" "$work/srv"

# --- saying what is expected ------------------------------------------------------------
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
note() {
    echo "ok: $*"
}

# fetched WHAT ARGUMENT...: kl_fetch succeeds; its output is in $out.
fetched() {
    local what=$1
    shift
    if out=$("$tool" fetch "$@" 2>"$work/stderr"); then
        note "$what"
    else
        fail "$what: $(cat "$work/stderr")"
    fi
}

# refused WHAT PATTERN ARGUMENT...: it fails with one line that matches, and without any secret.
refused() {
    local what=$1 pattern=$2
    shift 2
    if out=$("$tool" fetch "$@" 2>"$work/stderr"); then
        fail "$what: it was not refused"
    elif [ "$(wc -l <"$work/stderr")" -ne 1 ] || ! grep -Eq -- "$pattern" "$work/stderr"; then
        fail "$what: expected /$pattern/ in one line, got: $(cat "$work/stderr")"
    elif grep -q 's3cret' "$work/stderr"; then
        fail "$what: a secret is in: $(cat "$work/stderr")"
    else
        note "$what: $(cut -c 1-150 "$work/stderr")"
    fi
}

# has NAME=VALUE: a line of the last output.
has() {
    grep -qxF -- "$1" <<<"$out" || fail "expected line '$1' in: $(tr '\n' ' ' <<<"$out")"
}

value() {
    sed -n "s/^$1=//p" <<<"$out"
}

finished() {
    [ "$failures" -eq 0 ] || exit 1
    exit 0
}

# --- repositories -------------------------------------------------------------------------
# make_repository NAME: bare $work/srv/NAME.git with a clone $work/NAME to work in.
make_repository() {
    git init -q --bare -b main "$work/srv/$1.git"
    git clone -q "$work/srv/$1.git" "$work/$1" 2>/dev/null
    git -C "$work/$1" symbolic-ref HEAD refs/heads/main
}

# commit NAME FILE TEXT: commits and pushes; the id is in $id.
commit() {
    mkdir -p "$(dirname "$work/$1/$2")"
    echo "$3" >"$work/$1/$2"
    git -C "$work/$1" add -A
    git -C "$work/$1" commit -qm "$2: $3"
    git -C "$work/$1" push -q origin HEAD
    id=$(git -C "$work/$1" rev-parse HEAD)
}

# diverge NAME BRANCH: pushes a branch of 400 commits that share nothing with the others.
diverge() {
    local _
    for _ in $(seq 400); do
        printf 'commit refs/heads/long\ncommitter Ana <ana@example.com> 1700000000 +0000\ndata 1\nx\n'
    done | git -C "$work/$1" fast-import --quiet --force
    git -C "$work/$1" push -q origin "+long:refs/heads/$2"
    git -C "$work/$1" branch -qD long
}

# undiverge NAME BRANCH: the server forgets it.
undiverge() {
    git -C "$work/$1" push -q origin ":refs/heads/$2"
    git -C "$work/srv/$1.git" gc -q --prune=now
}

# --- ports ----------------------------------------------------------------------------------
next_port=$((20000 + (($$ * 37) + RANDOM) % 12000))
free_port() {
    while :; do
        next_port=$((next_port + 1))
        # Nobody listens there when the connection is refused.
        (exec 3<>"/dev/tcp/127.0.0.1/$next_port") 2>/dev/null || break
    done
    port=$next_port
}

wait_for_port() {
    local _
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep 0.05
    done
    return 1
}

# --- certificates -----------------------------------------------------------------------------
make_ca() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=kilter test $1" \
        -keyout "$work/$1.key" -out "$work/$1.pem" 2>/dev/null
}

# make_certificate NAME CA DAYS: for localhost and 127.0.0.1.
make_certificate() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
        -keyout "$work/$1.key" -out "$work/$1.csr" 2>/dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >"$work/$1.ext"
    openssl x509 -req -in "$work/$1.csr" -CA "$work/$2.pem" -CAkey "$work/$2.key" -CAcreateserial -days "$3" \
        -extfile "$work/$1.ext" -out "$work/$1.crt" 2>/dev/null
    cat "$work/$1.key" "$work/$1.crt" >"$work/$1.pem"
}

# --- https ---------------------------------------------------------------------------------------
# git http-backend under /git, /private (basic credentials), /bearer, /old (protocol version 0 only), /cut (packs end
# early), /moved (redirects to /private of this server), /away (to another host name), /down (to http),
# /broken (status 500), /page (no Git at all).
make_cgi() {
    cat >"$work/git.cgi" <<CGI
#!/bin/bash
export GIT_PROJECT_ROOT=$work/srv GIT_HTTP_EXPORT_ALL=1 PATH=/usr/bin:/bin HOME=$HOME
# REQUEST_URI is /<area>/<repository>...
area=\${REQUEST_URI#/}
area=\${area%%/*}
rest=\${REQUEST_URI#/\$area}
export PATH_INFO=\${rest%%\\?*}
echo "\$REQUEST_METHOD \$area\${PATH_INFO} protocol=\${HTTP_GIT_PROTOCOL:-0} authorization=\$HTTP_AUTHORIZATION" >>$work/requests
redirect() { printf 'Status: 302 Found\r\nLocation: %s\r\nContent-Type: text/plain\r\n\r\n' "\$1"; exit; }
case \$area in
moved) redirect "https://\$HTTP_HOST/private\$rest" ;;
away) redirect "https://127.0.0.1:\${HTTP_HOST##*:}/private\$rest" ;;
awaygit) redirect "https://127.0.0.1:\${HTTP_HOST##*:}/git\$rest" ;;
down) redirect "http://\$HTTP_HOST/git\$rest" ;;
circle) redirect "https://\$HTTP_HOST/circle\$rest" ;;
broken) printf 'Status: 500 Oops\r\nContent-Type: text/plain\r\n\r\nno\n'; exit ;;
page) printf 'Content-Type: text/html\r\n\r\n<html>hello</html>\n'; exit ;;
bearer) [ "\$HTTP_AUTHORIZATION" = "Bearer s3cret-token" ] || { printf 'Status: 401 No\r\nContent-Type: text/plain\r\n\r\n'; exit; } ;;
old) unset HTTP_GIT_PROTOCOL ;;
esac
if [ \$area = cut ] && [ \$REQUEST_METHOD = POST ] && [ -z "\$HTTP_GIT_PROTOCOL" ]; then
    git http-backend | stdbuf -o0 head -c 6000
else
    exec git http-backend
fi
CGI
    chmod +x "$work/git.cgi"
}

# socket PORT CERTIFICATE EXTRA
https_socket() {
    cat <<CONF
\$SERVER["socket"] == "127.0.0.1:$1" {
    ssl.engine = "enable"
    ssl.pemfile = "$work/$2.pem"
    $3
}
CONF
}

# https_port, expired_port, stranger_port (a CA that nobody has), client_port (asks for a certificate)
start_https() {
    make_ca ca
    make_ca stranger
    make_certificate server ca 10
    make_certificate expired ca -1
    make_certificate unknown stranger 10
    make_certificate client ca 10
    make_cgi
    echo 'kilter:s3cret' >"$work/users"
    local _ up=
    for _ in 1 2 3 4 5; do
        try_lighttpd && up=1 && break
    done
    [ -n "$up" ] || { cat "$work/lighttpd-out.log"; exit 1; }
    : >"$work/requests"
}

try_lighttpd() {
    free_port && https_port=$port
    free_port && expired_port=$port
    free_port && stranger_port=$port
    free_port && client_port=$port
    {
        cat <<CONF
server.modules = ("mod_openssl", "mod_auth", "mod_authn_file", "mod_cgi", "mod_alias")
server.document-root = "$work"
server.bind = "127.0.0.1"
server.port = $https_port
server.errorlog = "$work/lighttpd.log"
server.stream-response-body = 1
ssl.engine = "enable"
ssl.pemfile = "$work/server.pem"
alias.url = ("/" => "$work/git.cgi/")
cgi.assign = ("/git.cgi" => "")
auth.backend = "plain"
auth.backend.plain.userfile = "$work/users"
auth.require = ("/private" => ("method" => "basic", "realm" => "git", "require" => "valid-user"))
CONF
        https_socket "$expired_port" expired ""
        https_socket "$stranger_port" unknown ""
        https_socket "$client_port" server "ssl.ca-file = \"$work/ca.pem\"
    ssl.verifyclient.activate = \"enable\"
    ssl.verifyclient.enforce = \"enable\""
    } >"$work/lighttpd.conf"
    lighttpd -tt -f "$work/lighttpd.conf" || return 1
    lighttpd -D -f "$work/lighttpd.conf" >"$work/lighttpd-out.log" 2>&1 &
    wait_for_port "$client_port" || return 1
    sleep 0.05
    kill -0 $! 2>/dev/null || return 1 # somebody else's port
    pids+=($!)
}

# --- ssh -----------------------------------------------------------------------------------------
# ssh_port, $work/key (may log in), $work/other-key (may not), $work/known_hosts, $work/no_hosts
start_sshd() {
    local user
    user=$(id -un)
    ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
    ssh-keygen -q -t ed25519 -N '' -f "$work/other_host_key"
    ssh-keygen -q -t rsa -b 3072 -N '' -f "$work/key"
    ssh-keygen -q -t ed25519 -N '' -f "$work/other-key"
    ssh-keygen -q -t ed25519 -N 'passphrase' -f "$work/locked-key"
    cp "$work/key.pub" "$work/authorized"
    cat >"$work/command" <<COMMAND
#!/bin/bash
echo "protocol=\${GIT_PROTOCOL:-0} \$SSH_ORIGINAL_COMMAND" >>$work/requests
eval "\$SSH_ORIGINAL_COMMAND"
COMMAND
    chmod +x "$work/command"
    [ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
    local _ up=
    for _ in 1 2 3 4 5; do
        try_sshd && up=1 && break
    done
    [ -n "$up" ] || { cat "$work/sshd.log"; exit 1; }
    echo "[127.0.0.1]:$ssh_port $(cut -d' ' -f1,2 "$work/host_key.pub")" >"$work/known_hosts"
    echo "[127.0.0.1]:$ssh_port $(cut -d' ' -f1,2 "$work/other_host_key.pub")" >"$work/changed_hosts"
    echo "example.com $(cut -d' ' -f1,2 "$work/host_key.pub")" >"$work/no_hosts"
    ssh_url="ssh://$user@127.0.0.1:$ssh_port$work/srv"
    # An account without a shell, or a locked one, cannot log in whatever we do.
    ssh -F none -o BatchMode=yes -o UserKnownHostsFile="$work/known_hosts" -o IdentityFile="$work/key" \
        -p "$ssh_port" -l "$user" 127.0.0.1 true 2>"$work/ssh.log" </dev/null ||
        skip "sshd does not let $user in: $(cat "$work/ssh.log")"
    : >"$work/requests"
}

try_sshd() {
    free_port && ssh_port=$port
    cat >"$work/sshd.conf" <<CONF
Port $ssh_port
ListenAddress 127.0.0.1
HostKey $work/host_key
PidFile none
AuthorizedKeysFile $work/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AcceptEnv GIT_PROTOCOL
ForceCommand $work/command
CONF
    /usr/sbin/sshd -D -e -f "$work/sshd.conf" 2>"$work/sshd.log" &
    wait_for_port "$ssh_port" || return 1
    sleep 0.05
    kill -0 $! 2>/dev/null || return 1 # somebody else's port
    pids+=($!)
}
