#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Git over https against a real git http-backend behind lighttpd: every way it works, and every way it fails with one
# clear message and recovers by itself.
. "$(dirname "$0")/git-server.sh"

start_https
base=https://localhost:$https_port
mirror=$work/mirror
trust=ca@$work/ca.pem
basic=(username=kilter password=s3cret)

make_repository app
commit app a/f one
first=$id
head -c 40000 /dev/urandom | base64 >"$work/app/large"
commit app a/g two

# --- clone, poll, push ---------------------------------------------------------------------
fetched "clone" "$base/git/app.git" branch main "$mirror" "$trust"
has "commit=$id"
has "ref=refs/heads/main"
has "fetched=1"
has "all=1"
has "author=Ana"
has "subject=a/g: two"
git -C "$mirror" fsck --full >/dev/null 2>&1 || fail "the mirror is not whole"

: >"$work/requests"
fetched "poll, nothing moved" "$base/git/app.git" branch main "$mirror" "$trust" "known=$id"
has "moved=0"
has "fetched=0"
[ "$(wc -l <"$work/requests")" -eq 2 ] || fail "a poll took other than two requests: $(cat "$work/requests")"
[ "$(grep -c 'protocol=version=2' "$work/requests")" -eq 2 ] || fail "a poll does not speak version 2"

before=$id
commit app a/f three
fetched "push is followed" "$base/git/app.git" branch main "$mirror" "$trust" "known=$before"
has "commit=$id"
has "moved=1"
has "forced=0"
has "all=0"
has "change file file a/f"
[ "$(grep -c '^change\|^list' <<<"$out")" -eq 1 ] || fail "the list of changes is not exact: $out"

before=$id
git -C "$work/app" reset -q --hard "$first"
echo other >"$work/app/b"
git -C "$work/app" add b
git -C "$work/app" commit -qm other
git -C "$work/app" push -qf origin HEAD
id=$(git -C "$work/app" rev-parse HEAD)
fetched "force-push is followed" "$base/git/app.git" branch main "$mirror" "$trust" "known=$before"
has "commit=$id"
has "forced=1"

# --- refs ------------------------------------------------------------------------------------
git -C "$work/app" tag -a v1.4.0 -m release "$first"
git -C "$work/app" tag v1.5.0-rc.1 "$id"
git -C "$work/app" tag nonsense "$id"
git -C "$work/app" push -q origin --tags
fetched "annotated tag" "$base/git/app.git" tag v1.4.0 "$mirror" "$trust"
has "commit=$first"
fetched "semver range" "$base/git/app.git" semver ">=1.0.0 <2.0.0" "$mirror" "$trust"
has "ref=refs/tags/v1.4.0"
fetched "semver with a prerelease" "$base/git/app.git" semver ">=1.5.0-0" "$mirror" "$trust"
has "ref=refs/tags/v1.5.0-rc.1"
fetched "full name" "$base/git/app.git" name HEAD "$mirror" "$trust"
has "commit=$id"
git -C "$work/app" tag -f -a v1.4.0 -m moved "$id" >/dev/null 2>&1
git -C "$work/app" push -qf origin --tags
fetched "moved tag is followed" "$base/git/app.git" tag v1.4.0 "$mirror" "$trust" "known=$first"
has "commit=$id"
has "moved=1"
fetched "commit in history, into an empty mirror" "$base/git/app.git" commit "$first" "$work/mirror-commit" "$trust"
has "commit=$first"
has "ref="
git -C "$work/app" push -q origin HEAD:refs/heads/feature
fetched "branch" "$base/git/app.git" branch feature "$mirror" "$trust"
git -C "$work/app" push -q origin :refs/heads/feature
refused "deleted branch" 'has no branch "feature"; there is 1, such as "main"' \
    "$base/git/app.git" branch feature "$mirror" "$trust"
refused "misspelt branch" 'did you mean "main"' "$base/git/app.git" branch mian "$mirror" "$trust"
refused "no version in the range" 'is within ">=3"; the highest is v1.5.0-rc.1' \
    "$base/git/app.git" semver ">=3" "$mirror" "$trust"
refused "broken range" 'semver range ">=": expected a version' "$base/git/app.git" semver ">=" "$mirror" "$trust"
refused "commit that is nowhere" 'has no commit 0123' \
    "$base/git/app.git" commit 0123456789012345678901234567890123456789 "$work/mirror-none" "$trust"
git init -q --bare "$work/srv/empty.git"
refused "empty repository" 'is empty: no commit was pushed' "$base/git/empty.git" branch main "$work/mirror-empty" "$trust"
commit app a/h four
fetched "and it recovers" "$base/git/app.git" branch main "$mirror" "$trust"
has "commit=$id"
fetched "a server that knows protocol version 0 only" "$base/old/app.git" branch main "$work/mirror-old" "$trust"
has "commit=$id"
fetched "tag of a version 0 server" "$base/old/app.git" tag v1.4.0 "$work/mirror-old" "$trust"

# --- credentials --------------------------------------------------------------------------------
refused "no credentials" 'not permitted.*asks for credentials' "$base/private/app.git" branch main "$work/m1" "$trust"
refused "wrong password" 'refuses user name "kilter" with its password' \
    "$base/private/app.git" branch main "$work/m1" "$trust" username=kilter password=s3cret-but-wrong
fetched "basic credentials" "$base/private/app.git" branch main "$work/m1" "$trust" "${basic[@]}"
refused "wrong token" 'refuses the token' "$base/bearer/app.git" branch main "$work/m1" "$trust" token=s3cret-not
fetched "token" "$base/bearer/app.git" branch main "$work/m2" "$trust" token=s3cret-token
printf 's3cret\n' >"$work/password"
fetched "password from a file with a newline" "$base/private/app.git" branch main "$work/m3" "$trust" username=kilter \
    "password@$work/password"
refused "credentials in the URL" 'put them under credentials' \
    "https://kilter:s3cret@localhost:$https_port/private/app.git" branch main "$work/m4" "$trust"
refused "client certificate missing" 'not permitted.*asks for a client certificate' \
    "https://localhost:$client_port/git/app.git" branch main "$work/m5" "$trust"
fetched "client certificate" "https://localhost:$client_port/git/app.git" branch main "$work/m5" "$trust" \
    "certificate@$work/client.crt" "key@$work/client.key"

# --- redirects -------------------------------------------------------------------------------------
fetched "redirect on the same host carries credentials" "$base/moved/app.git" branch main "$work/m6" "$trust" \
    "${basic[@]}"
: >"$work/requests"
refused "redirect to another host carries none" 'redirects to 127.0.0.1:[0-9]+, which asks for credentials' \
    "$base/away/app.git" branch main "$work/m7" "$trust" "${basic[@]}"
fetched "redirect to another host that needs none" "$base/awaygit/app.git" branch main "$work/m7" "$trust" \
    "${basic[@]}"
grep -q '^GET awaygit/.*authorization=Basic' "$work/requests" || fail "the first host got no credentials"
if grep '^[A-Z]* git/' "$work/requests" | grep -q 'authorization=.'; then
    fail "credentials went to another host: $(cat "$work/requests")"
fi
refused "redirect away from https" 'away from https' "$base/down/app.git" branch main "$work/m7" "$trust"
refused "redirects in a circle" 'redirects more than 3 times' "$base/circle/app.git" branch main "$work/m7" "$trust"

# --- certificates ------------------------------------------------------------------------------------
refused "expired certificate" 'certificate has expired' \
    "https://localhost:$expired_port/git/app.git" branch main "$work/m8" "$trust"
refused "unknown authority" 'signed by an authority that is not trusted; .* give its certificate as ca' \
    "https://localhost:$stranger_port/git/app.git" branch main "$work/m8" "$trust"
refused "unknown authority, none given" 'not trusted|no list of authorities' "$base/git/app.git" branch main "$work/m8"
refused "ca that is no certificate" 'ca' "$base/git/app.git" branch main "$work/m8" ca=nonsense

# --- broken networks and servers ----------------------------------------------------------------------
refused "no repository" 'there is no repository' "$base/git/none.git" branch main "$work/m8" "$trust"
refused "no Git at all" 'is this the URL of a' "$base/page/app.git" branch main "$work/m8" "$trust"
refused "server fails" 'HTTP 500' "$base/broken/app.git" branch main "$work/m8" "$trust"
free_port
refused "nobody listens" 'cannot connect' "https://localhost:$port/git/app.git" branch main "$work/m8" "$trust"
refused "unknown host" 'does not resolve' "https://nowhere.invalid/app.git" branch main "$work/m8" "$trust"

free_port
socat -u "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" OPEN:/dev/null 2>/dev/null &
pids+=($!)
wait_for_port "$port"
refused "stalled server, TLS" 'cannot connect in time|said nothing' \
    "https://localhost:$port/git/app.git" branch main "$work/m8" "$trust" stall=1000
refused "stalled server, plain" 'said nothing for 1s' \
    "http://localhost:$port/git/app.git" branch main "$work/m8" stall=1000

head -c 60000 /dev/urandom | base64 >"$work/app/large"
commit app a/g five
refused "pack that ends early" 'is not whole .*nothing of it is used|broke off' \
    "$base/cut/app.git" branch main "$work/m9" "$trust"
fetched "and the next try recovers" "$base/git/app.git" branch main "$work/m9" "$trust"
git -C "$work/m9" fsck --full >/dev/null 2>&1 || fail "the mirror is not whole after a cut pack"
[ "$(find "$work/m9/objects" -name 'pack_*' | wc -l)" -eq 0 ] || fail "a temporary pack was left"

free_port
socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "SYSTEM:socat - TCP\:127.0.0.1\:$https_port | stdbuf -o0 head -c 20000" \
    2>/dev/null &
pids+=($!)
wait_for_port "$port"
refused "connection cut in the pack" 'broke off|not whole|SSL|unexpected' \
    "https://localhost:$port/git/app.git" branch main "$work/m10" "$trust"
fetched "and the next try recovers" "$base/git/app.git" branch main "$work/m10" "$trust"
refused "more than the limit" 'sends more than 5000 bytes' "$base/git/app.git" branch main "$work/m11" "$trust" max=5000

# --- a long negotiation ---------------------------------------------------------------------------------
# Much history that the server does not have, so that finding common ground takes many rounds.
diverge app lost
fetched "400 commits" "$base/git/app.git" branch lost "$work/m20" "$trust"
lost=$(value commit)
undiverge app lost
fetched "a negotiation of many rounds" "$base/git/app.git" branch main "$work/m20" "$trust" "known=$lost"
has "commit=$id"
has "forced=1"

# --- a proxy -----------------------------------------------------------------------------------------------
cat >"$work/proxy" <<PROXY
#!/bin/bash
while IFS= read -r line && [ "\${line%\$'\r'}" != "" ]; do echo "\$line" >>$work/proxied; done
printf 'HTTP/1.1 200 Connected\r\n\r\n'
exec socat - TCP:127.0.0.1:$https_port
PROXY
chmod +x "$work/proxy"
free_port
socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "EXEC:$work/proxy" 2>/dev/null &
pids+=($!)
wait_for_port "$port"
fetched "through a proxy" "$base/git/app.git" branch main "$work/m12" "$trust" "proxy=http://127.0.0.1:$port"
grep -q "^CONNECT localhost:$https_port" "$work/proxied" || fail "the proxy was not used"

# --- URLs ---------------------------------------------------------------------------------------------------
refused "plain http to another machine" 'use https' "http://git.example.com/app.git" branch main "$work/m13"
refused "git://" 'use https:// or ssh://' "git://localhost/app.git" branch main "$work/m13"

finished
