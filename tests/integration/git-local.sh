#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Mirrors on one machine: file:// sources, foreign configuration, upkeep, and kills at any instant.
. "$(dirname "$0")/git-server.sh"

make_repository app
commit app a/f one
first=$id
url=file://$work/srv/app.git
mirror=$work/mirror

fetched "clone" "$url" branch main "$mirror"
has "commit=$id"
fetched "absolute path" "$work/srv/app.git" branch main "$mirror" "known=$id"
has "moved=0"

# --- whose configuration and whose repository does not matter --------------------------------------
printf '[core]\n\trepositoryformatversion = 99\n[url "https://evil.example/"]\n\tinsteadOf = %s\n' "$url" >"$HOME/.gitconfig"
commit_id=$id
GIT_CONFIG_GLOBAL=/dev/null commit app a/f two
fetched "a foreign gitconfig in HOME is not read" "$url" branch main "$mirror" "known=$commit_id"
has "commit=$id"
rm "$HOME/.gitconfig"
if [ "$(id -u)" -eq 0 ]; then
    chown -R 65534 "$work/srv/app.git" "$mirror"
    fetched "another owner's repository" "$url" branch main "$mirror"
    chown -R 0 "$work/srv/app.git" "$mirror"
fi

# --- what is in the way -------------------------------------------------------------------------------
mkdir "$work/taken"
echo precious >"$work/taken/file"
refused "a directory that is no mirror is not touched" 'is no mirror of kilter' "$url" branch main "$work/taken"
[ -s "$work/taken/file" ] || fail "a foreign directory was changed"
rm "$mirror/HEAD"
fetched "a broken mirror is made anew" "$url" branch main "$mirror"
has "fetched=1"
: >"$(find "$mirror/objects" -name '*.pack' | head -n 1)"
fetched "a mirror whose pack was emptied is made whole" "$url" branch main "$mirror"
git -C "$mirror" cat-file -e "$id^{tree}" || fail "the commit is not whole"
refused "no repository" 'is no Git repository' "file://$work/none" branch main "$work/m1"
git -C "$work/app" tag of-a-tree "$id^{tree}"
git -C "$work/app" push -q origin of-a-tree
refused "tag that names no commit" 'names no commit' "$url" tag of-a-tree "$work/m1"
refused "relative path" 'is no repository' "srv/app.git" branch main "$work/m1"

# --- upkeep ----------------------------------------------------------------------------------------------
for i in $(seq 20); do
    commit app "a/$i" "text $i"
    fetched "push $i" "$url" branch main "$mirror" >/dev/null
done
packs() { find "$mirror/objects/pack" -name '*.pack' | wc -l; }
[ "$(packs)" -gt 15 ] || fail "expected many packs"
out=$("$tool" maintain "$mirror" "$id") || fail "maintain"
[ "$(packs)" -lt 8 ] || fail "packs were not joined: $(packs)"
git -C "$mirror" fsck --full >/dev/null 2>&1 || fail "joined packs are not whole"

# Rewritten history: what nobody pins goes, once the grace is over.
head -c 200000 /dev/urandom >"$work/app/big"
commit app b x
big=$id
fetched "a large commit" "$url" branch main "$mirror"
git -C "$work/app" reset -q --hard "$first"
commit app c y
git -C "$work/app" push -qf origin HEAD
id=$(git -C "$work/app" rev-parse HEAD)
fetched "history is rewritten" "$url" branch main "$mirror" "known=$big"
has "forced=1"
out=$("$tool" maintain "$mirror" "$id")
git -C "$mirror" cat-file -e "$big" || fail "a commit of the last hour was dropped"
find "$mirror/refs/kilter/keep" -type f -exec touch -d '2 hours ago' {} +
out=$("$tool" maintain "$mirror" "$id" "$big")
git -C "$mirror" cat-file -e "$big" || fail "a pinned commit was dropped"
out=$("$tool" maintain "$mirror" "$id")
git -C "$mirror" cat-file -e "$big" 2>/dev/null && fail "an unpinned commit stayed"
[ "$(value after)" -lt 100000 ] || fail "the mirror did not shrink: $out"
git -C "$mirror" cat-file -e "$id^{tree}" || fail "the wanted commit is gone"
git -C "$mirror" fsck --full >/dev/null 2>&1 || fail "the mirror is not whole after maintain"
fetched "fetching goes on" "$url" branch main "$mirror"

# --- several at once ------------------------------------------------------------------------------------------
for i in 1 2 3 4 5; do
    commit app "several/$i" "$i"
    for j in 1 2 3; do
        "$tool" fetch "$url" branch main "$mirror" >/dev/null 2>"$work/several-$j" || echo "$j" >>"$work/several-failed" &
    done
    "$tool" maintain "$mirror" "$id" >/dev/null 2>"$work/several-m" || echo m >>"$work/several-failed"
    wait
done
[ ! -e "$work/several-failed" ] || fail "of several at once some failed: $(cat "$work"/several-[123m])"
fetched "several fetches and upkeep at once" "$url" branch main "$mirror" "known=$id"
has "moved=0"

# --- kills -------------------------------------------------------------------------------------------------
for i in $(seq 30); do
    commit app "k/$i" "$(head -c 3000 /dev/urandom | base64)"
    "$tool" fetch "$url" branch main "$mirror" >/dev/null 2>&1 &
    victim=$!
    sleep "0.00$((RANDOM % 9))"
    kill -9 $victim 2>/dev/null
    wait $victim 2>/dev/null
    "$tool" maintain "$mirror" "$id" >/dev/null 2>&1 &
    victim=$!
    sleep "0.00$((RANDOM % 9))"
    kill -9 $victim 2>/dev/null
    wait $victim 2>/dev/null
done
fetched "after 60 kills it goes on" "$url" branch main "$mirror"
has "commit=$id"
git -C "$mirror" fsck --full >/dev/null 2>&1 || fail "the mirror is not whole after kills"
for i in $(seq 20); do
    "$tool" fetch "$url" branch main "$work/fresh" >/dev/null 2>&1 &
    victim=$!
    sleep "0.00$((RANDOM % 9))"
    kill -9 $victim 2>/dev/null
    wait $victim 2>/dev/null
    [ ! -e "$work/fresh" ] || [ -e "$work/fresh/kilter-mirror" ] || fail "a half mirror was seen"
    [ $((i % 5)) -ne 0 ] || rm -rf "$work/fresh"
done
fetched "a mirror that was killed while it was made" "$url" branch main "$work/fresh"
git -C "$work/fresh" fsck --full >/dev/null 2>&1 || fail "the fresh mirror is not whole"
[ "$(find "$work" -maxdepth 1 -name 'fresh.*' ! -name fresh.lock | wc -l)" -eq 0 ] || fail "siblings were left"

finished
