#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A crash loses nothing: daemon and workers are killed at random instants of real syncs, and after each one nothing
# half-written is visible, the inventory is there, and the next pass brings the host to what Git says.
#
#     KILTER_CRASH_ROUNDS   how many commits are synced and crashed (50)
#     KILTER_CRASH_SEED     the seed of everything random, as a failed run printed it
. "$(dirname "$0")/daemon.sh"
command -v python3 >/dev/null || skip 'python3 is not installed'

repo hosts
put hosts README 'nothing yet'
publish hosts 'first'
edge_manifest 'prune: true, maxDeletes: 10000'

rule 'a writer that was killed while it kept a commit in the mirror holds up nobody'
start
sync edge
stop
put hosts README 'something'
publish hosts 'second'
mirror=$(echo "$work/state/mirrors/"*.git)
git -C "$mirror" fetch -q "$work/hosts.git" main
: >"$mirror/refs/kilter/keep/$(commit_of hosts).lock"
start
sync edge
stop

rule 'kill any process at any instruction: the next pass converges'
python3 "$(dirname "$0")/crash.py" "$work" "${KILTER_CRASH_ROUNDS:-50}" "${KILTER_CRASH_SEED:-}"

# Of an empty directory whose making was never heard of nobody knows whose it is: it stays.
rule 'what is on the host is what Git holds, by diff'
find "$host" -mindepth 1 -type d -empty -delete
diff -r --no-dereference --exclude=.git "$work/hosts" "$host"
