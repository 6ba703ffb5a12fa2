#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Ownership, adoption, renaming, target identity, dependsOn, environments: a test for each sentence.
. "$(dirname "$0")/daemon.sh"

repo hosts
put hosts a/etc/shared from-a
put hosts a/etc/only-a a
put hosts b/etc/shared from-b
put hosts b/etc/only-b b
publish hosts first

two_apps() { # two_apps POLICY
    manifest <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [files, file]
sources:
  hosts: {url: file://$work/hosts.git, ref: {branch: main}, interval: 10m}
targets:
  host: {plugin: file, options: {root: $host}, allow: {paths: [/]}}
  etc: {plugin: file, options: {root: $host/etc}, allow: {paths: [/]}}
policies:
  default: {retry: {first: 1s, max: 2s}${1:+, $1}}
apps:
  a: {source: hosts, path: a, renderer: files, target: host}
  b: {source: hosts, path: b/etc, renderer: files, target: etc}
END
}

rule 'one claim has one owner, across apps and targets: the second is refused and both are named'
mkdir "$host/etc"
two_apps
start
settled a
settled b
await 100 test -f "$host/etc/only-a"
await 100 test -f "$host/etc/only-b"
owner=$(cat "$host/etc/shared")
loser=a
[ "$owner" = from-a ] && loser=b
winner=b
[ "$loser" = b ] && winner=a
expect "$(field $loser reason)" = OwnershipConflict
expect_has "$(field $loser message)" "app '$winner' owns it"
expect "$(field $winner sync)" = Synced
expect_status 1 sync $loser

rule 'ownership is marked <installation>/<app> where the system has a place for it'
if getfattr -n user.kilter.owner --only-values "$host/etc/only-a" >"$work/mark" 2>/dev/null; then
    expect "$(cat "$work/mark")" = test/a
else
    echo '  (this filesystem keeps no user attributes)'
fi

rule 'when the owner lets go, the other may have it'
git -C "$work/hosts" rm -q "$winner/etc/shared"
publish hosts 'the winner gives it up'
sync $winner --prune
sync $loser
expect "$(cat "$host/etc/shared")" = "from-$loser"
stop

rule 'adopt if-equal: an unowned thing is taken when equal, and left alone when it differs'
rm -rf "$work/state" "$host"
mkdir -p "$host/etc"
echo one >"$host/etc/equal"
echo two >"$host/etc/differs"
rm -rf "$work/hosts/a" "$work/hosts/b"
put hosts etc/equal one
put hosts etc/differs 'not two'
publish hosts adopt
edge_manifest
start
await 100 kilter wait edge --until idle --timeout 1s
expect_status 1 kilter status edge
expect "$(cat "$host/etc/differs")" = two
expect "$(field edge reason)" = OwnershipConflict
expect_has "$(field edge message)" 'adopt: always would overwrite it'
expect_has "$(kilter state list edge)" equal

rule 'adopt always: overwrites'
edge_manifest 'adopt: always'
kilter reload
sync edge
expect "$(cat "$host/etc/differs")" = 'not two'

rule 'movedFrom carries ownership through a rename'
sed -i 's/^  edge: {/  proxy: {movedFrom: edge, /' "$work/kilter.yaml"
kilter reload
sync proxy
expect "$(field proxy sync)" = Synced
expect "$(kilter state list proxy | grep -c File)" = 2
expect_status 2 kilter status edge

rule "another installation's mark is respected"
stop
sed -i 's/metadata: {name: test}/metadata: {name: second}/' "$work/kilter.yaml"
start --state-dir "$work/state2"
await 100 kilter wait proxy --until idle --timeout 1s
if getfattr -n user.kilter.owner "$host/etc/equal" >/dev/null 2>&1; then
    expect "$(field proxy reason)" = OwnershipConflict
    expect_has "$(field proxy message)" 'it carries the mark of test/'
fi
stop
sed -i 's/metadata: {name: second}/metadata: {name: test}/' "$work/kilter.yaml"

rule 'a state directory of another installation is refused'
sed -i 's/metadata: {name: test}/metadata: {name: third}/' "$work/kilter.yaml"
expect_status 1 kilterd --manifest "$work/kilter.yaml" --state-dir "$work/state" --socket "$work/x.sock"
expect_has "$output" "belongs to installation 'test'"
sed -i 's/metadata: {name: third}/metadata: {name: test}/' "$work/kilter.yaml"

rule 'a target whose identity changed plans nothing until told'
start
settled proxy
sync proxy
mkdir "$work/elsewhere"
sed -i "s|root: $host|root: $work/elsewhere|" "$work/kilter.yaml"
kilter reload
expect_status 1 sync proxy
expect_has "$(field proxy message)" 'is another system now'
expect "$(ls -A "$work/elsewhere")" = ''
kilter accept proxy --yes
sync proxy
expect -f "$work/elsewhere/etc/equal"
stop

rule 'dependsOn: a new commit waits for what it depends on, from the same source at the same commit'
rm -rf "$work/state" "$host"
mkdir "$host"
rm -rf "$work/hosts/etc"
put hosts base/etc/base one
put hosts web/etc/web one
put hosts web/etc/stable same
publish hosts 'base and web'
depends() {
    manifest <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [files, yaml, file]
sources:
  hosts: {url: file://$work/hosts.git, ref: {branch: main}, interval: 10m}
targets:
  host: {plugin: file, options: {root: $host}, allow: {paths: [/]}}
policies:
  default: {retry: {first: 1s, max: 2s}, drift: correct}
  careful: {sync: manual}
apps:
  web: {source: hosts, path: web, renderer: files, target: host, dependsOn: [base]}
  base: {source: hosts, path: base, renderer: files, target: host${1:-}}
END
}
depends
start
await 100 test -f "$host/etc/web"
expect -f "$host/etc/base"
depends ', policy: careful'
kilter reload
settled base
put hosts base/etc/base two
put hosts web/etc/web two
publish hosts 'both change'
expect_status 1 sync web
expect "$(field web reason)" = DependencyNotReady
expect_has "$(field web message)" base
expect "$(cat "$host/etc/web")" = one

rule '... it never holds back the repair of drift'
rm "$host/etc/stable"
kilter sync web >/dev/null || true
expect "$(cat "$host/etc/stable")" = same
expect "$(cat "$host/etc/web")" = one
expect "$(field web reason)" = DependencyNotReady

rule '... and goes on by itself when the dependency is ready'
sync base
await 100 grep -q two "$host/etc/web"
stop

rule 'an app that lists environments exists once for each'
rm -rf "$work/state" "$host"
mkdir -p "$host/dev" "$host/prod"
rm -rf "$work/hosts/base" "$work/hosts/web"
put hosts app/dev/etc/name dev
put hosts app/prod/etc/name prod
publish hosts environments
manifest <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [files, file]
sources:
  hosts: {url: file://$work/hosts.git, ref: {branch: main}, interval: 10m}
environments: {dev: {}, prod: {policy: careful}}
targets:
  host: {plugin: file, options: {root: "$host/\${env}"}, allow: {paths: [/]}}
policies:
  careful: {sync: manual}
apps:
  app: {source: hosts, path: "app/\${env}", renderer: files, target: host, environments: [dev, prod]}
END
start
await 100 test -f "$host/dev/etc/name"
expect "$(cat "$host/dev/etc/name")" = dev
settled app@prod
expect ! -e "$host/prod/etc/name"
expect "$(field app@prod reason)" = ApprovalRequired
kilter approve app@prod
expect "$(cat "$host/prod/etc/name")" = prod
