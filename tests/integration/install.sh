#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The installed package: moved to another place, with plugins that were built against it out of the tree, by CMake
# and by make, loaded by an installed daemon. What the two example plugins promise is shown on the way.
. "$(dirname "$0")/daemon.sh"
: "${KILTER_SOURCE_DIR:?run this through ctest or tests/run}"

grep -q '^KILTER_SANITIZE:[A-Z]*=.' "$KILTER_BUILD_DIR/CMakeCache.txt" &&
    skip 'a build with sanitizers cannot load plugins that were built without them'
prefix=$work/opt/kilter
unset LD_LIBRARY_PATH KILTER_PLUGIN_PATH KILTER_WORKER CPATH LIBRARY_PATH

rule 'cmake --install puts everything below one prefix, which can be moved afterwards'
cmake --install "$KILTER_BUILD_DIR" --prefix "$work/staged" >"$work/install.log" || fail "$(cat "$work/install.log")"
unit=$work/staged/lib/systemd/system/kilterd.service
expect_has "$(cat "$unit")" "ExecStart=$work/staged/bin/kilterd --manifest /etc/kilter/kilter.yaml"
if command -v systemd-analyze >/dev/null; then
    # It warns with exit status 0; a good unit says nothing at all.
    expect -z "$(systemd-analyze verify --man=no "$unit" 2>&1)"
else
    echo '  skipped: systemd-analyze verify, which is not installed'
fi
mkdir "$work/opt"
mv "$work/staged" "$prefix"
PATH=$prefix/bin:$PATH
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name kilter.pc)")
export PKG_CONFIG_PATH
expect "$(command -v kilterd)" = "$prefix/bin/kilterd"
expect_has "$(kilter version)" kilter
for name in files yaml file; do
    expect_has "$(kilter plugin list)" "$name"
done
expect_has "$(kilter validate "$(find "$prefix/share/doc" -name kilter.yaml)")" '1 app'
for page in man1/kilter.1 man5/kilter.yaml.5 man8/kilterd.8; do
    expect -f "$prefix/share/man/$page"
done

rule 'each installed header compiles alone, as C11 and as C++17'
include=$(pkg-config --variable=includedir kilter)
for header in "$include"/kilter/*.h; do
    echo "#include <kilter/$(basename "$header")>" >"$work/alone.c"
    cp "$work/alone.c" "$work/alone.cc"
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$include" "$work/alone.c"
    c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$include" "$work/alone.cc"
done

rule 'a plugin is built against the package by CMake'
for example in renderer target; do
    cp -r "$KILTER_SOURCE_DIR/examples/plugin-$example" "$work/$example"
    { cmake -S "$work/$example" -B "$work/$example/build" -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_C_FLAGS=-Werror && cmake --build "$work/$example/build"; } >"$work/build.log" 2>&1 ||
        fail "$(cat "$work/build.log")"
done
expect -f "$work/renderer/build/hosts.so"
expect -f "$work/target/build/settings.so"

rule '... and by make and pkg-config, and installed where kilter looks'
for example in renderer target; do
    { make -C "$work/$example" CFLAGS='-O2 -Werror' && make -C "$work/$example" install; } >"$work/build.log" 2>&1 ||
        fail "$(cat "$work/build.log")"
done
described=$(kilter plugin describe settings)
expect_has "$described" 'The file that holds the settings'
expect_has "$(kilter plugin list)" 'hosts  '

rule 'a plugin shows one symbol and nothing else'
for plugin in renderer/hosts.so renderer/build/hosts.so target/settings.so target/build/settings.so; do
    expect "$(nm -D --defined-only "$work/$plugin" | awk '{ print $3 }')" = kilter_plugin_v1
done

rule 'kilter render runs an installed renderer; every problem of its input is said, with its place'
mkdir "$work/tables"
printf '10.0.0.300, gate\n10.0.0.2\n10.0.0.3, shop, shop\n' >"$work/tables/net.csv"
expect_status 2 kilter render --renderer hosts "$work/tables"
expect_has "$output" 'net.csv:1:1: error: "10.0.0.300" is no address'
expect_has "$output" 'net.csv:2:1: error: "10.0.0.2" has no name'
expect_has "$output" 'net.csv:3:17: error: "shop" is there twice'
printf '10.0.0.3, shop, www\n' >"$work/tables/net.csv"
expect_has "$(kilter render --renderer hosts --option domain=example.org "$work/tables" | tr '\n' ' ')" shop.example.org

# --- an installed daemon, which loads the plugins that CMake built, by file -------------------------------------
setting() { # setting NAME KEY VALUE
    put net "sysctl/$1.yaml" "apiVersion: settings.example.org/v1
kind: Setting
metadata: {name: $1}
spec: {key: $2, value: \"$3\"}"
}

net_manifest() { # net_manifest PLUGINS [POLICY] [MORE APPS]
    manifest <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [yaml, file, $1]
sources:
  net: {url: file://$work/net.git, ref: {branch: main}, interval: 10m}
targets:
  host: {plugin: file, options: {root: $host}, allow: {paths: [/etc]}}
  sysctl: {plugin: settings, options: {root: $host, file: /etc/sysctl.conf, spaced: true}, allow: {keys: ["vm.*", "net.*"]}}
policies:
  default: {retry: {first: 1s, max: 2s}${2:+, $2}}
apps:
  names: {source: net, path: tables, renderer: {name: hosts, domain: example.org}, target: host}
  kernel: {source: net, path: sysctl, renderer: yaml, target: sysctl}
${3:-}
END
}
by_file="{file: $work/renderer/build/hosts.so}, {file: $work/target/build/settings.so}"

repo net
put net tables/net.csv '10.0.0.3, shop, www'
setting swappiness vm.swappiness 10
setting forwarding net.ipv4.ip_forward 1
publish net 'Names and settings'
mkdir "$host/etc"
printf '# by hand\nkernel.sysrq = 1\nnet.ipv4.ip_forward=1\n' >"$host/etc/sysctl.conf"

rule 'a commit is rendered and applied by the plugins; what others wrote into the file stays'
net_manifest "$by_file"
start
await 100 test -f "$host/etc/hosts"
settled names
settled kernel
expect_has "$(cat "$host/etc/hosts")" '10.0.0.3	shop.example.org shop www.example.org www'
expect "$(cat "$host/etc/sysctl.conf")" = '# by hand
kernel.sysrq = 1
net.ipv4.ip_forward=1
vm.swappiness = 10'
expect "$(field kernel sync)" = Synced
expect "$(field kernel health)" = Healthy
expect_has "$(cat "$work/kilterd.log")" "kilterd "
expect "$(readlink "/proc/$daemon/exe")" = "$prefix/bin/kilterd"

rule 'one that was there as wanted was adopted, and drift of it is seen'
sed -i 's/^net.ipv4.ip_forward=1/net.ipv4.ip_forward=0/' "$host/etc/sysctl.conf"
expect_status 1 kilter diff kernel
expect_has "$output" 'Setting.settings.example.org/forwarding'
expect "$(field kernel sync)" = OutOfSync
expect_has "$(kilter status kernel)" drifted

rule '... and put back when the policy says so'
net_manifest "$by_file" 'drift: correct'
kilter reload
await 100 grep -q '^net.ipv4.ip_forward = 1$' "$host/etc/sysctl.conf"
settled kernel
expect "$(field kernel sync)" = Synced

rule 'a new commit changes the lines that it is about'
setting swappiness vm.swappiness 20
publish net 'More swapping'
sync kernel
expect "$(sed -n 4p "$host/etc/sysctl.conf")" = 'vm.swappiness = 20'

rule 'what left Git is only counted while prune is off, and goes when it is on; nothing else does'
git -C "$work/net" rm -q sysctl/swappiness.yaml
publish net 'No more swapping'
sync kernel || true
expect_has "$(cat "$host/etc/sysctl.conf")" 'vm.swappiness = 20'
expect "$(field kernel resources.prunable)" = 1
net_manifest "$by_file" 'prune: true'
kilter reload
await 100 sh -c "! grep -q swappiness '$host/etc/sysctl.conf'"
expect "$(cat "$host/etc/sysctl.conf")" = '# by hand
kernel.sysrq = 1
net.ipv4.ip_forward = 1'

rule 'one that is there and differs is left alone, and so is a key that allow does not name'
echo 'vm.overcommit_memory = 2' >>"$host/etc/sysctl.conf"
setting overcommit vm.overcommit_memory 1
setting sysrq kernel.sysrq 0
publish net 'Two that cannot be'
expect_status 1 sync kernel
expect "$(field kernel reason)" = OwnershipConflict
expect_has "$(kilter plan kernel || true)" 'allow.keys'
expect_has "$(cat "$host/etc/sysctl.conf")" 'vm.overcommit_memory = 2'
expect_has "$(cat "$host/etc/sysctl.conf")" 'kernel.sysrq = 1'
git -C "$work/net" rm -q sysctl/overcommit.yaml sysctl/sysrq.yaml
publish net 'Without them'
sync kernel

rule 'two apps that want the same key: the second is refused, and both are named'
put net other/forwarding.yaml "apiVersion: settings.example.org/v1
kind: Setting
metadata: {name: mine}
spec: {key: net.ipv4.ip_forward, value: \"0\"}"
publish net 'A rival'
net_manifest "$by_file" 'prune: true' '  rival: {source: net, path: other, renderer: yaml, target: sysctl}'
sync kernel
kilter reload
settled rival
expect "$(field rival reason)" = OwnershipConflict
expect_has "$(kilter status rival || true)" kernel
expect_has "$(cat "$host/etc/sysctl.conf")" 'net.ipv4.ip_forward = 1'

rule 'an app that left the manifest while the daemon was down is forgotten at the start'
net_manifest 'hosts, settings' 'prune: true'
stop
start
await 100 sh -c '! kilter status rival >/dev/null'
expect_has "$(cat "$host/etc/sysctl.conf")" 'net.ipv4.ip_forward = 1'

rule 'the plugins that make built do the same, found by name'
setting swappiness vm.swappiness 30
put net tables/net.csv '10.0.0.4, shop'
publish net 'Another address'
sync names kernel
expect_has "$(cat "$host/etc/hosts")" '10.0.0.4	shop.example.org shop'
expect_has "$(cat "$host/etc/sysctl.conf")" 'vm.swappiness = 30'

rule 'delete takes away what the app owns, and nothing else'
kilter delete --yes kernel
expect "$(cat "$host/etc/sysctl.conf")" = '# by hand
kernel.sysrq = 1
vm.overcommit_memory = 2'
