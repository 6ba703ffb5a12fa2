#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One thing takes another one's place: files, links and directories of the same path, in one commit.
. "$(dirname "$0")/daemon.sh"

repo hosts
put hosts etc/motd one
put hosts etc/conf two
publish hosts first
edge_manifest 'prune: true'
start
sync edge
paths() { kilter state list edge --output json | python3 -c '
import json, sys
print(*sorted(record["id"] for record in json.load(sys.stdin)["items"]))'; }

rule 'a file becomes a link, which has its claim then'
rm "$work/hosts/etc/motd"
ln -s conf "$work/hosts/etc/motd"
publish hosts 'motd is a link'
sync edge
expect "$(readlink "$host/etc/motd")" = conf
expect "$(paths)" = 'Directory/etc File/etc/conf Symlink/etc/motd'

rule 'and a file again'
rm "$work/hosts/etc/motd"
put hosts etc/motd three
publish hosts 'motd is a file'
sync edge
expect ! -L "$host/etc/motd"
expect "$(cat "$host/etc/motd")" = three
expect "$(paths)" = 'Directory/etc File/etc/conf File/etc/motd'

rule 'a file becomes directories within each other'
rm "$work/hosts/etc/conf"
put hosts etc/conf/d/e/in four
publish hosts 'conf is a directory'
sync edge
expect "$(cat "$host/etc/conf/d/e/in")" = four
expect "$(paths)" = 'Directory/etc Directory/etc/conf Directory/etc/conf/d Directory/etc/conf/d/e File/etc/conf/d/e/in File/etc/motd'

rule 'without prune as well: nothing is deleted, one thing replaces another'
edge_manifest
kilter reload
settled edge
rm "$work/hosts/etc/motd"
ln -s elsewhere "$work/hosts/etc/motd"
publish hosts 'motd is a link once more'
sync edge
expect "$(readlink "$host/etc/motd")" = elsewhere
expect "$(field edge sync)" = Synced
