#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Nothing is deleted by accident: a test for each sentence.
. "$(dirname "$0")/daemon.sh"

repo hosts
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do put hosts "etc/f$i" "$i"; done
publish hosts first
edge_manifest
start
await 100 test -f "$host/etc/f12"
settled edge

rule 'prune off: status counts what would go'
git -C "$work/hosts" rm -q etc/f1
publish hosts 'without f1'
sync edge || true
expect -f "$host/etc/f1"
expect "$(field edge resources.prunable)" = 1
expect "$(field edge sync)" = OutOfSync

rule 'prune this once, because a person says so'
sync edge --prune
expect ! -e "$host/etc/f1"

rule 'prune on: what Git no longer has goes'
edge_manifest 'prune: true'
kilter reload
settled edge
git -C "$work/hosts" rm -q etc/f2
publish hosts 'without f2'
sync edge
expect ! -e "$host/etc/f2"

rule 'only what the inventory owns is pruned'
echo mine >"$host/etc/mine"
sync edge
expect -f "$host/etc/mine"

rule 'over maxDeletes the plan waits, naming what would go'
edge_manifest 'prune: true, maxDeletes: 2'
kilter reload
settled edge
git -C "$work/hosts" rm -q etc/f3 etc/f4 etc/f5
put hosts etc/new new
publish hosts 'three less, one more'
expect_status 1 sync edge
expect "$(field edge reason)" = DeleteLimit
expect_has "$(field edge message)" '3 would be deleted, maxDeletes is 2: File/'
expect -f "$host/etc/f3"
expect ! -e "$host/etc/new"
kilter approve edge
expect ! -e "$host/etc/f3"
expect -f "$host/etc/new"

rule 'a rejected plan is not asked for again'
git -C "$work/hosts" rm -q etc/f6 etc/f7 etc/f8
publish hosts 'three less'
expect_status 1 sync edge
kilter reject edge --reason 'not today'
expect_status 1 sync edge
expect_has "$(field edge message)" 'was rejected'
expect -f "$host/etc/f6"
kilter approve edge || true

rule 'pruning a file that was changed by hand asks'
edge_manifest 'prune: true'
kilter reload
settled edge
sync edge || true
echo 'by hand' >"$host/etc/f9"
git -C "$work/hosts" rm -q etc/f9
publish hosts 'without f9'
expect_status 1 sync edge
expect "$(field edge reason)" = DriftConflict
expect -f "$host/etc/f9"
kilter approve edge
expect ! -e "$host/etc/f9"

rule 'what is pruned goes only after the apply of the same commit succeeded'
mkdir "$host/etc/locked"
chmod 555 "$host/etc/locked"
chattr +i "$host/etc/locked" 2>/dev/null || true # permissions alone do not stop root
put hosts etc/locked/new here
git -C "$work/hosts" rm -q etc/f11
publish hosts 'new comes and f11 goes'
if touch "$host/etc/locked/probe" 2>/dev/null; then
    echo '  skipped: nothing stops root here, where files cannot be made immutable'
    rm "$host/etc/locked/probe"
else
    expect_status 1 sync edge
    expect -f "$host/etc/f11"
    expect "$(field edge reason)" = ApplyFailed
    chattr -i "$host/etc/locked" 2>/dev/null || true
fi
chmod 755 "$host/etc/locked"
sync edge
expect ! -e "$host/etc/f11"
expect "$(cat "$host/etc/locked/new")" = here

rule 'an empty render never prunes unless the app says allowEmpty'
git -C "$work/hosts" rm -q -r etc
git -C "$work/hosts" commit -q --allow-empty -m 'everything gone'
put hosts README 'nothing here'
publish hosts 'only a README'
edge_manifest 'prune: true' 'exclude: dummy'
edge_manifest 'prune: true'
sed -i 's/renderer: files/renderer: {name: files, exclude: [README]}/' "$work/kilter.yaml"
kilter reload
settled edge
sync edge || true
expect -f "$host/etc/f12"
sed -i 's/target: host}/target: host, allowEmpty: true}/' "$work/kilter.yaml"
kilter reload
settled edge
sync edge
expect ! -e "$host/etc/f12"

rule 'a failed reload is never a removal'
put hosts etc/motd one
publish hosts 'back again'
edge_manifest 'prune: true, onRemove: delete'
kilter reload
settled edge
sync edge
expect -f "$host/etc/motd"
sed -i 's/^apps:/aps:/' "$work/kilter.yaml"
expect_status 2 kilter reload
expect_has "$output" 'did you mean "apps"'
expect -f "$host/etc/motd"
expect "$(field edge sync)" = Synced

rule 'removing an app follows onRemove: keep leaves live things and forgets them'
edge_manifest 'prune: true, onRemove: keep'
kilter reload
settled edge
cat >>"$work/kilter.yaml" <<END
  other: {source: hosts, path: sub, renderer: files, target: host}
END
put hosts sub/etc/other two
publish hosts 'another app'
sed -i 's/renderer: files, target: host}$/renderer: {name: files, exclude: [sub]}, target: host}/; /other:/s/{name: files, exclude: \[sub\]}/files/' "$work/kilter.yaml"
kilter reload
sync edge
sync other
expect -f "$host/etc/other"
sed -i '/^  edge:/d' "$work/kilter.yaml"
kilter reload
await 100 sh -c 'kilter status edge; [ $? = 2 ]' # it is not known any more
expect -f "$host/etc/motd"
expect "$(getfattr -n user.kilter.owner "$host/etc/motd" 2>/dev/null | grep -c test/edge)" = 0

rule 'removing an app follows onRemove: delete'
sed -i 's/onRemove: keep/onRemove: delete/' "$work/kilter.yaml"
cat >>"$work/kilter.yaml" <<END
  third: {source: hosts, path: third, renderer: files, target: host}
END
put hosts third/etc/third three
publish hosts 'a third app'
kilter reload
sync third
expect -f "$host/etc/third"
sed -i '/^  third:/d' "$work/kilter.yaml"
kilter reload
await 100 test ! -e "$host/etc/third"
expect -f "$host/etc/other"

rule 'forget stops owning and removes marks; delete plans and destroys'
kilter forget other --yes
expect -f "$host/etc/other"
expect "$(kilter state list other --output json | python3 -c 'import json,sys; v = json.load(sys.stdin); print(len(v.get("items", v) if isinstance(v, dict) else v))')" = 0
kilter resume other
sync other
expect "$(field other sync)" = Synced
kilter delete other --yes
expect ! -e "$host/etc/other"
