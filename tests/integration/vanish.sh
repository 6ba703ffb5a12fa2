#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What goes away while it is being applied does not hold up whoever asks for a sync.
. "$(dirname "$0")/daemon.sh"

repo hosts
for d in 1 2 3 4 5 6 7 8 9 10; do
    mkdir "$work/hosts/d$d"
    for f in 1 2 3 4 5 6 7 8 9; do
        for g in 1 2 3 4 5 6 7 8 9; do echo "file $f$g of $d" >"$work/hosts/d$d/f$f$g"; done
    done
done
publish hosts first
edge_manifest 'drift: correct'

rule 'a sync that is asked for while a pass applies does not wait for the health of what is gone'
for round in 1 2 3 4; do
    rm -rf "$host" "$work/state"
    mkdir "$host"
    start
    # The directories are there: the files come now, or the pass just looks at them.
    await 100 test -d "$host/d9"
    mkdir "$work/aside$round"
    mv "$host"/* "$work/aside$round"
    sync edge
    expect "$(find "$host" -type f | wc -l)" = 810
    expect "$(field edge sync)" = Synced
    stop
done
