#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Policies and their defaults, a hotfix that meets a commit, approving, rolling back: a test for each sentence.
. "$(dirname "$0")/daemon.sh"

repo hosts
put hosts etc/motd one
put hosts etc/other same
publish hosts first

rule 'sync auto: a commit is applied without a question'
edge_manifest
start
await 100 test -f "$host/etc/motd"
expect "$(cat "$host/etc/motd")" = one
settled edge
expect "$(field edge sync)" = Synced
expect "$(field edge health)" = Healthy

rule 'drift report: shows what moved and leaves it alone'
echo hotfix >"$host/etc/motd"
expect_status 1 kilter diff edge
expect_has "$output" hotfix
expect "$(field edge sync)" = OutOfSync
expect "$(field edge resources.drifted)" = 1
expect_has "$(kilter events --app edge 2>/dev/null || kilter events edge)" drifted

rule 'a new commit leaves alone what drifted and what it does not touch'
put hosts etc/other changed
publish hosts second
sync edge || true
expect "$(cat "$host/etc/other")" = changed
expect "$(cat "$host/etc/motd")" = hotfix

rule 'if it changes a drifted resource, the app waits, and the plan says what it undoes'
put hosts etc/motd two
publish hosts third
expect_status 1 sync edge
expect "$(field edge phase)" = Waiting
expect "$(field edge reason)" = DriftConflict
expect_has "$(kilter plan edge --cached || true)" 'undoes a manual change seen'
expect "$(cat "$host/etc/motd")" = hotfix

rule 'a person approves, and it goes'
kilter approve edge
expect "$(cat "$host/etc/motd")" = two
expect "$(field edge sync)" = Synced

rule '... or Git catches up'
echo three >"$host/etc/motd"
put hosts etc/motd three
publish hosts fourth
sync edge
expect "$(cat "$host/etc/motd")" = three
expect "$(field edge sync)" = Synced

rule "a person's sync leaves a manual change alone, and --correct undoes it"
echo by-hand >"$host/etc/motd"
expect_status 1 sync edge
expect "$(cat "$host/etc/motd")" = by-hand
sync edge --correct
expect "$(cat "$host/etc/motd")" = three

rule 'drift correct: puts it back'
edge_manifest 'drift: correct, driftInterval: 10s'
kilter reload
settled edge
echo hotfix >"$host/etc/motd"
rm "$host/etc/other"
sync edge
expect "$(cat "$host/etc/motd")" = three
expect "$(cat "$host/etc/other")" = changed

rule 'drift correct overwrites when a commit meets a manual change'
echo hotfix >"$host/etc/motd"
put hosts etc/motd four
publish hosts fifth
sync edge
expect "$(cat "$host/etc/motd")" = four

rule 'drift ignore: counts it'
edge_manifest 'drift: ignore'
kilter reload
settled edge
echo hotfix >"$host/etc/motd"
kilter diff edge >/dev/null || true
expect "$(field edge resources.drifted)" = 1
sync edge || true
expect "$(cat "$host/etc/motd")" = hotfix
echo four >"$host/etc/motd"

rule 'sync manual: a new commit makes a plan that waits for approve or sync'
edge_manifest 'sync: manual'
kilter reload
settled edge
put hosts etc/motd five
publish hosts sixth
kilter plan edge >/dev/null || true
expect "$(cat "$host/etc/motd")" = four
sync edge
expect "$(cat "$host/etc/motd")" = five

rule 'an approval is bound to the digest of the plan, and void when the live state moves'
put hosts etc/motd six
publish hosts seventh
expect_status 2 kilter plan edge --out "$work/plan.json"
echo 'somebody else' >"$host/etc/motd"
expect_status 1 kilter apply "$work/plan.json"
expect "$(cat "$host/etc/motd")" = 'somebody else'
echo five >"$host/etc/motd"

rule '... and void when the commit moves'
expect_status 2 kilter plan edge --out "$work/plan.json"
put hosts etc/motd seven
publish hosts eighth
kilter plan edge >/dev/null || true
expect_status 2 kilter apply "$work/plan.json"
expect_has "$output" "Git is at another commit"
expect "$(cat "$host/etc/motd")" = five

rule 'a saved plan that still fits is applied'
expect_status 2 kilter plan edge --out "$work/plan.json"
kilter apply "$work/plan.json"
expect "$(cat "$host/etc/motd")" = seven

rule 'rollback pins the app; newer commits are pending until resume; it needs no network'
edge_manifest
kilter reload
settled edge
good=$(field edge commit.id)
put hosts etc/motd eight
publish hosts ninth
sync edge
mv "$work/hosts.git" "$work/away.git"
kilter rollback edge
expect "$(cat "$host/etc/motd")" = seven
expect_has "$(field edge message)" "Pinned at $(echo "$good" | cut -c1-12) by uid"
expect "$(field edge reason)" = Pinned
mv "$work/away.git" "$work/hosts.git"
put hosts etc/motd nine
publish hosts tenth
sync edge || true
expect "$(cat "$host/etc/motd")" = seven
expect_has "$(kilter status edge)" pending
kilter resume edge || true
sync edge
expect "$(cat "$host/etc/motd")" = nine

rule 'suspend ends by itself and is in the log'
kilter suspend edge --for 2s --reason 'window'
put hosts etc/motd ten
publish hosts eleventh
expect_status 2 sync edge
expect "$(cat "$host/etc/motd")" = nine
expect_has "$(kilter events edge 2>/dev/null || kilter events --app edge)" 'suspended for 2s: window'
sleep 2.5
sync edge
expect "$(cat "$host/etc/motd")" = ten

rule 'the exit status of status, sync, plan and diff say what they found'
expect_status 0 kilter status edge
expect_status 0 kilter plan edge
expect_status 0 kilter diff edge
echo moved >"$host/etc/motd"
expect_status 2 kilter plan edge
expect_status 1 kilter diff edge
expect_status 1 kilter status edge
expect_status 2 kilter status nosuch
expect_has "$output" "nosuch"
