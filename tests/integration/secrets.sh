#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Secrets: they reach the target and nothing else; and what pretends to be encrypted or verified is refused by name.
. "$(dirname "$0")/daemon.sh"

# Each one is looked for everywhere.
file_canary=canary-of-a-file-8d1f02
env_canary=canary-of-a-variable-77ac31
credential_canary=canary-of-a-credential-50be99
mkdir "$work/credentials"
printf '%s\n' "$file_canary" >"$work/token"
printf '%s' "$credential_canary" >"$work/credentials/db"
chmod 600 "$work/token" "$work/credentials/db"
export KILTER_TEST_SECRET=$env_canary CREDENTIALS_DIRECTORY=$work/credentials

repo hosts
document() { # document NAME CONTENT
    put hosts "$1.yaml" "apiVersion: file.kilter.dev/v1
kind: File
metadata: {name: $1}
spec: {path: /etc/$1, mode: \"0600\", content: \"$2\"}"
}
document db 'user=app password=${fromFile} key=${fromEnv} db=${fromCredential} color=${color} env=${zone:=west}'
publish hosts first
secret_manifest() {
    manifest <<END
apiVersion: kilter.dev/v1
kind: Manifest
metadata: {name: test}
plugins: [files, yaml, file]
sources:
  hosts: {url: file://$work/hosts.git, ref: {branch: main}, interval: 10m}
targets:
  host: {plugin: file, options: {root: $host}}
policies:
  default: {retry: {first: 1s, max: 2s}${1:+, $1}}
apps:
  edge:
    source: hosts
    path: .
    renderer: yaml
    target: host
    substitute: true
    inputs:
      fromFile: {file: $work/token}
      fromEnv: {env: KILTER_TEST_SECRET}
      fromCredential: {credential: db}
      color: {file: $work/color, secret: false}
END
}
echo blue >"$work/color"
secret_manifest
start --log-level debug

# Everything that kilter ever printed in this test goes here.
said=$work/said
tell() {
    "$@" >>"$said" 2>&1 || true
}

everywhere() { # what kilter says of the app, in all its forms
    for form in text json; do
        tell kilter plan edge --output $form
        tell kilter diff edge --output $form
        tell kilter why edge --output $form
        tell kilter events edge --output $form
        tell kilter history edge --output $form
        tell kilter state list edge --output $form
        tell kilter state show edge File/db --output $form
        tell kilter show edge --output $form
        tell kilter status edge --output $form
        tell kilter tree edge --output $form
    done
    tell kilter plan edge --cached --output yaml
    tell kilter plan edge --out "$work/plan.json"
}

no_canary() { # no_canary PLACE...: greps files and directories
    for canary in "$file_canary" "$env_canary" "$credential_canary" "${rotated_canary:-$file_canary}"; do
        for form in "$canary" "$(printf '%s' "$canary" | base64)"; do
            ! grep -r -a -l -F -e "$form" "$@" || fail "$form is in the place above"
        done
    done
}

rule 'inputs from a file, the environment and a systemd credential are put into documents'
sync edge
expect "$(cat "$host/etc/db")" = \
    "user=app password=$file_canary key=$env_canary db=$credential_canary color=blue env=west"

rule 'a plan that changes a secret masks it'
document db 'user=app2 password=${fromFile} key=${fromEnv} db=${fromCredential} color=${color}'
document plain 'color is ${color}'
secret_manifest 'sync: manual'
kilter reload
publish hosts second
everywhere
expect_has "$(cat "$said")" '(sensitive value)'
expect_has "$(kilter plan edge || true)" '(sensitive value)'
no_canary "$said" "$work/plan.json"

rule '... an input that is no secret is shown'
expect_has "$(kilter plan edge --output json || true)" 'color is blue'

rule '... a saved plan holds none, and is applied all the same'
kilter apply "$work/plan.json"
expect_has "$(cat "$host/etc/db")" "user=app2 password=$file_canary"

rule 'what drifted on the host is not shown either'
echo "password=$file_canary-and-more" >"$host/etc/db"
everywhere
no_canary "$said"
secret_manifest 'drift: correct'
kilter reload
sync edge
everywhere
expect_has "$(cat "$host/etc/db")" "password=$file_canary"

rule 'rotating a secret is noticed at the next pass, without a commit'
rotated_canary=canary-that-was-rotated-4411
printf '%s\n' "$rotated_canary" >"$work/token"
secret_manifest 'driftInterval: 300ms'
kilter reload
rotated() {
    grep -q "$rotated_canary" "$host/etc/db"
}
await 50 rotated
printf '%s\n' "$file_canary" >"$work/token"
back() {
    grep -q "password=$file_canary " "$host/etc/db"
}
await 50 back
everywhere

rule 'a secret is in no argument and no environment of a worker'
found=
for i in 1 2 3 4 5; do
    for pid in $(pgrep -P "$daemon" 2>/dev/null || true); do
        found=$pid
        for canary in "$file_canary" "$credential_canary" "$env_canary"; do
            ! tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -F "$canary" || fail "in the arguments of $pid"
            ! tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -F "$canary" || fail "in the environment of $pid"
        done
    done
    sleep 0.1
done
expect -n "$found"

rule '... nor in the log, the store, its write-ahead log or a mirror, while the daemon runs and after'
expect -s "$work/kilterd.log"
expect -s "$work/state/kilter.db"
no_canary "$said" "$work/kilterd.log" "$work/state"
stop
no_canary "$said" "$work/kilterd.log" "$work/state"
start --log-level debug

rule 'a message about a document that fails holds no secret'
document db 'password=${fromFile}" , mode: ["oops'
publish hosts third
tell sync edge
everywhere
put hosts db.yaml 'apiVersion: file.kilter.dev/v1
kind: File
metadata: {name: "x ${fromFile}"}
spec: {path: "relative/${fromFile}", mode: "${fromEnv}", content: x}'
publish hosts fourth
tell sync edge
everywhere
no_canary "$said" "$work/kilterd.log" "$work/state"

rule 'an unknown variable is an error with file and line'
document db 'a
  b ${fromFyle}'
publish hosts fifth
expect_status 1 sync edge
expect_has "$(field edge message)" 'db.yaml:4'
expect_has "$(field edge message)" 'unknown variable "fromFyle"'
expect_has "$(kilter show edge || true)" 'did you mean "fromFile"?'
expect "$(field edge reason)" = RenderFailed

rule 'a missing secret is an error that names the input and the place, and is tried again'
document db 'password=${fromFile}'
publish hosts sixth
mv "$work/token" "$work/token.away"
expect_status 1 sync edge
expect_has "$(field edge message)" fromFile
expect_has "$(field edge message)" "$work/token"
mv "$work/token.away" "$work/token"
await 100 sh -c "grep -q '^password=$file_canary' '$host/etc/db'"

rule 'documents and files that SOPS encrypted, and Git LFS pointers, are refused by name'
put hosts enc.yaml 'apiVersion: file.kilter.dev/v1
kind: File
metadata: {name: enc}
spec: {path: /etc/enc, content: "ENC[AES256_GCM,data:abc]"}
sops: {mac: "ENC[abc]", version: 3.7.3}'
publish hosts seventh
expect_status 1 sync edge
expect_has "$(field edge message)" 'enc.yaml'
expect_has "$(kilter show edge --output json || true)" 'yaml.sops'
expect ! -e "$host/etc/enc"
git -C "$work/hosts" rm -q enc.yaml
put hosts large.yaml 'version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 12345'
publish hosts eighth
expect_status 1 sync edge
expect_has "$(field edge message)" 'large.yaml'
expect_has "$(kilter show edge --output json || true)" 'yaml.lfs'

rule '... by the renderer of plain files, too'
git -C "$work/hosts" rm -q large.yaml
put hosts plain/etc/secret.env 'KEY=ENC[AES256_GCM,data:abc]
sops_mac=ENC[abc]'
publish hosts ninth
sed -i 's/path: \./path: plain/; s/renderer: yaml/renderer: files/' "$work/kilter.yaml"
kilter reload
tell sync edge
expect_has "$(kilter show edge --output json || true)" 'files.sops'
expect ! -e "$host/etc/secret.env"
put hosts plain/etc/secret.env 'version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 12345'
publish hosts tenth
tell sync edge
expect_has "$(kilter show edge --output json || true)" 'files.lfs'

rule 'verify is refused by name, and nothing runs unverified'
sed -i 's/interval: 10m}/interval: 10m, verify: {keys: [a]}}/' "$work/kilter.yaml"
expect_status 2 kilter reload
expect_has "$output" '"verify" asks for signatures'

rule 'a secret that is written in the manifest is refused and not repeated'
secret_manifest
sed -i "s/fromEnv: .*/fromEnv: $env_canary/" "$work/kilter.yaml"
expect_status 2 kilter reload
expect_has "$output" fromEnv
case "$output" in
*"$env_canary"*) fail "the message repeats it: $output" ;;
esac
no_canary "$said" "$work/kilterd.log" "$work/state"
