#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Git over ssh against a real sshd: host keys, user keys, hostile URLs, and connections that break.
. "$(dirname "$0")/git-server.sh"

start_sshd
mirror=$work/mirror
hosts=knownHosts@$work/known_hosts
key=identity@$work/key

make_repository app
commit app a/f one
head -c 60000 /dev/urandom | base64 >"$work/app/large"
commit app a/g two

fetched "clone with a key and known hosts" "$ssh_url/app.git" branch main "$mirror" "$hosts" "$key"
has "commit=$id"
has "fetched=1"
git -C "$mirror" fsck --full >/dev/null 2>&1 || fail "the mirror is not whole"
: >"$work/requests"
fetched "poll, nothing moved" "$ssh_url/app.git" branch main "$mirror" "$hosts" "$key" "known=$id"
has "moved=0"
has "fetched=0"
[ "$(wc -l <"$work/requests")" -eq 1 ] || fail "a poll took more than one connection"
grep -q '^protocol=version=2' "$work/requests" || fail "a poll does not speak version 2: $(cat "$work/requests")"
before=$id
commit app a/f three
fetched "push is followed" "$ssh_url/app.git" branch main "$mirror" "$hosts" "$key" "known=$before"
has "commit=$id"
has "change file file a/f"
git -C "$work/app" reset -q --hard HEAD~1
git -C "$work/app" commit -q --allow-empty -m other
git -C "$work/app" push -qf origin HEAD
before=$id
id=$(git -C "$work/app" rev-parse HEAD)
fetched "force-push is followed" "$ssh_url/app.git" branch main "$mirror" "$hosts" "$key" "known=$before"
has "commit=$id"
has "forced=1"
git -C "$work/app" tag -a v1.0.0 -m x
git -C "$work/app" push -q origin v1.0.0
fetched "semver over ssh" "$ssh_url/app.git" semver '^1' "$mirror" "$hosts" "$key"
has "ref=refs/tags/v1.0.0"
has "commit=$id"

# A path with everything that a shell would act on stays one path.
cp -r "$work/srv/app.git" "$work/srv/it's \$(touch pwned) & \"odd\"!.git"
fetched "path that a shell would read" "ssh://$(id -un)@127.0.0.1:$ssh_port$work/srv/it's%20\$(touch%20pwned)%20&%20\"odd\"!.git" \
    branch main "$work/m1" "$hosts" "$key"
find / -xdev -maxdepth 2 -name pwned 2>/dev/null | grep -q . && fail "a path ran a command"
fetched "key with the line ends of another system and without the last one" "$ssh_url/app.git" branch main "$mirror" \
    "$hosts" "identity=$(sed 's/$/\r/' "$work/key")"

# Much history that the server does not have, so that finding common ground takes many rounds.
diverge app lost
fetched "400 commits" "$ssh_url/app.git" branch lost "$work/m20" "$hosts" "$key"
lost=$(value commit)
undiverge app lost
fetched "a negotiation of many rounds" "$ssh_url/app.git" branch main "$work/m20" "$hosts" "$key" "known=$lost"
has "commit=$id"
has "forced=1"

# --- refusals ---------------------------------------------------------------------------------
refused "unknown host key" 'host key of 127.0.0.1 is unknown; .*ssh-keyscan -p' \
    "$ssh_url/app.git" branch main "$work/m2" "knownHosts@$work/no_hosts" "$key"
refused "unknown host key, no list" 'host key of 127.0.0.1 is unknown' "$ssh_url/app.git" branch main "$work/m2" "$key"
refused "changed host key" 'is another one than knownHosts has' \
    "$ssh_url/app.git" branch main "$work/m2" "knownHosts@$work/changed_hosts" "$key"
refused "key that may not log in" 'refuses the ssh key' \
    "$ssh_url/app.git" branch main "$work/m2" "$hosts" "identity@$work/other-key"
refused "no key at all" 'refuses every ssh key of this user' "$ssh_url/app.git" branch main "$work/m2" "$hosts"
refused "key with a passphrase" 'refuses the ssh key|without a passphrase' \
    "$ssh_url/app.git" branch main "$work/m2" "$hosts" "identity@$work/locked-key"
refused "no key but something else" 'without a passphrase' \
    "$ssh_url/app.git" branch main "$work/m2" "$hosts" "identity=s3cret, but no key"
refused "no repository" 'there is no repository at' "$ssh_url/none.git" branch main "$work/m2" "$hosts" "$key"
refused "unknown host" 'does not resolve' "ssh://git@nowhere.invalid/app.git" branch main "$work/m2" "$hosts" "$key"
refused "no such branch" 'did you mean "main"' "$ssh_url/app.git" branch man "$work/m2" "$hosts" "$key"
[ ! -e "$work/m2" ] || fail "a refused fetch made a mirror"

# --- URLs that want to be something else --------------------------------------------------------
for url in "ssh://-oProxyCommand=touch%20$work/pwned/app.git" "-oProxyCommand=touch $work/pwned:app.git" \
    "ssh://-oProxyCommand=x@127.0.0.1/app.git" "git@-oProxyCommand=x:app.git" "git@host:-x" \
    "ssh://git@127.0.0.1/app%0a.git" $'ssh://git@127.0.0.1/a\npp.git' "ssh://git:s3cret@127.0.0.1/app.git" \
    'ssh://$(touch x)@127.0.0.1/app.git' 'ssh://127.0.0.1;x/app.git' "ext::sh -c touch% $work/pwned" \
    "ssh://127.0.0.1:0/app.git" "ssh://127.0.0.1:99999/app.git"; do
    refused "URL" '^invalid input: url ' "$url" branch main "$work/m2" "$hosts" "$key"
done
[ ! -e "$work/pwned" ] || fail "a URL ran a command"

# --- connections that break ------------------------------------------------------------------------
free_port
socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "SYSTEM:socat - TCP\:127.0.0.1\:$ssh_port | stdbuf -o0 head -c 20000" \
    2>/dev/null &
pids+=($!)
wait_for_port "$port"
sed "s/\]:$ssh_port/]:$port/" "$work/known_hosts" >"$work/cut_hosts"
refused "connection cut in the pack" 'broke off|not whole|ssh failed' \
    "ssh://$(id -un)@127.0.0.1:$port$work/srv/app.git" branch main "$work/m3" "knownHosts@$work/cut_hosts" "$key"
fetched "and the next try recovers" "$ssh_url/app.git" branch main "$work/m3" "$hosts" "$key"
git -C "$work/m3" fsck --full >/dev/null 2>&1 || fail "the mirror is not whole after a cut pack"

free_port
socat -u "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" OPEN:/dev/null 2>/dev/null &
pids+=($!)
wait_for_port "$port"
refused "stalled server" 'said nothing for|timed out' \
    "ssh://git@127.0.0.1:$port/app.git" branch main "$work/m4" "$hosts" "$key" stall=1000
free_port
refused "nobody listens" 'Connection refused' "ssh://git@127.0.0.1:$port/app.git" branch main "$work/m4" "$hosts" "$key"

# --- nothing is left -----------------------------------------------------------------------------------
# Killed in the middle: ssh goes with it, and no key stays anywhere.
free_port
socat -u "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" OPEN:/dev/null 2>/dev/null &
pids+=($!)
wait_for_port "$port"
"$tool" fetch "ssh://git@127.0.0.1:$port/app.git" branch main "$work/m5" "$hosts" "$key" 2>/dev/null &
victim=$!
for _ in $(seq 100); do
    child=$(ps -o pid=,comm= --ppid $victim | awk '$2 == "ssh" {print $1}')
    [ -n "$child" ] && break
    sleep 0.02
done
[ -n "$child" ] || fail "ssh was not seen to run"
kill -9 $victim
{ wait $victim; } 2>/dev/null
sleep 0.2
[[ $(ps -o stat= -p "$child") == [^Z]* ]] && fail "ssh outlives a killed fetch"
ls /run/kilter-* /dev/shm/kilter-* /tmp/kilter-* 2>/dev/null | grep -E 'identity|known-hosts' && fail "a key was left"
note "a killed fetch leaves nothing"

finished
